"""Redshift Serverless's control plane, which moto lacks: namespaces, work groups and their tags.

The answers are AWS's; no statement runs here: the laptop's own environment has a provisioned
cluster, whose Data API does. Everything is kept on a backend of moto's kind, so that it is
written to disk, and counted, like the rest.

Source: https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Request, Response

from local.cloud.errors import RefusedError
from local.cloud.tables import Resource, arn, table

SERVICE = "redshift-serverless"
_PORT = 5439


class ServerlessBackend(BaseBackend):
    """One account's and region's namespaces and work groups."""


serverless_backends = BackendDict(ServerlessBackend, SERVICE)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A kind of resource: its name, the parameter that names one, and what it has unasked."""

    name: str
    key: str
    kept: tuple[str, ...]
    unasked: Mapping[str, Any]


_NAMESPACE = _Kind(
    name="namespace",
    key="namespaceName",
    kept=(
        *("adminPasswordSecretKmsKeyId", "adminUsername", "dbName", "defaultIamRoleArn"),
        *("iamRoles", "kmsKeyId", "logExports"),
    ),
    unasked={"adminUsername": "admin", "dbName": "dev", "kmsKeyId": "AWS_OWNED_KMS_KEY"},
)
_WORKGROUP = _Kind(
    name="workgroup",
    key="workgroupName",
    kept=(
        *("baseCapacity", "configParameters", "enhancedVpcRouting", "maxCapacity"),
        *("namespaceName", "port", "pricePerformanceTarget", "publiclyAccessible"),
        *("securityGroupIds", "subnetIds", "trackName"),
    ),
    unasked={
        "baseCapacity": 128,
        "enhancedVpcRouting": False,
        "port": _PORT,
        "publiclyAccessible": False,
        "trackName": "current",
    },
)


def answer(request: Request) -> Response:
    """AWS's answer to a signed request of this service."""
    operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    backend = serverless_backends[DEFAULT_ACCOUNT_ID][_region(request)]
    given = json.loads(request.get_data() or b"{}")
    try:
        if operation not in _OPERATIONS:
            raise RefusedError("NotImplemented", f"The local cloud does not have {operation}.")
        return _json(_OPERATIONS[operation](backend, given))
    except RefusedError as refused:
        return _json({"__type": refused.code, "message": str(refused)}, status=400)


def _region(request: Request) -> str:
    scope = request.headers.get("Authorization", "").partition("Credential=")[2].split("/")
    return scope[2] if len(scope) > 2 else "us-east-1"


def _json(content: Mapping[str, Any], *, status: int = 200) -> Response:
    text = json.dumps(content, default=str)
    return Response(text, status=status, content_type="application/x-amz-json-1.1")


def _find(backend: BaseBackend, kind: _Kind, name: str) -> Resource:
    found = table(backend, kind.name).get(name)
    if found is None:
        raise RefusedError("ResourceNotFoundException", f"There is no {kind.name} {name}.")
    return found


def _take(kind: _Kind, resource: Resource, given: Mapping[str, Any]) -> None:
    resource.update({name: given[name] for name in kind.kept if name in given})


def _create(kind: _Kind) -> Callable[[BaseBackend, Mapping[str, Any]], Resource]:
    def create(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
        name, identifier = given[kind.key], str(uuid.uuid4())
        if name in table(backend, kind.name):
            raise RefusedError("ConflictException", f"The {kind.name} {name} already exists.")
        resource: Resource = {
            **kind.unasked,
            kind.key: name,
            f"{kind.name}Arn": arn(backend, SERVICE, f"{kind.name}/{identifier}"),
            f"{kind.name}Id": identifier,
            "status": "AVAILABLE",
            "creationDate": datetime.now(UTC).isoformat(),
        }
        _take(kind, resource, given)
        _complete(backend, kind, resource, given)
        table(backend, kind.name)[name] = resource
        tags = {tag["key"]: tag["value"] for tag in given.get("tags") or ()}
        table(backend, "tags")[resource[f"{kind.name}Arn"]] = tags
        return {kind.name: resource}

    return create


def _complete(
    backend: BaseBackend, kind: _Kind, resource: Resource, given: Mapping[str, Any]
) -> None:
    """What AWS adds: a work group's address, a namespace's managed secret."""
    if kind is _WORKGROUP:
        _find(backend, _NAMESPACE, resource["namespaceName"])
        where = f"{backend.account_id}.{backend.region_name}.{SERVICE}.amazonaws.com"
        address = f"{resource['workgroupName']}.{where}"
        resource["endpoint"] = {"address": address, "port": resource["port"]}
    elif given.get("manageAdminPassword"):
        name = f"redshift!{resource['namespaceName']}-{resource['adminUsername']}"
        resource["adminPasswordSecretArn"] = arn(backend, "secretsmanager", f"secret:{name}")


def _get(kind: _Kind) -> Callable[[BaseBackend, Mapping[str, Any]], Resource]:
    return lambda backend, given: {kind.name: _find(backend, kind, given[kind.key])}


def _list(kind: _Kind) -> Callable[[BaseBackend, Mapping[str, Any]], Resource]:
    return lambda backend, given: {f"{kind.name}s": list(table(backend, kind.name).values())}


def _update(kind: _Kind) -> Callable[[BaseBackend, Mapping[str, Any]], Resource]:
    def update(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
        resource = _find(backend, kind, given[kind.key])
        _take(kind, resource, given)
        return {kind.name: resource}

    return update


def _delete(kind: _Kind) -> Callable[[BaseBackend, Mapping[str, Any]], Resource]:
    def delete(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
        resource = _find(backend, kind, given[kind.key])
        users = table(backend, _WORKGROUP.name).values() if kind is _NAMESPACE else ()
        if any(each["namespaceName"] == resource["namespaceName"] for each in users):
            raise RefusedError("ConflictException", "The namespace has a work group.")
        del table(backend, kind.name)[given[kind.key]]
        table(backend, "tags").pop(resource[f"{kind.name}Arn"], None)
        return {kind.name: resource}

    return delete


def _tags(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
    tags = table(backend, "tags").get(given["resourceArn"])
    if tags is None:
        raise RefusedError("ResourceNotFoundException", "There is no such resource.")
    return tags


def _list_tags(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
    tags = _tags(backend, given)
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def _tag(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
    _tags(backend, given).update({tag["key"]: tag["value"] for tag in given["tags"]})
    return {}


def _untag(backend: BaseBackend, given: Mapping[str, Any]) -> Resource:
    tags = _tags(backend, given)
    for key in given["tagKeys"]:
        tags.pop(key, None)
    return {}


_OPERATIONS: Mapping[str, Callable[[BaseBackend, Mapping[str, Any]], Resource]] = {
    **{
        f"{verb}{kind.name.capitalize()}{plural}": make(kind)
        for kind in (_NAMESPACE, _WORKGROUP)
        for verb, plural, make in (
            ("Create", "", _create),
            ("Get", "", _get),
            ("List", "s", _list),
            ("Update", "", _update),
            ("Delete", "", _delete),
        )
    },
    "ListTagsForResource": _list_tags,
    "TagResource": _tag,
    "UntagResource": _untag,
}
