"""EFS: files that several pods share, over TLS, each workload in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import efs

from contracts.environment import Environment
from infra.alarm import Alarm
from infra.concern import AwsConcern, DataClass, Outputs, Platform
from infra.keys import Keys
from infra.network import Network
from infra.policies import allow, deny, document

PORT: Final = 2049
MOUNT: Final = ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite")


class FileSystem(AwsConcern):
    """The file system, its mount targets and its access points."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("file-system", platform)
        self.settings = platform.environment.file_system
        self.files = self._file_system(platform[Keys].arns["files"])
        self._policies()
        self._mount(platform[Network])
        self.access_points = {
            workload: self._access_point(workload, user)
            for workload, user in self.settings.access_points.items()
        }
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.file_system.enabled

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Shared files."""
        return {"files": DataClass(services=("elasticfilesystem",))}

    def alarms(self) -> list[Alarm]:
        """A file system at its limit of operations."""
        return [
            Alarm(
                name="files-busy",
                description="EFS is near its limit of operations",
                namespace="AWS/EFS",
                metric="PercentIOLimit",
                dimensions={"FileSystemId": self.files.id},
                threshold=95,
            )
        ]

    def outputs(self) -> Outputs:
        """What pods mount."""
        return {
            "file_system": {
                "id": self.files.id,
                "access_points": {name: point.id for name, point in self.access_points.items()},
            }
        }

    def _file_system(self, key_arn: pulumi.Input[str]) -> efs.FileSystem:
        name = self.names.name("files")
        days = self.settings.infrequent_after.removesuffix("d")
        return efs.FileSystem(
            "files",
            creation_token=name,
            encrypted=True,
            kms_key_id=key_arn,
            performance_mode="generalPurpose",
            throughput_mode="elastic",
            lifecycle_policies=[
                {"transition_to_ia": f"AFTER_{days}_DAYS"},
                {"transition_to_primary_storage_class": "AFTER_1_ACCESS"},
            ],
            tags=self.tags(name),
            opts=self.child(holds_data=True),
        )

    def _policies(self) -> None:
        """TLS only, through a mount target, and AWS Backup by setting."""
        efs.FileSystemPolicy(
            "files",
            file_system_id=self.files.id,
            policy=document(
                allow(
                    "MountFromTheVpc",
                    MOUNT,
                    [self.files.arn],
                    to={"AWS": self.names.arn("iam", "root", regional=False)},
                    when={"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
                ),
                deny(
                    "TlsOnly",
                    [*MOUNT, "elasticfilesystem:ClientRootAccess"],
                    [self.files.arn],
                    when={"Bool": {"aws:SecureTransport": "false"}},
                ),
            ),
            opts=self.child(),
        )
        efs.BackupPolicy(
            "files",
            file_system_id=self.files.id,
            backup_policy={"status": "ENABLED" if self.settings.backups else "DISABLED"},
            opts=self.child(),
        )

    def _mount(self, network: Network) -> None:
        group = network.security_group(self, "files", "EFS", PORT)
        for place, subnet in network.placed["private"].items():
            efs.MountTarget(
                f"files-{place}",
                file_system_id=self.files.id,
                subnet_id=subnet,
                security_groups=[group.id],
                opts=self.child(),
            )

    def _access_point(self, workload: str, user: int) -> efs.AccessPoint:
        return efs.AccessPoint(
            workload,
            file_system_id=self.files.id,
            posix_user={"uid": user, "gid": user},
            root_directory={
                "path": f"/{workload}",
                "creation_info": {"owner_uid": user, "owner_gid": user, "permissions": "0750"},
            },
            tags=self.tags(self.names.name("files", workload)),
            opts=self.child(),
        )
