"""One case for every type in the provider's table: inputs, a change in place, and one that
replaces.
"""

from collections.abc import Mapping

from pocket_testing.provider_cases.access import IAM_CASES, KMS_CASES, SECRET_CASES
from pocket_testing.provider_cases.analytics import GLUE_CASES, STREAM_CASES
from pocket_testing.provider_cases.clusters import ACCESS_CASES, EKS_CASES, MACHINE_CASES
from pocket_testing.provider_cases.databases import (
    CACHE_CASES,
    CACHE_USER_CASES,
    RDS_CASES,
    REDSHIFT_CASES,
)
from pocket_testing.provider_cases.making import Case
from pocket_testing.provider_cases.network import EC2_CASES
from pocket_testing.provider_cases.operations import (
    LOG_CASES,
    SMALL_CASES,
    SPENDING_CASES,
    WATCH_CASES,
)
from pocket_testing.provider_cases.storage import (
    DYNAMODB_CASES,
    EFS_CASES,
    REGISTRY_CASES,
    S3_CASES,
)

CASES: Mapping[str, Case] = {
    **S3_CASES,
    **EC2_CASES,
    **KMS_CASES,
    **IAM_CASES,
    **DYNAMODB_CASES,
    **REDSHIFT_CASES,
    **SECRET_CASES,
    **CACHE_CASES,
    **EKS_CASES,
    **REGISTRY_CASES,
    **LOG_CASES,
    **GLUE_CASES,
    **EFS_CASES,
    **STREAM_CASES,
    **MACHINE_CASES,
    **WATCH_CASES,
    **ACCESS_CASES,
    **CACHE_USER_CASES,
    **RDS_CASES,
    **SPENDING_CASES,
    **SMALL_CASES,
}

__all__ = ["CASES", "Case"]
