"""Firehose: delivery of a stream's records to the lake.

Of the destinations S3 alone is in the table (``extended_s3``); the others are refused by name.
Pulumi writes buffering and encryption flat where AWS nests them: ``_arranged`` and ``_flat`` turn
one into the other.
"""

from collections.abc import Iterator
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
    Wait,
    prop,
)
from pocket.provider.schema import inputs_of
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties

_TOKEN = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
_S3 = "extendedS3Configuration"
_SOURCES = ("kinesisSourceConfiguration", "mskSourceConfiguration")
_OTHERS = tuple(
    name
    for name in inputs_of(_TOKEN)
    if name.endswith("Configuration") and name not in (_S3, *_SOURCES)
)
_HINTS = {"bufferingSize": "sizeInMBs", "bufferingInterval": "intervalInSeconds"}
_NAMED = {"DeliveryStreamName": prop("name")}


def _arranged(inputs: Properties) -> Properties:
    """The inputs with the destination's settings nested as AWS nests them."""
    given = inputs.get(_S3)
    return {**inputs, _S3: _nested(given)} if isinstance(given, dict) else inputs


def _nested(given: Properties) -> Properties:
    block = {k: v for k, v in given.items() if k not in (*_HINTS, "kmsKeyArn")}
    hints = {_HINTS[name]: given[name] for name in _HINTS if given.get(name) is not None}
    if hints:
        block["bufferingHints"] = hints
    if given.get("kmsKeyArn"):
        key = {"awsKmsKeyArn": given["kmsKeyArn"]}
        block["encryptionConfiguration"] = {"kmsEncryptionConfig": key}
    if isinstance(given.get("s3BackupConfiguration"), dict):
        block["s3BackupConfiguration"] = _nested(given["s3BackupConfiguration"])
    return block


def _flat(described: dict[str, Any]) -> dict[str, Any]:
    """A destination as AWS describes it, in Pulumi's arrangement."""
    hints = described.get("BufferingHints") or {}
    key = (described.get("EncryptionConfiguration") or {}).get("KMSEncryptionConfig") or {}
    flat = {
        **described,
        "bufferingSize": hints.get("SizeInMBs"),
        "bufferingInterval": hints.get("IntervalInSeconds"),
        "kmsKeyArn": key.get("AWSKMSKeyARN"),
    }
    if described.get("S3BackupDescription"):
        flat["s3BackupConfiguration"] = _flat(described["S3BackupDescription"])
    return {name: value for name, value in flat.items() if value is not None}


def _read(subject: Subject) -> Properties:
    """Of a description, what the answer keeps in lists and under other names."""
    found = subject.client().describe_delivery_stream(
        DeliveryStreamName=subject.id.rpartition("/")[2]
    )["DeliveryStreamDescription"]
    place = found["Destinations"][0]
    source = (found.get("Source") or {}).get("KinesisStreamSourceDescription") or {}
    return {
        "DestinationId": place["DestinationId"],
        "ExtendedS3DestinationConfiguration": _flat(place["ExtendedS3DestinationDescription"]),
        "KinesisStreamSourceConfiguration": {
            name: source[name] for name in ("KinesisStreamARN", "RoleARN") if source.get(name)
        },
    }


def _put_destination(subject: Subject) -> None:
    from pocket.provider.requests import build

    wanted = build(subject, _CREATE, (_S3,))["ExtendedS3DestinationConfiguration"]
    backup = wanted.pop("S3BackupConfiguration", None)
    found = subject.client().describe_delivery_stream(DeliveryStreamName=subject.get("name"))
    current = found["DeliveryStreamDescription"]
    subject.client().update_destination(
        DeliveryStreamName=subject.get("name"),
        CurrentDeliveryStreamVersionId=current["VersionId"],
        DestinationId=current["Destinations"][0]["DestinationId"],
        ExtendedS3DestinationUpdate={**wanted, **({"S3BackupUpdate": backup} if backup else {})},
    )


def _put_encryption(subject: Subject) -> None:
    client, wanted = subject.client(), subject.inputs.get("serverSideEncryption") or {}
    if wanted.get("enabled") in (True, "true"):
        key = {"KeyType": wanted.get("keyType") or "AWS_OWNED_CMK"}
        key |= {"KeyARN": wanted["keyArn"]} if wanted.get("keyArn") else {}
        client.start_delivery_stream_encryption(
            DeliveryStreamName=subject.get("name"),
            DeliveryStreamEncryptionConfigurationInput=key,
        )
    elif (subject.olds.get("serverSideEncryption") or {}).get("enabled") in (True, "true"):
        client.stop_delivery_stream_encryption(DeliveryStreamName=subject.get("name"))


def _delivery_rules(inputs: Properties) -> Iterator[Problem]:
    for name in _OTHERS:
        if inputs.get(name):
            yield Problem(name, "of Firehose's destinations only extended_s3 is supported here")
    if inputs.get("destination") == "extended_s3" and _S3 not in inputs:
        yield Problem(_S3, "the destination extended_s3 needs its configuration")
    encryption = inputs.get("serverSideEncryption")
    if inputs.get(_SOURCES[0]) and isinstance(encryption, dict) and encryption.get("enabled"):
        yield Problem(
            "serverSideEncryption", "a delivery stream that reads a Kinesis stream has that one's"
        )


_CREATE = Call(
    operation="create_delivery_stream",
    params={
        "DeliveryStreamType": lambda s: (
            "KinesisStreamAsSource" if s.inputs.get(_SOURCES[0]) else "DirectPut"
        )
    },
    properties=("name", _S3, _SOURCES[0]),
    prepare=_arranged,
)

DELIVERY_STREAM = ResourceType(
    token=_TOKEN,
    service="firehose",
    create=_CREATE,
    identity=lambda s: s.arn(f"deliverystream/{s.inputs['name']}"),
    read=Read(
        operation="describe_delivery_stream",
        params={"DeliveryStreamName": lambda s: s.id.rpartition("/")[2]},
        path="DeliveryStreamDescription",
        extra=_read,
    ),
    delete=Call(operation="delete_delivery_stream", params=_NAMED),
    wait=Wait(
        path="DeliveryStreamStatus",
        ready=("ACTIVE",),
        failed=("CREATING_FAILED",),
    ),
    name=Name(longest=64),
    names={
        "name": "DeliveryStreamName",
        "arn": "DeliveryStreamARN",
        _S3: "ExtendedS3DestinationConfiguration",
        _SOURCES[0]: "KinesisStreamSourceConfiguration",
    },
    facets=(
        Facet(properties=(_S3,), put=_put_destination, at_creation=False),
        Facet(properties=("serverSideEncryption",), put=_put_encryption),
    ),
    local=("arn",),
    filled=("arn", "destinationId", "versionId"),
    hidden=("serverSideEncryption", "destination"),
    outputs=lambda subject, found: {
        "arn": found["DeliveryStreamARN"],
        "destination": "extended_s3",
    },
    volatile=("versionId",),
    tags=Tags(
        put="tag_delivery_stream",
        remove="untag_delivery_stream",
        target="DeliveryStreamName",
        identity=prop("name"),
        read=Read(
            operation="list_tags_for_delivery_stream",
            params=_NAMED,
            path="Tags",
        ),
    ),
    rules=(
        rules.text(
            "name",
            r"[A-Za-z0-9_.-]{1,64}",
            "a delivery stream's name has 1 to 64 letters, digits, dots, hyphens and underscores",
        ),
        rules.one_of("destination", ("extended_s3",)),
        _delivery_rules,
    ),
)

TYPES = (DELIVERY_STREAM,)
