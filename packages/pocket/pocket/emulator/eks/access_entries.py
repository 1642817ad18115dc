"""EKS's access entries, and the policies associated with them."""

from __future__ import annotations

import re
import uuid

from moto.core.responses import ActionResult, EmptyResult
from moto.eks.exceptions import ResourceNotFoundException
from moto.eks.responses import EKSResponse

from pocket.emulator.core.tables import Resource, arn
from pocket.emulator.eks.kinds import (
    ENTRY,
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

_ENTRY_TYPES = ("STANDARD", "FARGATE_LINUX", "EC2_LINUX", "EC2_WINDOWS", "EC2", "HYBRID_LINUX")
_ACCESS_POLICY = re.compile(r"arn:[\w-]+:eks::aws:cluster-access-policy/Amazon\w+")
_PRINCIPAL = re.compile(r"arn:[\w-]+:(iam::\d{12}:(role|user)/.+|sts::\d{12}:.+)")


def create_access_entry(self: EKSResponse) -> ActionResult:
    cluster, backend = cluster_of(self), self.eks_backend
    principal, kind = self._get_param("principalArn"), self._get_param("type") or "STANDARD"
    if not _PRINCIPAL.fullmatch(principal):
        raise refusal(f"The principalArn parameter format is not valid: {principal}")
    if kind not in _ENTRY_TYPES:
        raise refusal(f"The type {kind} is not one of {', '.join(_ENTRY_TYPES)}")
    groups = self._get_param("kubernetesGroups") or []
    if any(group.startswith("system:") for group in groups):
        raise refusal("The kubernetes group name must not start with system:")
    entry: Resource = {
        "clusterName": cluster,
        "principalArn": principal,
        "kubernetesGroups": groups,
        "accessEntryArn": arn(
            backend,
            "eks",
            f"access-entry/{cluster}/{principal.split(':', 5)[5]}/{uuid.uuid4()}",
        ),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": self._get_param("tags") or {},
        "username": self._get_param("username") or principal,
        "type": kind,
        "policies": {},
    }
    return ActionResult({"accessEntry": keep(backend, ENTRY, cluster, principal, entry)})


def describe_access_entry(self: EKSResponse) -> ActionResult:
    return ActionResult({"accessEntry": _entry(self)})


def list_access_entries(self: EKSResponse) -> ActionResult:
    policy = self._get_param("associatedPolicyArn")
    entries = all_of(self.eks_backend, ENTRY, cluster_of(self))
    names = [one["principalArn"] for one in entries if not policy or policy in one["policies"]]
    return ActionResult({"accessEntries": names})


def update_access_entry(self: EKSResponse) -> ActionResult:
    entry = _entry(self)
    change(self, entry, ("kubernetesGroups", "username"))
    return ActionResult({"accessEntry": entry})


def delete_access_entry(self: EKSResponse) -> EmptyResult:
    remove(self.eks_backend, ENTRY, cluster_of(self), name_of(self, "principalArn"))
    return EmptyResult()


def associate_access_policy(self: EKSResponse) -> ActionResult:
    entry, policy = _entry(self), self._get_param("policyArn")
    scope = self._get_param("accessScope") or {}
    if not _ACCESS_POLICY.fullmatch(policy):
        raise refusal(f"The policyArn parameter format is not valid: {policy}")
    if scope.get("type") == "namespace" and not scope.get("namespaces"):
        raise refusal("An access scope of the type namespace needs namespaces")
    associated = {
        "policyArn": policy,
        "accessScope": {"namespaces": [], **scope},
        "associatedAt": now(),
        "modifiedAt": now(),
    }
    entry["policies"][policy] = associated
    return ActionResult(
        {
            "clusterName": entry["clusterName"],
            "principalArn": entry["principalArn"],
            "associatedAccessPolicy": associated,
        }
    )


def disassociate_access_policy(self: EKSResponse) -> EmptyResult:
    entry, policy = _entry(self), name_of(self, "policyArn")
    if entry["policies"].pop(policy, None) is None:
        raise ResourceNotFoundException(
            clusterName=entry["clusterName"],
            message=f"The policy {policy} is not associated with {entry['principalArn']}.",
        )
    return EmptyResult()


def list_associated_access_policies(self: EKSResponse) -> ActionResult:
    entry = _entry(self)
    return ActionResult(
        {
            "clusterName": entry["clusterName"],
            "principalArn": entry["principalArn"],
            "associatedAccessPolicies": list(entry["policies"].values()),
        }
    )


def _entry(request: EKSResponse) -> Resource:
    principal = name_of(request, "principalArn")
    return find(request.eks_backend, ENTRY, cluster_of(request), principal)
