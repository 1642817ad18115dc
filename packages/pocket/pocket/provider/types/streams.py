"""Kinesis data streams, and SNS topics."""

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
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties


def _stream_arn(subject: Subject) -> str:
    return subject.arn(f"stream/{subject.inputs.get('name') or subject.get('name')}")


def _on_demand(inputs: Properties) -> bool:
    return (inputs.get("streamModeDetails") or {}).get("streamMode") == "ON_DEMAND"


def _put_retention(subject: Subject) -> None:
    hours, client = int(subject.inputs.get("retentionPeriod") or 24), subject.client()
    current = client.describe_stream_summary(StreamARN=subject.id)["StreamDescriptionSummary"]
    before = current["RetentionPeriodHours"]
    if hours > before:
        client.increase_stream_retention_period(StreamARN=subject.id, RetentionPeriodHours=hours)
    elif hours < before:
        client.decrease_stream_retention_period(StreamARN=subject.id, RetentionPeriodHours=hours)


def _put_stream_encryption(subject: Subject) -> None:
    client, wanted = subject.client(), subject.inputs.get("encryptionType", "NONE")
    before = client.describe_stream_summary(StreamARN=subject.id)["StreamDescriptionSummary"]
    if wanted == "KMS":
        key = subject.inputs["kmsKeyId"]
        client.start_stream_encryption(StreamARN=subject.id, EncryptionType="KMS", KeyId=key)
    elif before.get("EncryptionType") == "KMS":
        client.stop_stream_encryption(
            StreamARN=subject.id, EncryptionType="KMS", KeyId=before["KeyId"]
        )


def _put_mode(subject: Subject) -> None:
    client = subject.client()
    if subject.changed("streamModeDetails"):
        mode = "ON_DEMAND" if _on_demand(subject.inputs) else "PROVISIONED"
        client.update_stream_mode(StreamARN=subject.id, StreamModeDetails={"StreamMode": mode})
    if subject.changed("shardCount") and not _on_demand(subject.inputs):
        client.update_shard_count(
            StreamARN=subject.id,
            TargetShardCount=int(subject.inputs["shardCount"]),
            ScalingType="UNIFORM_SCALING",
        )


def _stream_rules(inputs: Properties) -> Any:
    if _on_demand(inputs) and inputs.get("shardCount"):
        yield Problem("shardCount", "a stream on demand has no number of shards")
    if not _on_demand(inputs) and "streamModeDetails" in inputs and not inputs.get("shardCount"):
        yield Problem("shardCount", "a provisioned stream needs a number of shards")
    if inputs.get("encryptionType") == "KMS" and "kmsKeyId" not in inputs:
        yield Problem("kmsKeyId", "encryption by KMS needs a key")


STREAM = ResourceType(
    token="aws:kinesis/stream:Stream",
    service="kinesis",
    create=Call(operation="create_stream"),
    identity=_stream_arn,
    read=Read(
        operation="describe_stream_summary",
        params={"StreamARN": the_id},
        path="StreamDescriptionSummary",
    ),
    delete=Call(
        operation="delete_stream",
        params={
            "StreamARN": the_id,
            "EnforceConsumerDeletion": lambda s: bool(s.get("enforceConsumerDeletion")),
        },
    ),
    wait=Wait(path="StreamStatus", ready=("ACTIVE",), gone=("DELETING",)),
    name=Name(longest=128),
    names={"name": "StreamName", "arn": "StreamARN", "kmsKeyId": "KeyId"},
    facets=(
        Facet(properties=("retentionPeriod",), put=_put_retention),
        Facet(properties=("encryptionType", "kmsKeyId"), put=_put_stream_encryption),
        Facet(properties=("streamModeDetails", "shardCount"), put=_put_mode, at_creation=False),
    ),
    defaults={"retentionPeriod": 24, "encryptionType": "NONE", "enforceConsumerDeletion": False},
    local=("enforceConsumerDeletion", "arn"),
    filled=("streamModeDetails", "shardCount", "maxRecordSizeInKib", "warmThroughputMibPs"),
    outputs=lambda subject, found: {
        "arn": found["StreamARN"],
        "retentionPeriod": found["RetentionPeriodHours"],
        "encryptionType": found.get("EncryptionType") or "NONE",
        "shardCount": None if _on_demand(subject.inputs) else found.get("OpenShardCount"),
    },
    tags=Tags(
        put="add_tags_to_stream",
        remove="remove_tags_from_stream",
        target="StreamARN",
        identity=the_id,
        read=Read(operation="list_tags_for_stream", params={"StreamARN": the_id}, path="Tags"),
    ),
    rules=(rules.number("retentionPeriod", 24, 8760), _stream_rules),
)


