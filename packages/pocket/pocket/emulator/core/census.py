"""Everything that there is, whoever made it: what a teardown is measured by.

No call of AWS lists all of an account, and a list of calls can lack one. So the emulator looks
through its own backends: whatever a backend keeps by a name counts. Left out is what each account
comes with (a default VPC, AWS's own policies), and what AWS only remembers for a while (a key that
waits for its deletion, a gateway that is `deleted`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.base_backend import AccountSpecificBackend, BaseBackend
from moto.core.common_models import BaseModel
from moto.iam.models import AWSManagedPolicy

from pocket.emulator.core.patching import replace
from pocket.emulator.core.persistence import backends, in_use
from pocket.emulator.core.tables import PREFIX

_REMEMBERED = frozenset({"deleted", "deleting", "terminated", "pendingdeletion", "inactive"})
_STATES = ("state", "status", "key_state", "_status")
_DELETED = ("deleted_date", "deletion_date", "deleted")
_BORN = "pocket_born"
_NO_RESOURCES = frozenset({"pocket_born", "pocket_passing", "pocket_tags", "pocket_tags_by_arn"})
_DEPTH = 3


def census() -> list[str]:
    """The name of each thing: ``s3/us-east-1/buckets/rows``, say."""
    return sorted(
        f"{_service(module)}/{region}/{name}"
        for (module, _, _, region), backend in backends()
        for name in set(_of(backend)) - backend.__dict__.get(_BORN, frozenset())
    )


def install() -> None:
    """Note, as an account's part of a service comes to be, what it comes with."""

    @replace(AccountSpecificBackend, "__getitem__")
    def get(original: Any, regions: AccountSpecificBackend[Any], region: str) -> BaseBackend:
        if region in regions.keys():  # noqa: SIM118 `in` asks for what there could be
            known: BaseBackend = original(regions, region)
            return known
        backend: BaseBackend = original(regions, region)
        backend.__dict__.setdefault(_BORN, frozenset(_of(backend)))
        return backend


def forget() -> None:
    """Let every account be as new."""
    for each in in_use():
        for _, _, backend in list(each.iter_backends()):
            if type(backend).reset is not BaseBackend.reset:
                backend.reset()  # holds more than memory: files, threads
        each.clear()


def _of(backend: BaseBackend) -> Iterator[str]:
    for attribute, value in list(backend.__dict__.items()):
        if attribute not in _NO_RESOURCES:
            for name in _names(value, own=attribute.startswith(PREFIX)):
                yield f"{attribute}/{name}"


def _service(module: str) -> str:
    return module.split(".")[-2] if module.startswith("moto.") else module.split(".")[-1]


def _names(value: Any, *, own: bool, depth: int = _DEPTH) -> Iterator[str]:
    """The names of the things in a backend's attribute, which may be a table of tables."""
    if not isinstance(value, Mapping) or not depth:
        return
    for name, thing in list(value.items()):
        if isinstance(thing, AWSManagedPolicy):
            continue
        if isinstance(thing, BaseModel) or (own and isinstance(thing, dict)):
            if not _is_only_remembered(thing):
                yield str(name).replace("\n", "/")
        elif isinstance(thing, Mapping):
            yield from (f"{name}/{inner}" for inner in _names(thing, own=own, depth=depth - 1))


def _is_only_remembered(thing: Any) -> bool:
    facts = thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})
    states = {str(facts.get(name, "")).lower() for name in _STATES}
    return bool(states & _REMEMBERED) or any(facts.get(name) for name in _DELETED)
