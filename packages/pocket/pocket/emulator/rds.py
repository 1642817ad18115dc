"""RDS: a subnet group survives its change, which moto forgets, and a database goes forward only.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.rds.exceptions import (
    DBParameterGroupNotFoundError,
    DBSubnetGroupNotFoundError,
    RDSClientError,
)
from moto.rds.models import RDSBackend
from moto.rds.responses import RDSResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add, replace


def install(context: Context) -> None:
    """Keep the group, reset parameters, and refuse versions and disks that go back."""
    add(RDSResponse, reset_db_parameter_group)

    @replace(RDSBackend, "modify_db_subnet_group")
    def modify(original: Any, backend: RDSBackend, subnet_name: str, *given: Any) -> Any:
        if subnet_name not in backend.subnet_groups:
            raise DBSubnetGroupNotFoundError(subnet_name)
        group = original(backend, subnet_name, *given)
        backend.subnet_groups[subnet_name] = group
        return group

    @replace(RDSBackend, "modify_db_instance")
    def modify_instance(
        original: Any, backend: RDSBackend, db_instance_identifier: str, db_kwargs: dict[str, Any]
    ) -> Any:
        (standing,) = backend.describe_db_instances(db_instance_identifier)
        version = db_kwargs.get("engine_version")
        if version and _goes_back(str(version), str(standing.engine_version)):
            raise RDSClientError(
                "InvalidParameterCombination",
                f"Cannot upgrade {standing.engine} from {standing.engine_version} to {version}",
            )
        disk = db_kwargs.get("allocated_storage")
        if disk and int(disk) < int(standing.allocated_storage):
            raise RDSClientError(
                "InvalidParameterValue",
                f"Invalid storage size: {disk} is less than the {standing.allocated_storage} GiB"
                " that are allocated",
            )
        most, has = db_kwargs.get("max_allocated_storage"), int(disk or standing.allocated_storage)
        if most and int(most) != has and int(most) * 10 < has * 11:
            raise RDSClientError(
                "InvalidParameterCombination",
                f"Invalid max storage size: {most} leaves no tenth above the {has} GiB that are"
                " allocated",
            )
        return original(backend, db_instance_identifier, db_kwargs)


def reset_db_parameter_group(self: RDSResponse) -> ActionResult:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ResetDBParameterGroup.html"""
    name = self.params.get("DBParameterGroupName")
    if name not in self.backend.db_parameter_groups:
        raise DBParameterGroupNotFoundError(name)
    parameters = self.backend.db_parameter_groups[name].parameters
    named = [each.original_dict()["ParameterName"] for each in self.params.get("Parameters") or []]
    if self.params.get("ResetAllParameters", not named):
        parameters.clear()
    for parameter in named:
        parameters.pop(parameter, None)
    return ActionResult({"DBParameterGroupName": name})


def _goes_back(version: str, standing: str) -> bool:
    """Whether a version is older, as far as both name one: 17 is any of 17."""
    wanted, there = ([int(part) for part in text.split(".")] for text in (version, standing))
    return wanted < there[: len(wanted)]
