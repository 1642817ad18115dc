"""RDS: instances (Postgres for what keeps metadata), and what they stand on."""

from collections.abc import Iterator
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Source,
    Subject,
    Tags,
    Wait,
    prop,
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties


def _tagged(kind: str) -> Tags:
    def arn(subject: Subject) -> str:
        return subject.arn(f"{kind}:{subject.id}")

    return Tags(
        put="add_tags_to_resource",
        remove="remove_tags_from_resource",
        target="ResourceName",
        identity=arn,
        read=Read(operation="list_tags_for_resource", params={"ResourceName": arn}, path="TagList"),
    )


def _arn(kind: str) -> Source:
    return lambda subject: {"arn": subject.arn(f"{kind}:{subject.id}")}


_NAME = rules.text(
    "name", r"[a-z0-9][a-z0-9._ -]{0,254}", "the name is lower-case letters, digits and . _ -"
)

SUBNET_GROUP = ResourceType(
    token="aws:rds/subnetGroup:SubnetGroup",
    service="rds",
    create=Call(operation="create_db_subnet_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_db_subnet_groups",
        params={"DBSubnetGroupName": the_id},
        path="DBSubnetGroups[0]",
    ),
    delete=Call(operation="delete_db_subnet_group", params={"DBSubnetGroupName": the_id}),
    name=Name(lower=True, prefix="namePrefix"),
    names={
        "name": "DBSubnetGroupName",
        "description": "DBSubnetGroupDescription",
        "arn": "DBSubnetGroupArn",
    },
    facets=(
        Facet(
            properties=("subnetIds", "description"),
            put=Call(operation="modify_db_subnet_group", params={"DBSubnetGroupName": the_id}),
            at_creation=False,
        ),
    ),
    defaults={"description": "Managed by Pulumi"},
    local=("namePrefix",),
    outputs=lambda subject, found: {
        **_arn("subgrp")(subject),
        "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
    },
    tags=_tagged("subgrp"),
    rules=(
        _NAME,
        rules.at_least_items("subnetIds", 2, "a database's subnets cover two zones or more"),
    ),
)


def _put_parameters(subject: Subject) -> None:
    client, name = subject.client(), subject.id
    wanted = {p["name"]: p for p in subject.inputs.get("parameters") or ()}
    before = {p["name"]: p for p in subject.olds.get("parameters") or ()}
    changed = [_parameter(p) for key, p in wanted.items() if before.get(key) != p]
    gone = [_parameter(p, reset=True) for key, p in before.items() if key not in wanted]
    if changed:
        client.modify_db_parameter_group(DBParameterGroupName=name, Parameters=changed)
    if gone:
        client.reset_db_parameter_group(
            DBParameterGroupName=name, Parameters=gone, ResetAllParameters=False
        )


def _parameter(parameter: Properties, *, reset: bool = False) -> dict[str, Any]:
    written = {
        "ParameterName": parameter["name"],
        "ApplyMethod": parameter.get("applyMethod") or "immediate",
    }
    return written if reset else {**written, "ParameterValue": parameter["value"]}


def _read_parameters(subject: Subject) -> Properties:
    pages = subject.client().get_paginator("describe_db_parameters")
    found = [
        parameter
        for page in pages.paginate(DBParameterGroupName=subject.id, Source="user")
        for parameter in page["Parameters"]
        if parameter.get("Source", "user") == "user" and "ParameterValue" in parameter
    ]
    return {
        "parameters": [
            {
                "name": p["ParameterName"],
                "value": p["ParameterValue"],
                **({"applyMethod": p["ApplyMethod"]} if p.get("ApplyMethod") else {}),
            }
            for p in found
        ]
    }


PARAMETER_GROUP = ResourceType(
    token="aws:rds/parameterGroup:ParameterGroup",
    service="rds",
    create=Call(operation="create_db_parameter_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_db_parameter_groups",
        params={"DBParameterGroupName": the_id},
        path="DBParameterGroups[0]",
    ),
    delete=Call(operation="delete_db_parameter_group", params={"DBParameterGroupName": the_id}),
    name=Name(lower=True, prefix="namePrefix"),
    names={
        "name": "DBParameterGroupName",
        "family": "DBParameterGroupFamily",
        "arn": "DBParameterGroupArn",
    },
    facets=(Facet(properties=("parameters",), put=_put_parameters, read=_read_parameters),),
    defaults={"description": "Managed by Pulumi"},
    local=("namePrefix", "skipDestroy"),
    outputs=lambda subject, found: _arn("pg")(subject),
    tags=_tagged("pg"),
    rules=(_NAME,),
)


