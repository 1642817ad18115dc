"""DynamoDB: tables, with the settings that DynamoDB keeps behind calls of their own."""

from typing import Any

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
from pocket.provider.values import UNKNOWN, Properties

_TABLE = {"TableName": the_id}
_CAPACITY = ("billingMode", "readCapacity", "writeCapacity")


def _keys(inputs: Properties) -> list[dict[str, Any]]:
    hashed = (
        [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}] if inputs.get("hashKey") else []
    )
    ranged = (
        [{"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"}]
        if inputs.get("rangeKey")
        else []
    )
    return hashed + ranged


def _throughput(inputs: Properties) -> dict[str, int] | None:
    if inputs.get("billingMode") != "PROVISIONED":
        return None
    return {
        "ReadCapacityUnits": int(inputs.get("readCapacity") or 1),
        "WriteCapacityUnits": int(inputs.get("writeCapacity") or 1),
    }


def _index(table: Properties, index: Properties) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index["projectionType"]}
    if index.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = index["nonKeyAttributes"]
    built = {"IndexName": index["name"], "KeySchema": _keys(index), "Projection": projection}
    throughput = _throughput({**index, "billingMode": table.get("billingMode")})
    return {**built, "ProvisionedThroughput": throughput} if throughput else built


def _local_index(table: Properties, index: Properties) -> dict[str, Any]:
    built = _index({}, {**index, "hashKey": table["hashKey"]})
    built.pop("ProvisionedThroughput", None)
    return built


def _indexes(name: str, build: Any) -> Any:
    def source(subject: Subject) -> list[dict[str, Any]] | None:
        wanted = subject.inputs.get(name) or []
        return [build(subject.inputs, index) for index in wanted] or None

    return source


def _stream(subject: Subject) -> dict[str, Any] | None:
    if not subject.inputs.get("streamEnabled"):
        return None
    return {"StreamEnabled": True, "StreamViewType": subject.inputs.get("streamViewType")}


def _encryption(subject: Subject) -> dict[str, Any] | None:
    wanted = subject.inputs.get("serverSideEncryption")
    if not wanted:
        return None
    key = {"KMSMasterKeyId": wanted["kmsKeyArn"]} if wanted.get("kmsKeyArn") else {}
    kind = {"SSEType": "KMS"} if wanted["enabled"] else {}
    return {"Enabled": wanted["enabled"], **kind, **key}


def _update_capacity(subject: Subject) -> None:
    parameters: dict[str, Any] = {"BillingMode": subject.inputs["billingMode"]}
    throughput = _throughput(subject.inputs)
    if throughput:
        parameters["ProvisionedThroughput"] = throughput
    subject.client().update_table(TableName=subject.id, **parameters)


def _update_indexes(subject: Subject) -> None:
    """Changed indexes are dropped and made again: DynamoDB changes nothing but their capacity in
    place.
    """
    client = subject.client()
    before = {index["name"]: index for index in subject.olds.get("globalSecondaryIndexes") or []}
    wanted = {index["name"]: index for index in subject.inputs.get("globalSecondaryIndexes") or []}
    definitions = [
        {"AttributeName": a["name"], "AttributeType": a["type"]}
        for a in subject.inputs["attributes"]
    ]
    for name, index in before.items():
        if wanted.get(name) != index:
            change = [{"Delete": {"IndexName": name}}]
            client.update_table(TableName=subject.id, GlobalSecondaryIndexUpdates=change)
    for name, index in wanted.items():
        if before.get(name) != index:
            create = [{"Create": _index(subject.inputs, index)}]
            client.update_table(
                TableName=subject.id,
                AttributeDefinitions=definitions,
                GlobalSecondaryIndexUpdates=create,
            )


def _update_stream(subject: Subject) -> None:
    client = subject.client()
    if subject.olds.get("streamEnabled"):
        client.update_table(TableName=subject.id, StreamSpecification={"StreamEnabled": False})
    stream = _stream(subject)
    if stream:
        client.update_table(TableName=subject.id, StreamSpecification=stream)


