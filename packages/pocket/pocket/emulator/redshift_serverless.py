"""Redshift Serverless's control plane, which moto lacks: namespaces, work groups and their tags.

The answers are AWS's. Statements of a work group run by the Data API (`redshift_data`) on its
namespace's databases, as those of a cluster do. There are no snapshots: a namespace that is to
leave one is not deleted. Everything is kept on a backend of moto's kind, so that it is written to
disk, and counted, like the rest.

Source: https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.wrappers import Request, Response

from pocket.emulator.core.errors import RefusedError
from pocket.emulator.core.states import States
from pocket.emulator.core.tables import Resource, arn, table

SERVICE = "redshift-serverless"
_PORT = 5439


class ServerlessBackend(BaseBackend):
    """One account's and region's namespaces and work groups."""


serverless_backends = BackendDict(ServerlessBackend, SERVICE)


when_gone: list[Callable[[str], None]] = []
"""What is told where a deleted namespace's databases lie."""


def databases_of(region: str, workgroup: str) -> str:
    """Where the databases of a work group's namespace lie; empty where there is no such group."""
    backend = serverless_backends[DEFAULT_ACCOUNT_ID][region]
    found = table(backend, _WORKGROUP.name).get(workgroup)
    return _folder(backend, found["namespaceName"]) if found else ""


def _folder(backend: BaseBackend, namespace: str) -> str:
    return f"serverless/{backend.account_id}-{backend.region_name}-{namespace}"


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

WITH = ("redshift_data",)
"""What runs its statements."""
_KINDS = (_NAMESPACE, _WORKGROUP)
_STATES = {"Create": "CREATING", "Update": "MODIFYING", "Delete": "DELETING"}


def answer(request: Request, states: States) -> Response:
    """AWS's answer to a signed request of this service."""
    operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    backend = serverless_backends[DEFAULT_ACCOUNT_ID][_region(request)]
    given = json.loads(request.get_data() or b"{}")
    try:
        if operation not in _OPERATIONS:
            raise RefusedError("NotImplemented", f"The local cloud does not have {operation}.")
        with _passing(states, backend, operation, given) as passed:
            result = _OPERATIONS[operation](backend, given)
            passed.update(result)
        return _json(result)
    except RefusedError as refused:
        return _json({"__type": refused.code, "message": str(refused)}, status=400)


@contextlib.contextmanager
def _passing(
    states: States, backend: BaseBackend, operation: str, given: Mapping[str, Any]
) -> Iterator[Resource]:
    """What an operation makes, changes or deletes goes through its states; meanwhile it is let be.

    Raises:
        RefusedError: it is in a passing state already.
    """
    found = re.fullmatch(r"(Create|Update|Delete)(Namespace|Workgroup)", operation)
    result: Resource = {}
    if not found:
        yield result
        return
    verb, kind = found[1], {one.name: one for one in _KINDS}[found[2].lower()]
    place = (table(backend, kind.name), given[kind.key])
    there = place[0].get(place[1])
    state = states.passes(backend, there) if there else ""
    if state and verb != "Create":
        raise RefusedError("ConflictException", f"{place[1]} is {state}.")
    yield result
    resource = result[kind.name]
    if verb == "Delete" and states.delay:
        place[0][place[1]] = resource
    leaves = place if verb == "Delete" else None
    states.enter(backend, resource, "status", (_STATES[verb], "AVAILABLE"), leaves)


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
        _manage_password(backend, resource, given.get("adminPasswordSecretKmsKeyId"))


def _manage_password(backend: BaseBackend, namespace: Resource, key: str | None) -> None:
    """Make the administrator's password, and keep it in the secret where AWS would."""
    user = namespace["adminUsername"]
    secret = _secrets(backend).create_managed_secret(
        service_name="redshift",
        secret_id=f"redshift!{namespace['namespaceName']}-{user}",
        secret_string=json.dumps({"username": user, "password": f"Aa1{secrets.token_hex(14)}"}),
        description=f"The administrator of {namespace['namespaceName']}",
        kms_key_id=key,
        tags=[{"Key": "aws:redshift-serverless:namespaceArn", "Value": namespace["namespaceArn"]}],
    )
    namespace["adminPasswordSecretArn"] = secret.arn


def _secrets(backend: BaseBackend) -> Any:
    return secretsmanager_backends[backend.account_id][backend.region_name]


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
        if given.get("finalSnapshotName"):
            raise RefusedError("NotImplemented", "The local cloud makes no serverless snapshots.")
        del table(backend, kind.name)[given[kind.key]]
        if kind is _NAMESPACE:
            _clean_up(backend, resource)
        table(backend, "tags").pop(resource[f"{kind.name}Arn"], None)
        return {kind.name: resource}

    return delete


def _clean_up(backend: BaseBackend, namespace: Resource) -> None:
    """A namespace's secret and data go with it."""
    secret = namespace.get("adminPasswordSecretArn")
    if secret:
        _secrets(backend).delete_secret(
            secret, recovery_window_in_days=None, force_delete_without_recovery=True
        )
    for forget in when_gone:
        forget(_folder(backend, namespace["namespaceName"]))


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
        for kind in _KINDS
        for verb, plural, make in (
            ("Create", "", _create),
            ("Get", "", _get),
            ("List", "s", _list),
            ("Update", "", _update),
            ("Delete", "", _delete),
        )
    },
    "ListSnapshots": lambda backend, given: {"snapshots": []},
    "ListTagsForResource": _list_tags,
    "TagResource": _tag,
    "UntagResource": _untag,
}
