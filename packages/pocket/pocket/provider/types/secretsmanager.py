"""Secrets Manager: secrets and their versions."""

import uuid
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
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties

_SECRET = {"SecretId": the_id}
_LIVING = "[@][?DeletedDate == null] | [0]"


def _find_secret(subject: Subject) -> str | None:
    client = subject.client()
    try:
        found = client.describe_secret(SecretId=subject.inputs["name"])
    except client.exceptions.ResourceNotFoundException:
        return None
    return None if found.get("DeletedDate") else str(found["ARN"])


def _delete_secret(subject: Subject) -> None:
    """With a window of 0 days the secret is gone at once, else it can be restored for that long."""
    days = subject.get("recoveryWindowInDays", 30)
    more: dict[str, Any] = {"RecoveryWindowInDays": days}
    if days == 0:
        more = {"ForceDeleteWithoutRecovery": True}
    subject.client().delete_secret(SecretId=subject.id, **more)


def _window(inputs: Properties) -> Any:
    days = inputs.get("recoveryWindowInDays")
    if isinstance(days, int) and days != 0 and not 7 <= days <= 30:
        yield Problem("recoveryWindowInDays", f"{days} is neither 0 (none) nor 7 to 30 days")


_POLICY_TARGET = {"SecretId": the_id}

SECRET = ResourceType(
    token="aws:secretsmanager/secret:Secret",
    service="secretsmanager",
    create=Call(
        operation="create_secret",
        params={"ClientRequestToken": lambda s: str(uuid.uuid5(uuid.NAMESPACE_URL, s.urn))},
    ),
    id_path="ARN",
    find=_find_secret,
    read=Read(operation="describe_secret", params=_SECRET, path=_LIVING),
    delete=_delete_secret,
    name=Name(longest=512, prefix="namePrefix"),
    names={"arn": "ARN", "policy": "ResourcePolicy"},
    facets=(
        Facet(
            properties=("description", "kmsKeyId"),
            put=Call(
                operation="update_secret",
                params={**_SECRET, "Description": lambda s: s.inputs.get("description", "")},
            ),
            at_creation=False,
        ),
        Facet(
            properties=("policy",),
            put=Call(operation="put_resource_policy", params=_POLICY_TARGET),
            clear=Call(operation="delete_resource_policy", params=_POLICY_TARGET),
            read=Read(operation="get_resource_policy", params=_POLICY_TARGET),
        ),
    ),
    defaults={"forceOverwriteReplicaSecret": False, "recoveryWindowInDays": 30},
    local=("recoveryWindowInDays", "forceOverwriteReplicaSecret", "namePrefix", "replicas"),
    tags=Tags(target="SecretId", identity=the_id),
    rules=(
        rules.policy("policy", resource=True),
        rules.text(
            "name", r"[A-Za-z0-9/_+=.@-]+", "a secret's name is letters, digits and / _ + = . @ -"
        ),
        _window,
        lambda inputs: (
            [Problem("replicas", "replicas of a secret are not supported here")]
            if inputs.get("replicas")
            else ()
        ),
    ),
)


def _version(subject: Subject) -> str:
    """The version's id follows from what it holds, so that writing it twice makes one version."""
    content = f"{subject.inputs.get('secretString')}{subject.inputs.get('secretBinary')}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subject.urn}{content}"))


SECRET_VERSION = ResourceType(
    token="aws:secretsmanager/secretVersion:SecretVersion",
    service="secretsmanager",
    create=Call(operation="put_secret_value", params={"ClientRequestToken": _version}),
    identity=lambda s: f"{s.inputs['secretId']}|{_version(s)}",
    read=Read(
        operation="get_secret_value",
        params={"SecretId": id_part(0, "|"), "VersionId": id_part(1, "|")},
        absent=("InvalidRequestException",),
    ),
    # A version cannot be removed; it goes with its secret, or when newer ones push it out.
    delete=None,
    names={"secretId": "SecretId", "arn": "ARN"},
    secrets=("secretString", "secretBinary", "secretStringWo"),
    filled=("versionStages",),
    outputs=lambda subject, found: {
        "secretId": subject.id.split("|")[0],
        "secretArn": found["ARN"],
        "hasSecretStringWo": False,
    },
    rules=(rules.exactly_one("secretString", "secretBinary"),),
)

TYPES = (SECRET, SECRET_VERSION)
