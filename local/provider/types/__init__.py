"""The table of resource types: a row each, in modules by concern. To add a type, add a row there,
then run ``python -m local.provider.schema`` so that its properties' names and kinds are known."""

from local.provider.resource import ResourceType
from local.provider.types import (
    cloudwatch,
    dynamodb,
    ec2,
    ecr,
    efs,
    eks,
    elasticache,
    glue,
    iam,
    kms,
    logs,
    rds,
    redshift,
    redshiftserverless,
    s3,
    secretsmanager,
    spending,
    streams,
)

MODULES = (
    cloudwatch,
    dynamodb,
    ec2,
    ecr,
    efs,
    eks,
    elasticache,
    glue,
    iam,
    kms,
    logs,
    rds,
    redshift,
    redshiftserverless,
    s3,
    secretsmanager,
    spending,
    streams,
)
TABLE: dict[str, ResourceType] = {row.token: row for module in MODULES for row in module.TYPES}
