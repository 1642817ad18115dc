"""Rollouts on the laptop: the loop that a cluster's operator is elsewhere.

What a person wants (a version, a plan, a command) and what the loop knows are two files, each with
one writer, so that neither can overwrite the other: `<model>.wish.json` and `<model>.json`, in
`.millwright/<env>/rollouts/`. The loop may be killed at any moment and started again; a second one
beside it is refused. Every decision is a line of `<model>.history.jsonl`.

`laptop.loop` is the loop as a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout

from contracts.artifact import Version
from contracts.document import Document
from contracts.errors import RolloutError
from contracts.model import ServedModel, ServingSpec
from contracts.rollout import Decision, RolloutSpec, RolloutStatus, Target
from laptop.host import RolloutHost
from laptop.ports import LocalDeployment, LocalTelemetry, RegistryAliases
from laptop.serving import LocalServing
from pocket.files import write_whole
from serving.asked_for import check_artifact
from serving.rollout.aliases import RememberedAliases
from serving.rollout.core.controller import desired
from serving.rollout.core.observations import BEGINNING, Command
from serving.rollout.ports import AliasRegistry, NoRegistry, step
from serving.rollout.wishes import beginning, check_start, is_over, under_way

if TYPE_CHECKING:
    from data.model_registry import ModelRegistry

PACE = 1.0
"""Seconds between two steps at most: looks come at the plan's interval, everything else sooner."""


Kept = TypeVar("Kept", bound=Document)


class Order(Document):
    """A command, for one candidate: said again to a later one it would be another command."""

    command: Command
    version: Version


class Wish(Document):
    """What a person wants of a model's rollout."""

    wanted: Target | None = None
    plan: RolloutSpec
    orders: tuple[Order, ...] = ()