def _delete_instance(subject: Subject) -> None:
    snapshot = subject.get("finalSnapshotIdentifier")
    skip = bool(subject.get("skipFinalSnapshot", False)) or not snapshot
    more = {} if skip else {"FinalDBSnapshotIdentifier": snapshot}
    subject.client().delete_db_instance(
        DBInstanceIdentifier=subject.id,
        SkipFinalSnapshot=skip,
        DeleteAutomatedBackups=bool(subject.get("deleteAutomatedBackups", True)),
        **more,
    )


def _instance_outputs(subject: Subject, found: Any) -> Properties:
    endpoint = found.get("Endpoint") or {}
    host, port = endpoint.get("Address"), endpoint.get("Port")
    groups = found.get("DBParameterGroups") or []
    secret = found.get("MasterUserSecret")
    return {
        "arn": found.get("DBInstanceArn"),
        "address": host,
        "endpoint": f"{host}:{port}" if host else None,
        "port": port,
        "hostedZoneId": endpoint.get("HostedZoneId"),
        "dbSubnetGroupName": (found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        "parameterGroupName": groups[0]["DBParameterGroupName"] if groups else None,
        "vpcSecurityGroupIds": [
            group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups") or []
        ],
        "engineVersionActual": found.get("EngineVersion"),
        "resourceId": found.get("DbiResourceId"),
        "manageMasterUserPassword": True if secret else None,
        "masterUserSecrets": [
            {
                "secretArn": secret["SecretArn"],
                "secretStatus": secret.get("SecretStatus"),
                "kmsKeyId": secret.get("KmsKeyId"),
            }
        ]
        if secret
        else [],
    }


_MODIFIED = (
    "allocatedStorage",
    "allowMajorVersionUpgrade",
    "autoMinorVersionUpgrade",
    "backupRetentionPeriod",
    "backupWindow",
    "caCertIdentifier",
    "copyTagsToSnapshot",
    "deletionProtection",
    "engineVersion",
    "iamDatabaseAuthenticationEnabled",
    "instanceClass",
    "iops",
    "maintenanceWindow",
    "manageMasterUserPassword",
    "maxAllocatedStorage",
    "monitoringInterval",
    "monitoringRoleArn",
    "multiAz",
    "parameterGroupName",
    "password",
    "performanceInsightsEnabled",
    "performanceInsightsKmsKeyId",
    "performanceInsightsRetentionPeriod",
    "publiclyAccessible",
    "storageType",
    "vpcSecurityGroupIds",
    "storageThroughput",
    "masterUserSecretKmsKeyId",
)


def _exports(subject: Subject) -> dict[str, list[str]]:
    """Which logs are sent to CloudWatch from now on, and which no more."""
    wanted, before = (
        set(values.get("enabledCloudwatchLogsExports") or ())
        for values in (subject.inputs, subject.olds)
    )
    return {
        "EnableLogTypes": sorted(wanted - before),
        "DisableLogTypes": sorted(before - wanted),
    }


def _instance_rules(inputs: Properties) -> Iterator[Problem]:
    if inputs.get("password") and inputs.get("manageMasterUserPassword"):
        yield Problem("password", "leave it out where AWS manages it (manageMasterUserPassword)")
    if inputs.get("storageEncrypted") is False and inputs.get("kmsKeyId"):
        yield Problem("storageEncrypted", "must be true where kmsKeyId names a key")
    if inputs.get("skipFinalSnapshot") is False and "finalSnapshotIdentifier" not in inputs:
        yield Problem("finalSnapshotIdentifier", "needed unless skipFinalSnapshot is true")
    storage, most = inputs.get("allocatedStorage"), inputs.get("maxAllocatedStorage")
    if isinstance(storage, int) and isinstance(most, int) and 0 < most < storage:
        yield Problem("maxAllocatedStorage", f"{most} is less than the allocated {storage} GiB")


INSTANCE = ResourceType(
    token="aws:rds/instance:Instance",
    service="rds",
    create=Call(operation="create_db_instance"),
    identity=prop("identifier"),
    read=Read(
        operation="describe_db_instances",
        params={"DBInstanceIdentifier": the_id},
        path="DBInstances[0]",
    ),
    delete=_delete_instance,
    wait=Wait(
        path="DBInstanceStatus",
        ready=("available", "storage-optimization"),
        failed=("failed", "incompatible-network", "incompatible-parameters"),
    ),
    name=Name(property="identifier", longest=63, lower=True, prefix="identifierPrefix"),
    names={
        "identifier": "DBInstanceIdentifier",
        "instanceClass": "DBInstanceClass",
        "dbName": "DBName",
        "username": "MasterUsername",
        "password": "MasterUserPassword",
        "parameterGroupName": "DBParameterGroupName",
        "dbSubnetGroupName": "DBSubnetGroupName",
        "backupWindow": "PreferredBackupWindow",
        "maintenanceWindow": "PreferredMaintenanceWindow",
        "caCertIdentifier": "CACertificateIdentifier",
        "multiAz": "MultiAZ",
        "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
        "performanceInsightsEnabled": "EnablePerformanceInsights",
        "performanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
        "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
        "status": "DBInstanceStatus",
        "latestRestorableTime": "-",  # another one at every look
        "replicas": "ReadReplicaDBInstanceIdentifiers",
    },
    facets=(
        Facet(
            properties=_MODIFIED,
            put=Call(
                operation="modify_db_instance",
                params={"DBInstanceIdentifier": the_id, "ApplyImmediately": True},
                only_changed=True,
            ),
            at_creation=False,
        ),
        Facet(
            properties=("enabledCloudwatchLogsExports",),
            put=Call(
                operation="modify_db_instance",
                params={
                    "DBInstanceIdentifier": the_id,
                    "CloudwatchLogsExportConfiguration": _exports,
                },
                properties=(),
            ),
            at_creation=False,
        ),
    ),
    defaults={"skipFinalSnapshot": False, "deleteAutomatedBackups": True},
    local=(
        "skipFinalSnapshot",
        "finalSnapshotIdentifier",
        "deleteAutomatedBackups",
        "applyImmediately",
        "identifierPrefix",
        "blueGreenUpdate",
    ),
    hidden=(
        "masterUserSecretKmsKeyId",
        "password",
        "passwordWo",
        "manageMasterUserPassword",
        "allowMajorVersionUpgrade",
        "maxAllocatedStorage",
        "enabledCloudwatchLogsExports",
        "performanceInsightsEnabled",
        "performanceInsightsKmsKeyId",
        "performanceInsightsRetentionPeriod",
        "iamDatabaseAuthenticationEnabled",
    ),
    secrets=("password", "passwordWo"),
    filled=(
        "autoMinorVersionUpgrade",
        "availabilityZone",
        "backupRetentionPeriod",
        "backupTarget",
        "backupWindow",
        "caCertIdentifier",
        "characterSetName",
        "copyTagsToSnapshot",
        "dbSubnetGroupName",
        "engineVersion",
        "engineLifecycleSupport",
        "iops",
        "kmsKeyId",
        "licenseModel",
        "maintenanceWindow",
        "monitoringInterval",
        "monitoringRoleArn",
        "multiAz",
        "networkType",
        "optionGroupName",
        "parameterGroupName",
        "port",
        "publiclyAccessible",
        "storageThroughput",
        "storageType",
        "timezone",
        "vpcSecurityGroupIds",
        "databaseInsightsMode",
        "dedicatedLogVolume",
        "deletionProtection",
    ),
    normal={
        "engineVersion": lambda version: version.split(".")[0],
        "kmsKeyId": lambda value: value.rsplit("/", 1)[-1],
    },
    outputs=_instance_outputs,
    tags=_tagged("db"),
    rules=(
        rules.text(
            "identifier",
            r"(?!.*--)[a-z][a-z0-9-]{0,61}[a-z0-9]|[a-z]",
            "the identifier is 1 to 63 lower-case letters, digits and hyphens, begins with a"
            " letter, and has no two hyphens in a row and none at the end",
        ),
        rules.text("instanceClass", r"db\.[a-z0-9-]+\.[a-z0-9]+", "a class is like db.t4g.micro"),
        rules.password("password", 8, 128),
        rules.number("backupRetentionPeriod", 0, 35),
        rules.number("allocatedStorage", 5, 65536),
        _instance_rules,
    ),
)

TYPES = (SUBNET_GROUP, PARAMETER_GROUP, INSTANCE)
