"""Glue's catalogue and Athena's work groups: the lake as tables."""

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
    prop,
    the_id,
)
from pocket.provider.values import Properties

_LOWER = "the name is lower-case letters, digits and underscores (Athena reads no others)"
_DATABASE = {"Name": id_part(1, ":"), "CatalogId": id_part(0, ":")}
_TABLE = {
    "CatalogId": id_part(0, ":"),
    "DatabaseName": id_part(1, ":"),
    "Name": id_part(2, ":"),
}


def _catalog(subject: Subject) -> str:
    return str(subject.inputs.get("catalogId") or subject.aws.account)


def _database_arn(subject: Subject) -> str:
    return subject.arn(f"database/{subject.id.split(':')[1]}")


DATABASE = ResourceType(
    token="aws:glue/catalogDatabase:CatalogDatabase",
    service="glue",
    create=Call(operation="create_database", into="DatabaseInput", params={"CatalogId": _catalog}),
    identity=lambda s: f"{_catalog(s)}:{s.inputs['name']}",
    read=Read(operation="get_database", params=_DATABASE, path="Database"),
    delete=Call(operation="delete_database", params=_DATABASE),
    name=Name(longest=255, lower=True, separator="_"),
    names={"catalogId": "CatalogId"},
    facets=(
        Facet(
            properties=("description", "locationUri", "parameters"),
            put=Call(
                operation="update_database",
                params={**_DATABASE, "DatabaseInput": lambda s: {"Name": s.inputs["name"]}},
                into="DatabaseInput",
                properties=(
                    "description",
                    "locationUri",
                    "parameters",
                    "createTableDefaultPermissions",
                    "targetDatabase",
                ),
            ),
            at_creation=False,
        ),
    ),
    filled=("catalogId", "createTableDefaultPermissions", "locationUri"),
    outputs=lambda subject, found: {
        "arn": _database_arn(subject),
        "catalogId": subject.id.split(":")[0],
    },
    tags=Tags(
        put_member="TagsToAdd",
        remove_member="TagsToRemove",
        identity=_database_arn,
        read=Read(operation="get_tags", params={"ResourceArn": _database_arn}, path="Tags"),
    ),
    rules=(rules.text("name", r"[a-z0-9_]{1,255}", _LOWER),),
)

_TABLE_PROPERTIES = (
    "description",
    "owner",
    "parameters",
    "partitionKeys",
    "retention",
    "storageDescriptor",
    "tableType",
    "targetTable",
    "viewExpandedText",
    "viewOriginalText",
)


TABLE = ResourceType(
    token="aws:glue/catalogTable:CatalogTable",
    service="glue",
    create=Call(operation="create_table", into="TableInput", params={"CatalogId": _catalog}),
    identity=lambda s: f"{_catalog(s)}:{s.inputs['databaseName']}:{s.inputs['name']}",
    read=Read(operation="get_table", params=_TABLE, path="Table"),
    delete=Call(operation="delete_table", params=_TABLE),
    name=Name(longest=255, lower=True, separator="_"),
    names={
        "storageDescriptor.serDeInfo": "SerdeInfo",
        "partitionIndices": "-",
        "databaseName": "DatabaseName",
    },
    facets=(
        Facet(
            properties=_TABLE_PROPERTIES,
            put=Call(
                operation="update_table",
                params={key: source for key, source in _TABLE.items() if key != "Name"},
                into="TableInput",
                properties=("name", *_TABLE_PROPERTIES),
            ),
            at_creation=False,
        ),
    ),
    filled=("catalogId", "retention", "owner", "partitionIndices"),
    outputs=lambda subject, found: {
        "arn": subject.arn("table/" + "/".join(subject.id.split(":")[1:])),
        "catalogId": subject.id.split(":")[0],
    },
    rules=(rules.text("name", r"[a-z0-9_]{1,255}", _LOWER),),
)


def _workgroup_arn(subject: Subject) -> str:
    return subject.arn(f"workgroup/{subject.id}")


def _update_workgroup(subject: Subject) -> None:
    """Athena takes changes in a shape of its own; what is no longer wanted has switches."""
    from pocket.provider.requests import encode_properties
    from pocket.provider.shapes import Walk

    create = Call(operation="create_work_group")
    encoded = encode_properties(
        subject.row,
        create,
        subject.inputs,
        ("configuration",),
        subject.aws,
        Walk(subject.row.names),
    )
    changes: dict[str, Any] = dict(encoded.get("Configuration", {}))
    if "ResultConfiguration" in changes:
        changes["ResultConfigurationUpdates"] = changes.pop("ResultConfiguration")
    before = subject.olds.get("configuration") or {}
    if before.get("bytesScannedCutoffPerQuery") and "BytesScannedCutoffPerQuery" not in changes:
        changes["RemoveBytesScannedCutoffPerQuery"] = True
    subject.client().update_work_group(
        WorkGroup=subject.id,
        Description=subject.inputs.get("description", ""),
        State=subject.inputs.get("state", "ENABLED"),
        ConfigurationUpdates=changes,
    )


def _without_defaults(configuration: Properties) -> Properties:
    """A work group's configuration without what AWS fills in when nothing is said."""
    usual = {"requesterPaysEnabled": False, "enableMinimumEncryptionConfiguration": False}
    return {
        key: value
        for key, value in configuration.items()
        if key != "engineVersion" and not (key in usual and value == usual[key])
    }


WORKGROUP = ResourceType(
    token="aws:athena/workgroup:Workgroup",
    service="athena",
    create=Call(operation="create_work_group"),
    identity=prop("name"),
    read=Read(
        operation="get_work_group",
        params={"WorkGroup": the_id},
        path="WorkGroup",
        absent=("InvalidRequestException",),
    ),
    delete=Call(
        operation="delete_work_group",
        params={
            "WorkGroup": the_id,
            "RecursiveDeleteOption": lambda s: bool(s.get("forceDestroy")),
        },
    ),
    name=Name(longest=128),
    names={
        "state": "State",
        "configuration.publishCloudwatchMetricsEnabled": "PublishCloudWatchMetricsEnabled",
        "configuration.resultConfiguration.encryptionConfiguration.kmsKeyArn": "KmsKey",
    },
    facets=(
        Facet(
            properties=("configuration", "description", "state"),
            put=_update_workgroup,
            at_creation=False,
        ),
    ),
    defaults={"state": "ENABLED", "forceDestroy": False},
    local=("forceDestroy",),
    absent=("InvalidRequestException",),
    normal={"configuration": _without_defaults},
    outputs=lambda subject, found: {"arn": _workgroup_arn(subject)},
    tags=Tags(
        target="ResourceARN",
        identity=_workgroup_arn,
        read=Read(
            operation="list_tags_for_resource",
            params={"ResourceARN": _workgroup_arn},
            path="Tags",
        ),
    ),
    rules=(
        rules.text(
            "name", r"[A-Za-z0-9._-]{1,128}", "a work group's name is letters, digits and . _ -"
        ),
    ),
)

TYPES = (DATABASE, TABLE, WORKGROUP)
