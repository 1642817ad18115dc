"""Athena's work groups can be changed: moto creates and deletes them only.

Source: https://docs.aws.amazon.com/athena/latest/APIReference/API_UpdateWorkGroup.html
"""

from __future__ import annotations

from typing import Any

from moto.athena.exceptions import InvalidArgumentException
from moto.athena.responses import AthenaResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add

_RESULTS = ("ResultConfigurationUpdates", "ResultConfiguration")


def install(context: Context) -> None:
    """Give Athena the operation."""
    add(AthenaResponse, update_work_group)


def update_work_group(self: AthenaResponse) -> str:
    name, groups = self._get_param("WorkGroup"), self.athena_backend.work_groups
    if name not in groups:
        raise InvalidArgumentException(f"WorkGroup {name} is not found.")
    group = groups[name]
    if self._get_param("Description") is not None:
        group.description = self._get_param("Description")
    group.state = self._get_param("State") or group.state
    _reconfigure(group.configuration, self._get_param("ConfigurationUpdates") or {})
    return "{}"


def _reconfigure(configuration: dict[str, Any], updates: dict[str, Any]) -> None:
    """Take over what is named: ``Remove<Member>`` takes it away, the rest is set."""
    for name, value in updates.items():
        if name == _RESULTS[0]:
            _reconfigure(configuration.setdefault(_RESULTS[1], {}), value)
        elif name.startswith("Remove"):
            if value:
                configuration.pop(name.removeprefix("Remove"), None)
        else:
            configuration[name] = value