def _put_ttl(subject: Subject) -> None:
    wanted = subject.inputs.get("ttl") or {"enabled": False}
    before = subject.olds.get("ttl") or {}
    enabled = bool(wanted.get("enabled", False))
    name = wanted.get("attributeName") or before.get("attributeName")
    if name and (enabled or before):
        subject.client().update_time_to_live(
            TableName=subject.id,
            TimeToLiveSpecification={"Enabled": enabled, "AttributeName": name},
        )


def _read_ttl(subject: Subject) -> Properties:
    found = subject.client().describe_time_to_live(TableName=subject.id)["TimeToLiveDescription"]
    enabled = found["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    wanted = subject.get("ttl")
    if not enabled and not wanted:
        return {}
    name = found.get("AttributeName") or (wanted or {}).get("attributeName")
    return {"ttl": {"attributeName": name, "enabled": enabled}}


def _put_recovery(subject: Subject) -> None:
    wanted = subject.inputs.get("pointInTimeRecovery") or {"enabled": False}
    days = wanted.get("recoveryPeriodInDays") if wanted["enabled"] else None
    more = {"RecoveryPeriodInDays": days} if days else {}
    subject.client().update_continuous_backups(
        TableName=subject.id,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": wanted["enabled"], **more},
    )


def _read_recovery(subject: Subject) -> Properties:
    found = subject.client().describe_continuous_backups(TableName=subject.id)
    recovery = found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    enabled = recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    days = (
        {"recoveryPeriodInDays": recovery["RecoveryPeriodInDays"]}
        if (enabled and "RecoveryPeriodInDays" in recovery)
        else {}
    )
    return {"pointInTimeRecovery": {"enabled": enabled, **days}}


def _without_default_period(recovery: Properties) -> Properties:
    return {k: v for k, v in recovery.items() if k == "enabled" or v != 35}


def _outputs(subject: Subject, table: Any) -> Properties:
    keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
    mode = (table.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED")
    capacity = table.get("ProvisionedThroughput") or {}
    encryption = table.get("SSEDescription") or {}
    stream = table.get("StreamSpecification") or {}
    enabled = encryption.get("Status") in ("ENABLED", "ENABLING", "UPDATING")
    wants_encryption = enabled or subject.get("serverSideEncryption")
    return {
        "hashKey": keys["HASH"],
        "rangeKey": keys.get("RANGE"),
        "billingMode": mode,
        "readCapacity": capacity.get("ReadCapacityUnits", 0),
        "writeCapacity": capacity.get("WriteCapacityUnits", 0),
        "streamEnabled": bool(stream.get("StreamEnabled")),
        "streamViewType": stream.get("StreamViewType"),
        "streamArn": table.get("LatestStreamArn"),
        "streamLabel": table.get("LatestStreamLabel"),
        "tableClass": (table.get("TableClassSummary") or {}).get("TableClass"),
        "serverSideEncryption": {"enabled": enabled, "kmsKeyArn": encryption.get("KMSMasterKeyArn")}
        if wants_encryption
        else None,
        "globalSecondaryIndexes": _read_indexes(table.get("GlobalSecondaryIndexes")),
        "localSecondaryIndexes": _read_indexes(table.get("LocalSecondaryIndexes"), local=True),
    }


def _read_indexes(indexes: Any, *, local: bool = False) -> list[Properties] | None:
    return [_read_index(index, local=local) for index in indexes or []] or None


def _read_index(index: Any, *, local: bool) -> Properties:
    keys = {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]}
    capacity = index.get("ProvisionedThroughput") or {}
    found = {
        "name": index["IndexName"],
        "hashKey": None if local else keys["HASH"],
        "rangeKey": keys.get("RANGE"),
        "projectionType": index["Projection"]["ProjectionType"],
        "nonKeyAttributes": index["Projection"].get("NonKeyAttributes") or None,
        "readCapacity": capacity.get("ReadCapacityUnits") or None,
        "writeCapacity": capacity.get("WriteCapacityUnits") or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _attributes_are_keys(inputs: Properties) -> Any:
    """Exactly the attributes that a key or an index uses are declared."""
    attributes = inputs.get("attributes")
    indexes = [
        *(inputs.get("globalSecondaryIndexes") or []),
        *(inputs.get("localSecondaryIndexes") or []),
    ]
    if not isinstance(attributes, list) or not all(isinstance(i, dict) for i in indexes):
        return
    declared = {attribute.get("name") for attribute in attributes if isinstance(attribute, dict)}
    used = {part.get(key) for part in (inputs, *indexes) for key in ("hashKey", "rangeKey")} - {
        None
    }
    if UNKNOWN in declared | used:
        return
    for name in sorted(used - declared):
        yield Problem("attributes", f"the key {name} is not among the attributes")
    for name in sorted(declared - used, key=str):
        yield Problem(
            "attributes",
            f"the attribute {name} is no key of the table or of an index: leave it out",
        )


def _modes(inputs: Properties) -> Any:
    mode = inputs.get("billingMode")
    if mode == "PAY_PER_REQUEST":
        for name in ("readCapacity", "writeCapacity"):
            if inputs.get(name):
                yield Problem(name, "a table that pays per request has no provisioned capacity")
    elif mode == "PROVISIONED":
        for name in ("readCapacity", "writeCapacity"):
            if not inputs.get(name):
                yield Problem(name, f"a provisioned table needs {name}")
    if inputs.get("streamEnabled") and not inputs.get("streamViewType"):
        yield Problem("streamViewType", "a table with a stream needs to say what the stream shows")


TYPES = (
    ResourceType(
        token="aws:dynamodb/table:Table",
        service="dynamodb",
        create=Call(
            operation="create_table",
            params={
                "KeySchema": lambda s: _keys(s.inputs),
                "ProvisionedThroughput": lambda s: _throughput(s.inputs),
                "GlobalSecondaryIndexes": _indexes("globalSecondaryIndexes", _index),
                "LocalSecondaryIndexes": _indexes("localSecondaryIndexes", _local_index),
                "StreamSpecification": _stream,
                "SSESpecification": _encryption,
            },
        ),
        identity=prop("name"),
        read=Read(operation="describe_table", params=_TABLE, path="Table"),
        delete=Call(operation="delete_table", params=_TABLE),
        wait=Wait(path="TableStatus", ready=("ACTIVE",)),
        name=Name(longest=255),
        names={
            "name": "TableName",
            "arn": "TableArn",
            "attributes": "AttributeDefinitions",
            "attributes.name": "AttributeName",
            "attributes.type": "AttributeType",
            "globalSecondaryIndexes": "-",
            "localSecondaryIndexes": "-",
            "serverSideEncryption": "-",
        },
        facets=(
            Facet(
                properties=("deletionProtectionEnabled",),
                put=Call(operation="update_table", params=_TABLE),
                at_creation=False,
            ),
            Facet(properties=_CAPACITY, put=_update_capacity, at_creation=False),
            Facet(
                properties=("attributes", "globalSecondaryIndexes"),
                put=_update_indexes,
                at_creation=False,
            ),
            Facet(
                properties=("streamEnabled", "streamViewType"),
                put=_update_stream,
                at_creation=False,
            ),
            Facet(
                properties=("serverSideEncryption",),
                put=Call(
                    operation="update_table",
                    params={
                        **_TABLE,
                        "SSESpecification": lambda s: _encryption(s) or {"Enabled": False},
                    },
                ),
                at_creation=False,
            ),
            Facet(
                properties=("tableClass",),
                put=Call(operation="update_table", params=_TABLE),
                at_creation=False,
            ),
            Facet(properties=("ttl",), put=_put_ttl, read=_read_ttl),
            Facet(properties=("pointInTimeRecovery",), put=_put_recovery, read=_read_recovery),
        ),
        defaults={"billingMode": "PROVISIONED"},
        outputs=_outputs,
        tags=Tags(
            read=Read(
                operation="list_tags_of_resource",
                params={"ResourceArn": prop("arn")},
                path="Tags",
            )
        ),
        normal={"pointInTimeRecovery": _without_default_period},
        filled=("pointInTimeRecovery", "warmThroughput", "streamViewType", "tableClass"),
        rules=(_attributes_are_keys, _modes),
        volatile=("streamArn", "streamLabel"),
    ),
)