class LocalRollout:
    """A model's rollout on this machine.

    Args:
        root: the environment's folder, ``.millwright/<env>``.
        model: the model's document.
        serving: the laptop's Seldon.
        registry: whose aliases follow the rollout; None for none.
        host: starts the process that runs it; None where `run` is called by hand.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        root: Path,
        model: ServedModel,
        serving: LocalServing,
        *,
        registry: ModelRegistry | None = None,
        host: RolloutHost | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self._host = host
        self._serving = serving
        self._clock = clock
        self._files = _Files(root, model.name)
        self._registry: AliasRegistry = NoRegistry()
        if registry:
            # Beside the rollout: loading the registry's client takes seconds.
            self._registry = RememberedAliases(RegistryAliases(registry, model.name), beside=True)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    # -- what a person says ----------------------------------------------------------------------

    def start(
        self,
        target: Target,
        *,
        plan: RolloutSpec | None = None,
        serving: ServingSpec | None = None,
        retry: bool = False,
        judge: bool = False,
    ) -> None:
        """See `RolloutHandle.start`; the loop (`run`) does the rest.

        Args:
            target: the version and its artifact.
            plan: another plan than the model's.
            serving: not used: here the model's document says how each version is served.
            retry: also if it was rolled back before.
            judge: judge it again, also if it was judged before.

        Raises:
            RolloutError: it was rolled back before, it is the stable version already, or the
                artifact is another model's or version's.
            ServingError: the artifact cannot be read, or cannot be served.
        """
        with self._advised():
            check_start(self.model.name, self.status(), target, retry=retry)
        check_artifact(self.model.name, target)
        word = beginning(retry=retry, judge=judge)
        orders = (Order(command=word, version=target.version),) if word else ()
        self._files.put_wish(Wish(wanted=target, plan=plan or self.model.rollout, orders=orders))

    def say(self, command: Command) -> None:
        """Pause, resume, abort or promote the rollout under way.

        Raises:
            RolloutError: none is under way.
        """
        with self._advised():
            candidate = under_way(self.model.name, self.status())
        with self._files.wishing():
            wish = self._wish()
            order = Order(command=command, version=candidate.version)
            self._files.write_wish(wish.model_copy(update={"orders": (*wish.orders, order)}))

    def change(self, plan: RolloutSpec) -> None:
        """Another plan from the next look on."""
        with self._files.wishing():
            self._files.write_wish(self._wish().model_copy(update={"plan": plan}))

    @contextlib.contextmanager
    def _advised(self) -> Iterator[None]:
        """A refusal, with what to do where nothing serves: another version would take its place."""
        try:
            yield
        except RolloutError as error:
            if self._serves():
                raise
            fix = "Nothing of it runs now: `millwright up` brings back what was served."
            raise RolloutError(error.what, where=error.where, fix=fix) from None

    def _serves(self) -> bool:
        """Whether the stable version answers; True where there is none."""
        stable = self.status().stable
        if stable is None or self.name not in self._serving.names():
            return stable is None
        predictors = self._serving.observe(self.name).predictors
        return any(each.name == stable.predictor and each.ready for each in predictors)

    # -- what a person sees ----------------------------------------------------------------------

    def status(self) -> RolloutStatus:
        """What the loop last decided on."""
        return self._files.status() or RolloutStatus(model=self.model.name)

    def plan(self) -> RolloutSpec:
        """The plan in force."""
        return self._wish().plan

    def history(self) -> list[Decision]:
        """All decisions, oldest first."""
        return self._files.history()

    # -- who runs it -----------------------------------------------------------------------------

    def restore(self) -> None:
        """Serve again what the status says, where it is not known any more what was served."""
        predictors = desired(self.status())
        if predictors and self.name not in self._serving.names():
            model = self.model.model_copy(update={"rollout": self.plan()})
            LocalDeployment(self._serving, model).apply(predictors)

    def ensure_runner(self) -> None:
        """Make sure that the loop's process runs."""
        if self._host:
            self._host.start_loop(self.name)

    def has_runner(self) -> bool:
        """Whether the loop's process runs."""
        return self._host is None or self._host.loop_runs(self.name)

    @property
    def advice(self) -> str:
        """What to do when the loop has ended."""
        log = f"See {self._host.loop_log(self.name)}; " if self._host else ""
        return f"{log}`millwright rollout resume {self.name}` starts it again."

    @property
    def pace(self) -> float:
        """Seconds between two readings: they are files of this machine."""
        return 0.25

    # -- the loop --------------------------------------------------------------------------------

    def run(
        self,
        *,
        watch: Callable[[RolloutStatus], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> RolloutStatus:
        """Step until the rollout is over.

        Args:
            watch: called after each step.
            stop: asked after each step whether to leave, with the rollout where it is.

        Raises:
            RolloutError: another loop runs it.
        """
        with self._files.looping():
            self._files.complete_history(self.status().decisions)
            while True:
                status = self._step()
                if watch:
                    watch(status)
                if stop() or (self.over(status) and not self._aliases_awaited()):
                    return status
                time.sleep(min(PACE, self.plan().interval / 4))

    def _aliases_awaited(self) -> bool:
        return isinstance(self._registry, RememberedAliases) and self._registry.awaited

    def over(self, status: RolloutStatus) -> bool:
        """Whether nothing is left to do: a verdict, confirmed, and no other version wanted."""
        wanted = self._wish().wanted
        return is_over(status, wanted.version if wanted else None)

    def _step(self) -> RolloutStatus:
        wish, status = self._wish(), self.status()
        current = status.candidate or wish.wanted
        orders = [order for order in wish.orders if current and order.version == current.version]
        waiting = [
            order
            for order in wish.orders
            if order not in orders
            and order.command in BEGINNING
            and wish.wanted
            and order.version == wish.wanted.version
        ]
        model = self.model.model_copy(update={"rollout": wish.plan})
        status = step(
            wish.plan,
            status,
            wanted=wish.wanted,
            commands=frozenset(order.command for order in orders),
            deployment=LocalDeployment(self._serving, model),
            telemetry=LocalTelemetry(self._serving, model.name),
            registry=self._registry,
            clock=self._clock,
            save=self._files.put_status,
            record=self._files.add,
        )
        if len(wish.orders) > len(waiting):
            self._forget(wish.orders, waiting)
        return status

    def _forget(self, seen: tuple[Order, ...], waiting: Sequence[Order]) -> None:
        """Remove the orders that this step has seen, but for those that wait; those given since
        stay.
        """
        with self._files.wishing():
            wish = self._wish()
            if wish.orders[: len(seen)] == seen:
                left = (*waiting, *wish.orders[len(seen) :])
                self._files.write_wish(wish.model_copy(update={"orders": left}))

    def _wish(self) -> Wish:
        return self._files.wish() or Wish(plan=self.model.rollout)


class _Files:
    """The files of one model's rollout."""

    def __init__(self, root: Path, model: str) -> None:
        self._folder = Path(root) / "rollouts"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._model = model

    def status(self) -> RolloutStatus | None:
        return self._document(RolloutStatus, ".json")

    def put_status(self, status: RolloutStatus) -> None:
        self._write(".json", status.model_dump_json(indent=1))

    def wish(self) -> Wish | None:
        return self._document(Wish, ".wish.json")

    def _document(self, kind: type[Kept], ending: str) -> Kept | None:
        """What is kept; of another release, or broken, it is an error for a person, not a crash."""
        text, where = self._read(ending), str(self._path(ending))
        try:
            return kind.parse(json.loads(text), where=where) if text else None
        except json.JSONDecodeError as error:
            raise RolloutError(f"is not JSON: {error}", where=where) from None

    def put_wish(self, wish: Wish) -> None:
        with self.wishing():
            self.write_wish(wish)

    def write_wish(self, wish: Wish) -> None:
        """Only inside `wishing`."""
        self._write(".wish.json", wish.model_dump_json(indent=1))

    def add(self, decision: Decision) -> None:
        with self._path(".history.jsonl").open("a", encoding="utf-8") as file:
            file.write(decision.model_dump_json() + "\n")

    def history(self) -> list[Decision]:
        lines = (self._read(".history.jsonl") or "").splitlines(keepends=True)
        # A line without its end is being written, or was when its writer was killed.
        return [Decision.model_validate_json(line) for line in lines if line.endswith("\n")]

    def complete_history(self, decided: Sequence[Decision]) -> None:
        """Add what a killed loop had saved in its status and not yet told."""
        path = self._path(".history.jsonl")
        if path.exists():
            written = path.read_bytes()
            os.truncate(path, written.rfind(b"\n") + 1)
        recorded = {decision.key for decision in self.history()}
        for decision in decided:
            if decision.key not in recorded:
                self.add(decision)

    @contextlib.contextmanager
    def wishing(self) -> Iterator[None]:
        """One writer of the wish at a time."""
        with FileLock(self._path(".wish.lock"), poll_interval=0.02):
            yield

    @contextlib.contextmanager
    def looping(self) -> Iterator[None]:
        """One loop at a time.

        Raises:
            RolloutError: there is one.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(FileLock(self._path(".lock"), blocking=False))
            except Timeout:
                raise RolloutError(
                    "this rollout is being run already",
                    where=self._model,
                    fix=f"Watch it with `millwright rollout watch {self._model}`.",
                ) from None
            yield

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._model}{suffix}"

    def _read(self, suffix: str) -> str | None:
        try:
            return self._path(suffix).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _write(self, suffix: str, text: str) -> None:
        write_whole(self._path(suffix), text)


def names(root: Path) -> list[str]:
    """The models of which a version was ever asked for in an environment's folder."""
    ending = ".wish.json"
    paths = sorted((Path(root) / "rollouts").glob(f"*{ending}"))
    return [path.name.removesuffix(ending) for path in paths]


def statuses(root: Path) -> list[RolloutStatus]:
    """All models' rollouts in an environment's folder."""
    folder = Path(root) / "rollouts"
    paths = [path for path in sorted(folder.glob("*.json")) if not path.stem.endswith(".wish")]
    return [RolloutStatus.model_validate_json(path.read_text(encoding="utf-8")) for path in paths]
