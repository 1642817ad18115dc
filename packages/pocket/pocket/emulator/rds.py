"""A database's subnet group survives its change: moto forgets the group that it modifies."""

from __future__ import annotations

from typing import Any

from moto.rds.exceptions import DBSubnetGroupNotFoundError
from moto.rds.models import RDSBackend

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace


def install(context: Context) -> None:
    """Keep the group."""

    @replace(RDSBackend, "modify_db_subnet_group")
    def modify(original: Any, backend: RDSBackend, subnet_name: str, *given: Any) -> Any:
        if subnet_name not in backend.subnet_groups:
            raise DBSubnetGroupNotFoundError(subnet_name)
        group = original(backend, subnet_name, *given)
        backend.subnet_groups[subnet_name] = group
        return group
