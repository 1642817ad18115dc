"""CloudWatch Logs: log groups."""

from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    id_part,
    joined,
    prop,
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties

RETENTION = (
    0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
_GROUP = {"logGroupName": the_id}


def _read(subject: Subject) -> Any:
    pages = subject.client().get_paginator("describe_log_groups")
    for page in pages.paginate(logGroupNamePrefix=subject.id):
        for group in page["logGroups"]:
            if group["logGroupName"] == subject.id:
                return group
    return None


def _put_retention(subject: Subject) -> None:
    days, client = subject.inputs.get("retentionInDays"), subject.client()
    if days:
        client.put_retention_policy(logGroupName=subject.id, retentionInDays=days)
    elif subject.olds.get("retentionInDays"):
        client.delete_retention_policy(logGroupName=subject.id)


def _delete(subject: Subject) -> None:
    if not subject.get("skipDestroy"):
        subject.client().delete_log_group(logGroupName=subject.id)


def _retention(inputs: Properties) -> Any:
    days = inputs.get("retentionInDays")
    if isinstance(days, int) and days not in RETENTION:
        yield Problem(
            "retentionInDays",
            f"{days} is not one of {', '.join(map(str, RETENTION))} (0: for ever)",
        )


def _arn(subject: Subject) -> str:
    return subject.arn(f"log-group:{subject.id}")


def _read_stream(subject: Subject) -> Any:
    group, _, name = subject.id.partition(":")
    client = subject.client()
    pages = client.get_paginator("describe_log_streams")
    for page in pages.paginate(logGroupName=group, logStreamNamePrefix=name):
        for stream in page["logStreams"]:
            if stream["logStreamName"] == name:
                return {**stream, "logGroupName": group}
    return None


STREAM = ResourceType(
    token="aws:cloudwatch/logStream:LogStream",
    service="logs",
    create=Call(operation="create_log_stream"),
    identity=joined(":", "logGroupName", "name"),
    read=_read_stream,
    delete=Call(
        operation="delete_log_stream",
        params={"logGroupName": id_part(0, ":"), "logStreamName": id_part(1, ":")},
    ),
    name=Name(longest=512),
    names={"name": "logStreamName"},
)

TYPES = (
    STREAM,
    ResourceType(
        token="aws:cloudwatch/logGroup:LogGroup",
        service="logs",
        create=Call(operation="create_log_group"),
        identity=prop("name"),
        read=_read,
        delete=_delete,
        name=Name(longest=512, prefix="namePrefix"),
        names={"name": "logGroupName"},
        facets=(
            Facet(properties=("retentionInDays",), put=_put_retention),
            Facet(
                properties=("kmsKeyId",),
                put=Call(operation="associate_kms_key", params=_GROUP),
                clear=Call(operation="disassociate_kms_key", params=_GROUP),
                at_creation=False,
            ),
        ),
        defaults={"skipDestroy": False, "retentionInDays": 0},
        local=("skipDestroy", "namePrefix"),
        filled=("logGroupClass", "deletionProtectionEnabled"),
        outputs=lambda subject, found: {
            "arn": _arn(subject),
            "retentionInDays": found.get("retentionInDays", 0),
        },
        tags=Tags(
            at_creation="tags",
            target="resourceArn",
            put_member="tags",
            remove_member="tagKeys",
            identity=_arn,
            read=Read(
                operation="list_tags_for_resource", params={"resourceArn": _arn}, path="tags"
            ),
        ),
        rules=(
            _retention,
            rules.text(
                "name",
                r"[.\-_/#A-Za-z0-9]{1,512}",
                "a log group's name is letters, digits and . - _ / #",
            ),
        ),
    ),
)
