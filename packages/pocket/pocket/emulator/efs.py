"""What moto's EFS lacks: backups switched on and off, policies removed, throughput changed, and
the VPC's default security group for a mount target that is given none.

Source: https://docs.aws.amazon.com/efs/latest/ug/api-reference.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.efs.exceptions import FileSystemNotFound
from moto.efs.models import EFSBackend, FileSystem, MountTarget
from moto.efs.responses import TYPE_RESPONSE, EFSResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add, replace

_JSON: dict[str, str | int] = {"Content-Type": "application/json"}
_BACKUP_POLICY = "pocket_backup_policy"


def install(context: Context) -> None:
    """Give EFS the operations."""
    for added in (put_backup_policy, delete_file_system_policy, update_file_system):
        add(EFSResponse, added)

    @replace(EFSBackend, "create_mount_target")
    def create(
        original: Callable[..., Any], backend: EFSBackend, *given: Any, **asked: Any
    ) -> MountTarget:
        target: MountTarget = original(backend, *given, **asked)
        if not target.security_groups:
            ec2 = backend.ec2_backend
            vpc = ec2.get_subnet(target.subnet_id).vpc_id
            default = ec2.get_security_group_by_name_or_id("default", vpc_id=vpc)
            target.security_groups = [default.id] if default else []
        return target

    replace(EFSBackend, "describe_backup_policy")(_as_it_was_put)
    replace(EFSBackend, "describe_file_system_policy")(_of_what_exists)


def _of_what_exists(original: Callable[..., Any], backend: EFSBackend, file_system_id: str) -> Any:
    if file_system_id not in backend.file_systems_by_id:
        raise FileSystemNotFound(file_system_id)
    return original(backend, file_system_id)


def _as_it_was_put(original: Callable[..., Any], backend: EFSBackend, file_system_id: str) -> Any:
    """A policy that says DISABLED is one; moto knows only whether there are backups."""
    file_system = backend.file_systems_by_id.get(file_system_id)
    kept = getattr(file_system, _BACKUP_POLICY, None)
    return kept or _of_what_exists(original, backend, file_system_id)


def _file_system(request: EFSResponse) -> FileSystem:
    identifier = request._get_param("FileSystemId")
    if identifier not in request.efs_backend.file_systems_by_id:
        raise FileSystemNotFound(identifier)
    return request.efs_backend.file_systems_by_id[identifier]


def put_backup_policy(self: EFSResponse) -> TYPE_RESPONSE:
    policy: dict[str, Any] = self._get_param("BackupPolicy")
    file_system = _file_system(self)
    file_system._backup = policy["Status"] == "ENABLED"
    setattr(file_system, _BACKUP_POLICY, policy)
    return json.dumps({"BackupPolicy": policy}), _JSON


def delete_file_system_policy(self: EFSResponse) -> TYPE_RESPONSE:
    _file_system(self).file_system_policy = None  # type: ignore[assignment,unused-ignore]
    return "", _JSON


def update_file_system(self: EFSResponse) -> TYPE_RESPONSE:
    system = _file_system(self)
    system.throughput_mode = self._get_param("ThroughputMode") or system.throughput_mode
    system.provisioned_throughput_in_mibps = self._get_param("ProvisionedThroughputInMibps")
    return json.dumps(system.info_json()), {**_JSON, "status": 202}
