"""KMS: keys and their aliases."""

import json
from collections.abc import Mapping
from typing import Any

from pocket.provider import rules
from pocket.provider.aws import is_gone
from pocket.provider.resource import (
    URN_TAG,
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
from pocket.provider.values import Properties

_KEY = {"KeyId": the_id}


def _find_key(subject: Subject) -> str | None:
    """The living key that carries the URN."""
    client = subject.client()
    for page in client.get_paginator("list_keys").paginate():
        for entry in page["Keys"]:
            if _is_ours(client, entry["KeyId"], subject.urn):
                return str(entry["KeyId"])
    return None


def _is_ours(client: Any, key: str, urn: str) -> bool:
    try:
        tags = client.list_resource_tags(KeyId=key)["Tags"]
    except client.exceptions.ClientError as error:
        if is_gone(error) or "AccessDenied" in str(error):
            return False
        raise
    ours = {"TagKey": URN_TAG, "TagValue": urn[-256:]} in tags
    state = client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] if ours else ""
    return ours and state not in ("PendingDeletion", "PendingReplicaDeletion")


def _rotate(subject: Subject) -> None:
    client = subject.client()
    if not subject.inputs.get("enableKeyRotation"):
        client.disable_key_rotation(KeyId=subject.id)
        return
    period = subject.inputs.get("rotationPeriodInDays")
    more = {"RotationPeriodInDays": period} if period else {}
    client.enable_key_rotation(KeyId=subject.id, **more)


def _read_rotation(subject: Subject) -> Properties:
    found: Mapping[str, Any] = subject.client().get_key_rotation_status(KeyId=subject.id)
    enabled = found["KeyRotationEnabled"]
    days = found.get("RotationPeriodInDays") if enabled else None
    return {"enableKeyRotation": enabled, "rotationPeriodInDays": days}


def _enable(subject: Subject) -> None:
    client, enabled = subject.client(), subject.inputs.get("isEnabled", True)
    (client.enable_key if enabled else client.disable_key)(KeyId=subject.id)


def _delete_key(subject: Subject) -> None:
    client = subject.client()
    days = subject.get("deletionWindowInDays", 30)
    client.schedule_key_deletion(KeyId=subject.id, PendingWindowInDays=days)


def _default_policy(subject: Subject) -> str:
    root = f"arn:{subject.aws.partition}:iam::{subject.aws.account}:root"
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": root},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]})


def _target(key: str) -> str:
    """A key's id, of its ARN or of itself: aliases take either and answer the id."""
    return key.rsplit("/", 1)[-1]


def _read_alias(subject: Subject) -> Any:
    pages = subject.client().get_paginator("list_aliases").paginate()
    entries = (entry for page in pages for entry in page["Aliases"])
    return next((entry for entry in entries if entry["AliasName"] == subject.id), None)


def _alias_outputs(subject: Subject, description: Any) -> Properties:
    key = description["TargetKeyId"]
    return {"targetKeyId": key, "targetKeyArn": subject.arn(f"key/{key}")}


TYPES = (
    ResourceType(
        token="aws:kms/key:Key",
        service="kms",
        create=Call(operation="create_key"),
        id_path="KeyMetadata.KeyId",
        find=_find_key,
        read=Read(operation="describe_key", params=_KEY, path="KeyMetadata"),
        delete=_delete_key,
        wait=Wait(
            path="KeyState",
            ready=("Enabled", "Disabled"),
            gone=("PendingDeletion", "PendingReplicaDeletion"),
        ),
        tags=Tags(
            target="KeyId",
            identity=the_id,
            read=Read(operation="list_resource_tags", params=_KEY, path="Tags"),
        ),
        names={"isEnabled": "-", "customerMasterKeySpec": "CustomerMasterKeySpec"},
        hidden=("rotationPeriodInDays",),  # not every endpoint tells it
        filled=("policy",),
        facets=(
            Facet(
                properties=("policy",),
                put=Call(
                    operation="put_key_policy",
                    params={**_KEY, "PolicyName": "default"},
                ),
                clear=Call(
                    operation="put_key_policy",
                    params={**_KEY, "PolicyName": "default", "Policy": _default_policy},
                ),
                read=Read(operation="get_key_policy", params={**_KEY, "PolicyName": "default"}),
                at_creation=False,
            ),
            Facet(
                properties=("description",),
                put=Call(
                    operation="update_key_description",
                    params={**_KEY, "Description": lambda s: s.inputs.get("description", "")},
                    properties=(),
                ),
                at_creation=False,
            ),
            Facet(
                properties=("enableKeyRotation", "rotationPeriodInDays"),
                put=_rotate,
                read=_read_rotation,
            ),
            Facet(properties=("isEnabled",), put=_enable, at_creation=False),
        ),
        defaults={
            "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "isEnabled": True,
            "keyUsage": "ENCRYPT_DECRYPT",
            "enableKeyRotation": False,
            "description": "Managed by Pulumi",
        },
        local=("deletionWindowInDays", "bypassPolicyLockoutSafetyCheck"),
        rules=(
            rules.policy("policy", resource=True),
            rules.number("deletionWindowInDays", 7, 30),
            rules.number("rotationPeriodInDays", 90, 2560),
        ),
        outputs=lambda subject, found: {
            "keyId": found["KeyId"],
            "isEnabled": found["Enabled"],
            "customerMasterKeySpec": found.get("KeySpec", found.get("CustomerMasterKeySpec")),
        },
    ),
    ResourceType(
        token="aws:kms/alias:Alias",
        service="kms",
        create=Call(
            operation="create_alias",
            params={"TargetKeyId": lambda s: _target(s.inputs["targetKeyId"])},
        ),
        identity=prop("name"),
        read=_read_alias,
        delete=Call(operation="delete_alias", params={"AliasName": the_id}),
        name=Name(prefix="namePrefix", start="alias/"),
        names={"name": "AliasName", "arn": "AliasArn"},
        facets=(
            Facet(
                properties=("targetKeyId",),
                put=Call(
                    operation="update_alias",
                    params={
                        "AliasName": the_id,
                        "TargetKeyId": lambda s: _target(s.inputs["targetKeyId"]),
                    },
                ),
                at_creation=False,
            ),
        ),
        local=("namePrefix",),
        normal={"targetKeyId": _target},
        outputs=_alias_outputs,
        rules=(
            rules.text(
                "name",
                r"alias/(?!aws/)[a-zA-Z0-9/_-]+",
                "an alias is alias/ and then letters, digits, slashes, underscores and hyphens,"
                " and not alias/aws/",
            ),
        ),
    ),
)
