"""Updates of clusters that can be followed, Kubernetes versions, and what goes with a cluster."""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from moto.core.responses import ActionResult
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse

from pocket.emulator.core.patching import replace
from pocket.emulator.core.tables import table
from pocket.emulator.eks.kinds import (
    ADDON,
    ASSOCIATION,
    ENTRY,
    UPDATE,
    all_of,
    cluster_of,
    find,
    name_of,
    now,
    refusal,
    updated,
)

_VERSIONS: Mapping[str, tuple[str, str, str]] = {
    "1.31": ("2024-09-26", "2025-11-26", "2026-11-26"),
    "1.32": ("2025-01-23", "2026-03-23", "2027-03-23"),
    "1.33": ("2025-05-29", "2026-07-29", "2027-07-29"),
    "1.34": ("2025-10-02", "2026-12-02", "2027-12-02"),
    "1.35": ("2026-01-27", "2027-03-27", "2028-03-27"),
}
"""Kubernetes releases on EKS: from when, and the ends of standard and of extended support."""


def describe_update(self: EKSResponse) -> ActionResult:
    update = find(self.eks_backend, UPDATE, cluster_of(self), name_of(self, "updateId"))
    return ActionResult({"update": update})


def list_updates(self: EKSResponse) -> ActionResult:
    updates = all_of(self.eks_backend, UPDATE, cluster_of(self))
    return ActionResult({"updateIds": [update["id"] for update in updates]})


def describe_cluster_versions(self: EKSResponse) -> ActionResult:
    wanted = self.querystring.get("clusterVersions") or list(_VERSIONS)
    days = {
        version: [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in _VERSIONS[version]]
        for version in wanted
        if version in _VERSIONS
    }
    found = [
        {
            "clusterVersion": version,
            "clusterType": "eks",
            "defaultVersion": version == max(_VERSIONS),
            "releaseDate": released,
            "endOfStandardSupportDate": standard,
            "endOfExtendedSupportDate": extended,
            "versionStatus": _support(standard, extended),
        }
        for version, (released, standard, extended) in days.items()
    ]
    return ActionResult({"clusterVersions": found})


def _support(standard: datetime, extended: datetime) -> str:
    if now() < standard:
        return "STANDARD_SUPPORT"
    return "EXTENDED_SUPPORT" if now() < extended else "UNSUPPORTED"


def update_cluster_version(self: EKSResponse) -> ActionResult:
    name, version = cluster_of(self), self._get_param("version")
    standing = self.eks_backend.clusters[name].version
    if version not in _VERSIONS:
        raise refusal(f"unsupported Kubernetes version {version}")
    if _minor(version) - _minor(standing) != 1:
        raise refusal(f"Unsupported Kubernetes minor version update from {standing} to {version}")
    self.eks_backend.clusters[name].version = version
    update = updated(self.eks_backend, name, "VersionUpdate", {"Version": version})
    return ActionResult({"update": update})


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def update_nodegroup_version(self: EKSResponse) -> ActionResult:
    name = cluster_of(self)
    group = self.eks_backend.describe_nodegroup(name, name_of(self, "nodegroupName"))
    for parameter, attribute in (("version", "version"), ("releaseVersion", "release_version")):
        if self._get_param(parameter):
            setattr(group, attribute, self._get_param(parameter))
    params = {"Version": self._get_param("version")}
    return ActionResult({"update": updated(self.eks_backend, name, "VersionUpdate", params)})


def _authority() -> bytes:
    """A certificate, in PEM, as a cluster's own authority has one: clients load it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + timedelta(days=3650),
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def follow_clusters() -> None:
    """What belongs to a cluster goes with it, and its first administrator gets an access entry."""

    @replace(EKSBackend, "delete_cluster")
    def delete(original: Callable[..., Any], backend: EKSBackend, name: str) -> Any:
        cluster = original(backend, name)
        for kind in (ADDON, ENTRY, ASSOCIATION, UPDATE):
            rows = table(backend, kind.table)
            for key in [key for key in rows if key.startswith(f"{name}\n")]:
                del rows[key]
        return cluster

    @replace(EKSResponse, "create_cluster")
    def create(original: Callable[..., Any], self: EKSResponse) -> ActionResult:
        answer: ActionResult = original(self)
        cluster = self.eks_backend.clusters[self._get_param("name")]
        # moto makes one of each up for a whole process, and IAM takes an issuer only once.
        identity, region = uuid.uuid4().hex.upper(), self.region
        issuer = f"https://oidc.eks.{region}.amazonaws.com/id/{identity}"
        cluster.identity = {"oidc": {"issuer": issuer}}
        cluster.endpoint = f"https://{identity}.gr7.{region}.eks.amazonaws.com"
        cluster.certificate_authority = {"data": b64encode(_authority()).decode()}
        access = self._get_param("accessConfig") or {}
        cluster.access_config = {  # type: ignore[attr-defined]
            "authenticationMode": access.get("authenticationMode") or "CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": access.get(
                "bootstrapClusterCreatorAdminPermissions", True
            ),
        }
        for parameter, attribute in (
            ("upgradePolicy", "upgrade_policy"),
            ("deletionProtection", "deletion_protection"),
            ("zonalShiftConfig", "zonal_shift_config"),
        ):
            if self._get_param(parameter) is not None:
                setattr(cluster, attribute, self._get_param(parameter))
        return answer
