"""What the kinds of things in a cluster share: their tables, and finding, keeping and changing one.

Everything here is kept by (cluster, name), and goes with its cluster.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from moto.eks.exceptions import (
    InvalidParameterException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse

from pocket.emulator.core.tables import Resource, table

ROLE = re.compile(r"arn:[\w-]+:iam::\d{12}:role/.+")


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One kind of thing in a cluster: its table, and how a missing one is called."""

    table: str
    word: str


ADDON = _Kind(table="eks_addons", word="addon")
ENTRY = _Kind(table="eks_access_entries", word="access entry")
ASSOCIATION = _Kind(table="eks_pod_identities", word="pod identity association")
UPDATE = _Kind(table="eks_updates", word="update")


def now() -> datetime:
    return datetime.now(UTC)


def cluster_of(request: EKSResponse) -> str:
    """The cluster named in the path, which must exist."""
    name = str(request._get_param("clusterName") or request._get_param("name"))
    request.eks_backend.describe_cluster(name)
    return name


def name_of(request: EKSResponse, parameter: str) -> str:
    return unquote(str(request._get_param(parameter)))


def key_of(cluster: str, name: str) -> str:
    return f"{cluster}\n{name}"


def all_of(backend: EKSBackend, kind: _Kind, cluster: str) -> list[Resource]:
    return [
        one for key, one in table(backend, kind.table).items() if key.startswith(f"{cluster}\n")
    ]


def find(backend: EKSBackend, kind: _Kind, cluster: str, name: str) -> Resource:
    found = table(backend, kind.table).get(key_of(cluster, name))
    if found is None:
        raise ResourceNotFoundException(
            clusterName=cluster,
            nodegroupName=None,
            message=f"No {kind.word} found for name: {name} in cluster {cluster}.",
        )
    return found


def keep(backend: EKSBackend, kind: _Kind, cluster: str, name: str, made: Resource) -> Resource:
    if key_of(cluster, name) in table(backend, kind.table):
        raise ResourceInUseException(
            clusterName=cluster,
            nodegroupName=None,
            message=f"The {kind.word} {name} already exists in cluster {cluster}.",
        )
    table(backend, kind.table)[key_of(cluster, name)] = made
    return made


def remove(backend: EKSBackend, kind: _Kind, cluster: str, name: str) -> Resource:
    found = find(backend, kind, cluster, name)
    del table(backend, kind.table)[key_of(cluster, name)]
    return found


def refusal(message: str) -> InvalidParameterException:
    return InvalidParameterException(message=message)


def change(request: EKSResponse, resource: Resource, parameters: tuple[str, ...]) -> None:
    """Take over those of the parameters that were given."""
    for parameter in parameters:
        value = request._get_param(parameter)
        if value is not None:
            resource[parameter] = value
    resource["modifiedAt"] = now()


def updated(backend: EKSBackend, cluster: str, kind: str, params: Mapping[str, Any]) -> Resource:
    """A finished update, which DescribeUpdate finds again."""
    update: Resource = {
        "id": str(uuid.uuid4()),
        "status": "Successful",
        "type": kind,
        "params": [{"type": name, "value": str(value)} for name, value in params.items() if value],
        "createdAt": now(),
        "errors": [],
    }
    return keep(backend, UPDATE, cluster, update["id"], update)


def addon_place(self: EKSResponse) -> tuple[dict[str, Resource], str]:
    """Where the add-on is that a request names: its table, and its key."""
    return table(self.eks_backend, ADDON.table), key_of(
        cluster_of(self), name_of(self, "addonName")
    )