def _put_attributes(subject: Subject) -> None:
    client = subject.client()
    for name, attribute in _TOPIC.items():
        if subject.changed(name):
            client.set_topic_attributes(
                TopicArn=subject.id,
                AttributeName=attribute,
                AttributeValue=_text(subject.inputs.get(name, "")),
            )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_TOPIC = {
    "displayName": "DisplayName",
    "policy": "Policy",
    "deliveryPolicy": "DeliveryPolicy",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "tracingConfig": "TracingConfig",
    "signatureVersion": "SignatureVersion",
}


def _attributes(subject: Subject) -> dict[str, str]:
    given = {
        attribute: _text(subject.inputs[name])
        for name, attribute in _TOPIC.items()
        if subject.inputs.get(name)
    }
    fifo = {"FifoTopic": "true"} if subject.inputs.get("fifoTopic") else {}
    return {**given, **fifo}


TOPIC = ResourceType(
    token="aws:sns/topic:Topic",
    service="sns",
    create=Call(operation="create_topic", params={"Attributes": _attributes}, properties=("name",)),
    identity=lambda s: s.arn(s.inputs["name"]),
    read=Read(operation="get_topic_attributes", params={"TopicArn": the_id}, path="Attributes"),
    delete=Call(operation="delete_topic", params={"TopicArn": the_id}),
    name=Name(longest=256, prefix="namePrefix"),
    facets=(Facet(properties=tuple(_TOPIC), put=_put_attributes, at_creation=False),),
    local=("namePrefix",),
    filled=("policy", "signatureVersion", "tracingConfig"),
    outputs=lambda subject, found: {
        "arn": subject.id,
        "name": subject.id.rsplit(":", 1)[-1],
        **{name: found.get(attribute) or None for name, attribute in _TOPIC.items()},
        "signatureVersion": int(found["SignatureVersion"])
        if found.get("SignatureVersion")
        else None,
    },
    tags=Tags(
        identity=the_id,
        read=Read(operation="list_tags_for_resource", params={"ResourceArn": the_id}, path="Tags"),
    ),
    rules=(
        rules.policy("policy", resource=True),
        rules.text(
            "name",
            r"[A-Za-z0-9_-]{1,251}(\.fifo)?|[A-Za-z0-9_-]{1,256}",
            "a topic's name is up to 256 letters, digits, hyphens and underscores",
        ),
    ),
)


def _find_subscription(subject: Subject) -> str | None:
    inputs = subject.inputs
    pages = subject.client().get_paginator("list_subscriptions_by_topic")
    for page in pages.paginate(TopicArn=inputs["topic"]):
        for each in page["Subscriptions"]:
            if (each["Protocol"], each["Endpoint"]) == (inputs["protocol"], inputs["endpoint"]):
                return str(each["SubscriptionArn"])
    return None


_SUBSCRIBED = {
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "deliveryPolicy": "DeliveryPolicy",
    "redrivePolicy": "RedrivePolicy",
    "rawMessageDelivery": "RawMessageDelivery",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}


def _put_subscription(subject: Subject) -> None:
    for name, attribute in _SUBSCRIBED.items():
        if subject.changed(name):
            subject.client().set_subscription_attributes(
                SubscriptionArn=subject.id,
                AttributeName=attribute,
                AttributeValue=_text(subject.inputs.get(name, "")),
            )


SUBSCRIPTION = ResourceType(
    token="aws:sns/topicSubscription:TopicSubscription",
    service="sns",
    create=Call(
        operation="subscribe",
        params={"TopicArn": prop("topic"), "ReturnSubscriptionArn": True},
        properties=("protocol", "endpoint"),
    ),
    id_path="SubscriptionArn",
    find=_find_subscription,
    read=Read(
        operation="get_subscription_attributes",
        params={"SubscriptionArn": the_id},
        path="Attributes",
    ),
    delete=Call(operation="unsubscribe", params={"SubscriptionArn": the_id}),
    facets=(Facet(properties=tuple(_SUBSCRIBED), put=_put_subscription),),
    local=("endpointAutoConfirms", "confirmationTimeoutInMinutes"),
    filled=("filterPolicyScope",),
    names={"topic": "TopicArn", "ownerId": "Owner"},
    outputs=lambda subject, found: {"arn": subject.id},
    rules=(
        rules.one_of(
            "protocol",
            [
                "email",
                "email-json",
                "sms",
                "sqs",
                "http",
                "https",
                "application",
                "lambda",
                "firehose",
            ],
        ),
    ),
)

TYPES = (STREAM, TOPIC, SUBSCRIPTION)
