"""Redshift Serverless: a namespace holds the data, a work group the capacity."""

from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Read,
    ResourceType,
    Subject,
    Tags,
    Wait,
    prop,
    the_id,
)
from pocket.provider.values import Properties

_NAMESPACE, _WORKGROUP = {"namespaceName": the_id}, {"workgroupName": the_id}
_TAGS = Tags(
    at_creation="tags",
    target="resourceArn",
    put_member="tags",
    remove_member="tagKeys",
    read=Read(operation="list_tags_for_resource", params={"resourceArn": prop("arn")}, path="tags"),
)
_NAME = "the name is 3 to 64 lower-case letters, digits and hyphens"
_NAMESPACE_CHANGES = (
    "adminPasswordSecretKmsKeyId",
    "adminUserPassword",
    "adminUsername",
    "defaultIamRoleArn",
    "iamRoles",
    "kmsKeyId",
    "logExports",
    "manageAdminPassword",
)
_WORKGROUP_CHANGES = (
    "baseCapacity",
    "configParameters",
    "enhancedVpcRouting",
    "maxCapacity",
    "port",
    "pricePerformanceTarget",
    "publiclyAccessible",
    "securityGroupIds",
    "subnetIds",
    "trackName",
)

NAMESPACE = ResourceType(
    token="aws:redshiftserverless/namespace:Namespace",
    service="redshift-serverless",
    create=Call(operation="create_namespace"),
    identity=prop("namespaceName"),
    read=Read(operation="get_namespace", params=_NAMESPACE, path="namespace"),
    delete=Call(operation="delete_namespace", params=_NAMESPACE),
    wait=Wait(path="status", ready=("AVAILABLE",)),
    names={"arn": "namespaceArn"},
    facets=(
        Facet(
            properties=_NAMESPACE_CHANGES,
            put=Call(operation="update_namespace", params=_NAMESPACE, only_changed=True),
            at_creation=False,
        ),
    ),
    hidden=("adminUserPassword", "iamRoles"),
    secrets=("adminUserPassword", "adminUserPasswordWo"),
    filled=("adminUsername", "dbName", "kmsKeyId", "iamRoles", "adminPasswordSecretKmsKeyId"),
    outputs=lambda subject, found: {
        "manageAdminPassword": True if found.get("adminPasswordSecretArn") else None
    },
    tags=_TAGS,
    rules=(
        rules.text("namespaceName", r"[a-z0-9-]{3,64}", _NAME),
        rules.password("adminUserPassword"),
        rules.exactly_one("adminUserPassword", "manageAdminPassword"),
    ),
)


def _endpoints(subject: Subject, found: Any) -> Properties:
    endpoint = found.get("endpoint") or {}
    known = {key: endpoint[key] for key in ("address", "port") if key in endpoint}
    return {"endpoints": [known] if known else []}


WORKGROUP = ResourceType(
    token="aws:redshiftserverless/workgroup:Workgroup",
    service="redshift-serverless",
    create=Call(operation="create_workgroup"),
    identity=prop("workgroupName"),
    read=Read(operation="get_workgroup", params=_WORKGROUP, path="workgroup"),
    delete=Call(operation="delete_workgroup", params=_WORKGROUP),
    wait=Wait(path="status", ready=("AVAILABLE",)),
    names={"arn": "workgroupArn"},
    facets=(
        Facet(
            properties=_WORKGROUP_CHANGES,
            put=Call(operation="update_workgroup", params=_WORKGROUP, only_changed=True),
            at_creation=False,
        ),
    ),
    filled=_WORKGROUP_CHANGES,
    outputs=_endpoints,
    tags=_TAGS,
    rules=(
        rules.text("workgroupName", r"[a-z0-9-]{3,64}", _NAME),
        rules.number("baseCapacity", 8, 1024),
        rules.at_least_items("subnetIds", 3, "a work group spans three zones"),
    ),
)

TYPES = (NAMESPACE, WORKGROUP)
