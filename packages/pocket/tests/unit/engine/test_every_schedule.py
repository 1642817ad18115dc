"""The engine's core under every order in which its threads can go on.

Small programs of which each registration is a thread that may lose its turn at each call of a
provider. Whatever the order, also with a call that fails: nobody waits for ever, nothing is deleted
twice, what the state says is what is there, and the next run brings about the rest.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from pocket.engine import run as engine_run
from pocket.engine import state as states
from pocket.engine import urns
from pocket.engine.config import Config
from pocket.engine.journal import Snapshot
from pocket.engine.known_providers import Identity
from pocket.engine.providers import Registry
from pocket.engine.run import Run
from pocket.engine.scheduler import StoppedError
from pocket.engine.secrets import Crypter
from pocket.engine.state import Deployment
from pocket.engine.steps import Goal, Op
from pocket.errors import DeploymentError
from pocket_testing.schedules import Schedule, event_of, every_schedule
from pocket_testing.shelf import Shelf, ShelfProvider

THING, PROVIDER = "shelf:index:Thing", "pulumi:providers:shelf"
PREEMPTIONS, MOST = 2, 60


class MemoryShelf(Shelf):
    """A shelf without a disk."""

    def __init__(self) -> None:
        self._things: dict[str, dict[str, Any]] = {}
        self._log: list[str] = []

    def things(self) -> dict[str, dict[str, Any]]:
        return dict(self._things)

    def put(self, thing: dict[str, Any]) -> None:
        self._things[thing["id"]] = thing

    def get(self, identity: str) -> dict[str, Any] | None:
        return self._things.get(identity)

    def remove(self, identity: str) -> None:
        self._things.pop(identity, None)

    def log(self, line: str) -> None:
        self._log.append(line)

    def calls(self) -> list[str]:
        return list(self._log)


class Stopping(ShelfProvider):
    """Loses its turn before each call, and after those that change something; one call may fail."""

    def __init__(self, shelf: Shelf, schedule: Schedule, fault: str) -> None:
        super().__init__(shelf)
        self._schedule = schedule
        self._fault = fault

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._schedule.point()
        return super().Check(request, context)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._schedule.point()
        return super().Diff(request, context)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._changing("create", request, context, super().Create)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._changing("update", request, context, super().Update)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._changing("delete", request, context, super().Delete)

    def _changing(self, verb: str, request: Any, context: Any, call: Any) -> Any:
        self._schedule.point()
        if self._fault == f"{verb} {urns.name_of(request.urn)}":
            context.abort(grpc.StatusCode.UNKNOWN, "was told to fail")
        answer = call(request, context)
        self._schedule.point()
        return answer


Wanted = Mapping[str, Mapping[str, Any]]
"""Resources by name, each with its inputs, in which ``$a`` is the label of the resource a."""


@dataclass
class World:
    """A stack in memory."""

    shelf: MemoryShelf = field(default_factory=MemoryShelf)
    deployment: Deployment = field(default_factory=Deployment)

    def up(self, wanted: Wanted, schedule: Schedule, fault: str = "") -> Run:
        """One run, as far as it comes; `deployment` is the state afterwards."""
        run = Run(
            identity=Identity("demo", "dev"),
            snapshot=Snapshot(self.deployment, None, Crypter("x")),
            registry=Registry({"shelf": lambda: Stopping(self.shelf, schedule, fault)}),
            config=Config(),
            dry_run=False,
            listener=lambda event: None,
            parallel=1,
            stack_outputs=lambda name: {},
        )
        run.recover()
        goal = Goal(urns.make("dev", "demo", "", PROVIDER, "p"), PROVIDER, "p", True, {})
        provider = run.register(goal)
        registered: dict[str, states.ResourceState] = {}

        def act(name: str) -> None:
            inputs = dict(wanted[name])
            options = inputs.pop("options", {})
            needs = {key: re.findall(r"\$(\w+)", str(one)) for key, one in inputs.items()}
            needed = {other for others in needs.values() for other in others}
            schedule.until(lambda: run.failure is not None or registered.keys() >= needed)
            run.check_running()
            alias = [urns.Alias(name=options["alias"])] if "alias" in options else []
            inputs |= {
                key: " ".join(str(registered[other].outputs["label"]) for other in others)
                for key, others in needs.items()
                if others
            }
            property_dependencies = {
                key: tuple(registered[other].urn for other in others)
                for key, others in needs.items()
            }
            goal = Goal(
                urns.make("dev", "demo", "", THING, name),
                THING,
                name,
                True,
                inputs,
                provider=f"{provider.urn}::{provider.id}",
                dependencies=tuple(sorted(registered[other].urn for other in needed)),
                property_dependencies=property_dependencies,
            )
            registered[name] = run.register(goal, alias)

        try:
            schedule.run({name: partial(act, name) for name in wanted})
            if run.failure is None:
                run.delete_leftovers()
        except DeploymentError:
            assert fault
        finally:
            self.deployment = run.snapshot.deployment()
        return run


LETTING_GO = (
    {"a": {"kind": "1"}, "b": {"kind": "$a"}, "c": {"kind": "$a"}, "d": {"kind": "$b"}},
    {"a": {"kind": "2"}, "b": {"kind": "x"}, "c": {"kind": "$a"}, "d": {"kind": "x"}},
)
CHAIN = (
    {"a": {"kind": "1"}, "b": {"kind": "$a"}, "c": {"kind": "$b"}, "d": {"links": "$a"}},
    {"a": {"kind": "2"}, "b": {"kind": "$a"}, "c": {"kind": "$b"}, "d": {"links": "$a"}},
)
BELOW_TWO: dict[str, dict[str, Any]] = {"c": {"kind": "$a", "links": "$b"}, "d": {"kind": "$c"}}
TWO_ROOTS = (
    {"a": {"kind": "1"}, "b": {"kind": "1"}, **BELOW_TWO},
    {"a": {"kind": "2"}, "b": {"kind": "2"}, **BELOW_TWO},
)
SHARED: dict[str, dict[str, Any]] = {"c": {"kind": "$a $b"}, "d": {"kind": "$c"}}
BOTH_ROOTS = (
    {"a": {"kind": "1"}, "b": {"kind": "1"}, **SHARED},
    {"a": {"kind": "2"}, "b": {"kind": "2"}, **SHARED},
)
ROOTS_LET_GO = (
    {"a": {"kind": "1"}, "b": {"kind": "$a"}, "c": {"kind": "$b"}},
    {"a": {"kind": "2"}, "b": {"kind": "2"}, "c": {"kind": "3"}},
)
RENAMED: tuple[Wanted, Wanted] = (
    {"a": {"kind": "1"}, "b": {"kind": "$a"}, "c": {"kind": "$b"}},
    {
        "a": {"kind": "2"},
        "new": {"kind": "x", "options": {"alias": "b"}},
        "c": {"kind": "x"},
    },
)
GONE: tuple[Wanted, Wanted] = (
    {"a": {"kind": "1"}, "b": {"kind": "$a"}, "c": {"kind": "$b"}, "d": {"size": 1}},
    {"a": {"kind": "2"}, "d": {"kind": "$a"}},
)
PROGRAMS: dict[str, tuple[Wanted, Wanted]] = {
    "letting go": LETTING_GO,
    "chain": CHAIN,
    "two roots": TWO_ROOTS,
    "both roots": BOTH_ROOTS,
    "roots let go": ROOTS_LET_GO,
    "renamed": RENAMED,
    "gone": GONE,
}


KEEPING = ("chain", "two roots", "both roots")
"""Programs in which whatever depended on another still does."""


def check_order(program: Wanted, deleted: list[str]) -> None:
    """What cannot be without another is deleted before it."""
    for name, inputs in program.items():
        for other in re.findall(r"\$(\w+)", inputs.get("kind", "")):
            if name in deleted and other in deleted:
                assert deleted.index(name) < deleted.index(other), deleted


def check(world: World) -> None:
    """The state is whole, and what it says is there."""
    states.verify(world.deployment)
    known = [one.id for one in world.deployment.resources if one.type == THING and one.id]
    there = {one.id for one in world.deployment.resources if not one.pending_replacement}
    assert set(world.shelf.things()) == {one for one in known if one in there}


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        *((name, "") for name in PROGRAMS),
        ("gone", "delete c"),
        *(
            pytest.param(name, fault, marks=pytest.mark.long)
            for name, faults in {
                "letting go": ("delete b", "create a", "delete a", "create c"),
                "two roots": ("delete d", "create b"),
                "both roots": ("delete c", "delete b"),
                "renamed": ("create new",),
            }.items()
            for fault in faults
        ),
    ],
)
def test_whatever_the_order(program: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = PROGRAMS[program]

    def attempt(schedule: Schedule) -> None:
        world = World()
        world.up(before, Schedule(()))
        lines = len(world.shelf.calls())
        seams = SimpleNamespace(Event=event_of(schedule), RLock=threading.RLock)
        monkeypatch.setattr(engine_run, "threading", seams)
        run = world.up(after, schedule, fault)
        monkeypatch.setattr(engine_run, "threading", threading)
        deleted = Counter(line for line in world.shelf.calls()[lines:] if line.startswith("delete"))
        assert max(deleted.values(), default=0) <= 1, deleted
        if program in KEEPING:
            check_order(before, [re.split("[ -]", line)[1] for line in deleted])
        if fault:
            assert run.failure is not None
            assert "was told to fail" in run.failure.what
            assert all(
                isinstance(each, DeploymentError | StoppedError)
                for each in schedule.failures.values()
            ), schedule.failures
        else:
            assert schedule.failures == {}
            check(world)
        again = world.up(after, Schedule(()))
        assert again.failure is None
        check(world)
        if not fault:
            assert {one.op for one in again.executor.steps} == {Op.SAME}

    tried = sum(1 for _ in every_schedule(attempt, preemptions=PREEMPTIONS, most=MOST))
    assert tried > 5
