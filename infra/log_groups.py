"""Log groups, encrypted and kept for as long as the environment says.

A service that finds no log group makes one itself: unencrypted, kept for ever, and left behind by
``destroy``. So the groups are made before whatever writes to them.
"""

from __future__ import annotations

import pulumi
from pulumi_aws import cloudwatch

from infra.concern import AwsConcern, days


def log_group(
    concern: AwsConcern, name: str, path: str, key_arn: pulumi.Input[str]
) -> cloudwatch.LogGroup:
    """A log group of a concern; ``path`` is its name in CloudWatch."""
    return cloudwatch.LogGroup(
        name,
        name=path,
        kms_key_id=key_arn,
        retention_in_days=days(concern.environment.retention.logs),
        tags=concern.tags(path),
        opts=concern.child(),
    )
