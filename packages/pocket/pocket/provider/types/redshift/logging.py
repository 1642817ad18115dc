"""A cluster's audit logging."""

from typing import Any

from pocket.provider.resource import Call, Facet, Read, ResourceType, Subject, prop
from pocket.provider.shapes import Problem
from pocket.provider.types.redshift.words import OF_CLUSTER
from pocket.provider.values import Properties


def _logging_outputs(subject: Subject, found: Any) -> Properties:
    return {
        "clusterIdentifier": subject.id,
        "logDestinationType": found.get("LogDestinationType")
        or ("s3" if found.get("BucketName") else None),
        "s3KeyPrefix": found.get("S3KeyPrefix") or None,
    }


_ENABLE_LOGGING = Call(
    operation="enable_logging", params={"ClusterIdentifier": prop("clusterIdentifier")}
)
LOGGING = ResourceType(
    token="aws:redshift/logging:Logging",
    setting=True,
    service="redshift",
    create=_ENABLE_LOGGING,
    identity=prop("clusterIdentifier"),
    read=Read(
        operation="describe_logging_status",
        params=OF_CLUSTER,
        path="LoggingEnabled && @",
    ),
    delete=Call(operation="disable_logging", params=OF_CLUSTER),
    facets=(
        Facet(
            properties=("bucketName", "logDestinationType", "logExports", "s3KeyPrefix"),
            put=_ENABLE_LOGGING,
            at_creation=False,
        ),
    ),
    outputs=_logging_outputs,
    filled=("logDestinationType", "s3KeyPrefix"),
    hidden=("logDestinationType", "logExports"),
    rules=(
        lambda inputs: (
            [Problem("bucketName", "logs that go to S3 need a bucketName")]
            if inputs.get("logDestinationType", "s3") == "s3"
            and "bucketName" not in inputs
            and "logExports" not in inputs
            else ()
        ),
    ),
)
