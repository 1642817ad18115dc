"""EKS's pod identity associations."""

from __future__ import annotations

import uuid

from moto.core.responses import ActionResult
from moto.eks.exceptions import ResourceInUseException
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse

from pocket.emulator.core.tables import Resource, arn
from pocket.emulator.eks.kinds import (
    ASSOCIATION,
    ROLE,
    all_of,
    change,
    cluster_of,
    find,
    keep,
    name_of,
    now,
    refusal,
    remove,
)


def create_pod_identity_association(self: EKSResponse) -> ActionResult:
    association = associate(
        self.eks_backend,
        cluster_of(self),
        self._get_param("namespace"),
        self._get_param("serviceAccount"),
        self._get_param("roleArn"),
        self._get_param("tags") or {},
    )
    change(self, association, ("disableSessionTags", "targetRoleArn", "policy"))
    return ActionResult({"association": association})


def associate(
    backend: EKSBackend,
    cluster: str,
    namespace: str,
    account: str,
    role: str,
    tags: dict[str, str],
) -> Resource:
    if not ROLE.fullmatch(role or ""):
        raise refusal(f"Invalid role ARN: {role}")
    for other in all_of(backend, ASSOCIATION, cluster):
        if (other["namespace"], other["serviceAccount"]) == (namespace, account):
            raise ResourceInUseException(
                clusterName=cluster,
                message="Association already exists: "
                f"{other['associationId']} for {namespace}/{account}",
            )
    name = f"a-{uuid.uuid4().hex[:17]}"
    association: Resource = {
        "clusterName": cluster,
        "namespace": namespace,
        "serviceAccount": account,
        "roleArn": role,
        "associationArn": arn(backend, "eks", f"podidentityassociation/{cluster}/{name}"),
        "associationId": name,
        "tags": tags,
        "createdAt": now(),
        "modifiedAt": now(),
        "disableSessionTags": False,
    }
    return keep(backend, ASSOCIATION, cluster, name, association)


def describe_pod_identity_association(self: EKSResponse) -> ActionResult:
    return ActionResult({"association": _association(self)})


def list_pod_identity_associations(self: EKSResponse) -> ActionResult:
    wanted = {
        name: self._get_param(name)
        for name in ("namespace", "serviceAccount")
        if self._get_param(name)
    }
    found = [
        one
        for one in all_of(self.eks_backend, ASSOCIATION, cluster_of(self))
        if all(one[name] == value for name, value in wanted.items())
    ]
    return ActionResult({"associations": found})


def update_pod_identity_association(self: EKSResponse) -> ActionResult:
    association = _association(self)
    change(self, association, ("roleArn", "disableSessionTags", "targetRoleArn", "policy"))
    return ActionResult({"association": association})


def delete_pod_identity_association(self: EKSResponse) -> ActionResult:
    name = name_of(self, "associationId")
    return ActionResult(
        {"association": remove(self.eks_backend, ASSOCIATION, cluster_of(self), name)}
    )


def _association(request: EKSResponse) -> Resource:
    name = name_of(request, "associationId")
    return find(request.eks_backend, ASSOCIATION, cluster_of(request), name)
