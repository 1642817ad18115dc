"""The table of resource types: a row each, in modules by concern. To add a type, add a row there, then run
``python -m local.provider.schema`` so that its properties' names and kinds are known."""

from local.provider.resource import ResourceType
from local.provider.types import (
    dynamodb,
    ec2,
    ecr,
    eks,
    elasticache,
    iam,
    kms,
    logs,
    redshift,
    s3,
    secretsmanager,
)

MODULES = (
    dynamodb,
    ec2,
    ecr,
    eks,
    elasticache,
    iam,
    kms,
    logs,
    redshift,
    s3,
    secretsmanager,
)
TABLE: dict[str, ResourceType] = {row.token: row for module in MODULES for row in module.TYPES}
