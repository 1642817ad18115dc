"""EKS's add-ons."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from moto.core.responses import ActionResult
from moto.eks.responses import EKSResponse

from pocket.emulator.core.tables import Resource, arn
from pocket.emulator.eks.kinds import (
    ADDON,
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
    updated,
)
from pocket.emulator.eks.pod_identity import associate

_ADDONS: Mapping[str, str] = {
    "vpc-cni": "v1.19.5-eksbuild.1",
    "coredns": "v1.11.4-eksbuild.2",
    "kube-proxy": "v1.32.3-eksbuild.2",
    "aws-ebs-csi-driver": "v1.44.0-eksbuild.1",
    "aws-efs-csi-driver": "v2.1.8-eksbuild.1",
    "eks-pod-identity-agent": "v1.3.7-eksbuild.2",
    "metrics-server": "v0.7.2-eksbuild.3",
    "amazon-cloudwatch-observability": "v4.0.0-eksbuild.1",
    "snapshot-controller": "v8.2.0-eksbuild.1",
    "eks-node-monitoring-agent": "v1.2.0-eksbuild.1",
}


def create_addon(self: EKSResponse) -> ActionResult:
    cluster, name = cluster_of(self), name_of(self, "addonName")
    if name not in _ADDONS:
        raise refusal(f"Addon {name} specified is not supported; supported: {', '.join(_ADDONS)}")
    role = self._get_param("serviceAccountRoleArn")
    if role and not ROLE.fullmatch(role):
        raise refusal(f"Invalid role ARN: {role}")
    backend = self.eks_backend
    addon: Resource = {
        "addonName": name,
        "clusterName": cluster,
        "status": "ACTIVE",
        "addonVersion": self._get_param("addonVersion") or _ADDONS[name],
        "health": {"issues": []},
        "addonArn": arn(backend, "eks", f"addon/{cluster}/{name}/{uuid.uuid4()}"),
        "createdAt": now(),
        "modifiedAt": now(),
        "serviceAccountRoleArn": role,
        "tags": self._get_param("tags") or {},
        "configurationValues": self._get_param("configurationValues"),
        "publisher": "eks",
        "owner": "aws",
    }
    keep(backend, ADDON, cluster, name, addon)
    addon["podIdentityAssociations"] = [
        associate(backend, cluster, "kube-system", one["serviceAccount"], one["roleArn"], {})[
            "associationArn"
        ]
        for one in self._get_param("podIdentityAssociations") or []
    ]
    return ActionResult({"addon": addon})


def describe_addon(self: EKSResponse) -> ActionResult:
    cluster = cluster_of(self)
    addon = find(self.eks_backend, ADDON, cluster, name_of(self, "addonName"))
    return ActionResult({"addon": addon})


def list_addons(self: EKSResponse) -> ActionResult:
    addons = all_of(self.eks_backend, ADDON, cluster_of(self))
    return ActionResult({"addons": [addon["addonName"] for addon in addons]})


def update_addon(self: EKSResponse) -> ActionResult:
    cluster, backend = cluster_of(self), self.eks_backend
    addon = find(backend, ADDON, cluster, name_of(self, "addonName"))
    changed = ("addonVersion", "serviceAccountRoleArn", "configurationValues")
    change(self, addon, changed)
    params = {
        "AddonVersion": self._get_param("addonVersion"),
        "ServiceAccountRoleArn": self._get_param("serviceAccountRoleArn"),
        "ConfigurationValues": self._get_param("configurationValues"),
        "ResolveConflicts": self._get_param("resolveConflicts"),
    }
    return ActionResult({"update": updated(backend, cluster, "AddonUpdate", params)})


def delete_addon(self: EKSResponse) -> ActionResult:
    cluster = cluster_of(self)
    addon = remove(self.eks_backend, ADDON, cluster, name_of(self, "addonName"))
    return ActionResult({"addon": {**addon, "status": "DELETING"}})


def describe_addon_versions(self: EKSResponse) -> ActionResult:
    wanted = self._get_param("addonName")
    version = self._get_param("kubernetesVersion")
    addons = [
        {
            "addonName": name,
            "type": "infra-management",
            "publisher": "eks",
            "owner": "aws",
            "addonVersions": [
                {
                    "addonVersion": release,
                    "architecture": ["amd64", "arm64"],
                    "compatibilities": [
                        {
                            "clusterVersion": version or "1.32",
                            "platformVersions": ["*"],
                            "defaultVersion": True,
                        }
                    ],
                    "requiresConfiguration": False,
                }
            ],
        }
        for name, release in _ADDONS.items()
        if wanted in (None, name)
    ]
    return ActionResult({"addons": addons})
