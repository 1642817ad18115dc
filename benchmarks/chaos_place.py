"""Where chaos is made: an environment of its own, with models behind its front door."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from contracts.artifact import Artifact
from contracts.model import ModelSpec
from contracts.rollout import Decision, Phase, RolloutSpec, RolloutStatus, Target
from data.model_registry import ModelRegistry
from laptop.host import RolloutHost
from laptop.overview import LaptopRollouts
from laptop.removal import stop_processes
from laptop.rollout import LocalRollout
from laptop.serving import envoy
from laptop.stack import Stack
from pocket.files import write_whole
from project.handle import Project
from serving.rollout.core.observations import Predictor
from serving.rollout.seldon import seldon_deployment
from tests.serving_model import make_artifact

ROOT = Path(__file__).parents[1]
MODEL = "flight-delay"
OTHER = "neighbour"
"""A second model behind the same Envoy, whose weights change all the time."""
PLAN = RolloutSpec.parse(
    {
        "interval": "1s",
        "weight": {"start": "5%", "max": "50%"},
        "guards": {"errors": {"negligible": "2%"}, "slow": {"over": "25ms", "tolerate": 3}},
        "watch": "2s",
        "deadline": "10m",
    }
)


class Place:
    """An environment of its own, with a first version that serves.

    Args:
        folder: where it lives.
        plan: of its rollouts.
        replicas: servers of each version.
    """

    def __init__(self, folder: Path, plan: RolloutSpec = PLAN, *, replicas: int = 2) -> None:
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        shutil.copy(ROOT / "Pulumi.local.yaml", folder)
        shutil.copytree(ROOT / "models", folder / "models")
        project = Project(folder)
        self.stack, self.host = Stack(project), RolloutHost.of(project)
        self.plan = plan
        spec = ModelSpec.find(self.host.models, MODEL)
        serving = spec.serving.model_copy(update={"replicas": replicas})
        self.model = spec.model_copy(update={"rollout": plan, "serving": serving})
        written = folder / "models" / MODEL / "model.yaml"
        written.write_text(self.model.model_dump_json(by_alias=True))
        self.versions: dict[str, Target] = {}
        self._folder = folder

    def start(self) -> None:
        """The cloud, a first version, and a neighbour behind the same front door."""
        self.stack.start_cloud()
        self.roll_out(self.make())
        self.wait(lambda: self.status().phase is Phase.PROMOTED and self.over())
        self.disturb_configuration(5000)
        self.host.serving().settle(OTHER)

    def stop(self) -> None:
        """Stop every process."""
        stop_processes(self.host.supervisor)

    def make(self, *, work: int = 0) -> Target:
        """Register another version."""
        registry = ModelRegistry(self.host.tracking_uri)
        location = (self._folder / "artifacts").as_uri()
        entry = registry.open(MODEL, key=f"run {len(self.versions)}", location=location)
        folder = self._folder / "made" / entry.version
        made = make_artifact(folder, version=entry.version, work=work)
        registry.publish(
            entry, Artifact.load(made / "artifact.json"), (made / "model.onnx").read_bytes()
        )
        target = Target(version=entry.version, uri=str(self._folder / "artifacts" / entry.version))
        self.versions[entry.version] = target
        return target

    # -- rollouts --------------------------------------------------------------------------------

    def roll_out(self, target: Target, *, plan: RolloutSpec | None = None) -> None:
        """Start a version, as the command line does."""
        self.rollout().start(target, plan=plan or self.plan)
        self.host.start_loop(MODEL)

    def rollout(self) -> LocalRollout:
        """The model's rollout."""
        return LaptopRollouts(self.host).rollout(self.model)

    def status(self) -> RolloutStatus:
        """How the rollout stands."""
        return self.rollout().status()

    def front_door(self) -> tuple[int, str]:
        """The port that clients ask, and the path of an inference there."""
        state = self.host.serving().observe(MODEL)
        port = int(urlsplit(state.url).port or 0)
        return port, f"/seldon/{state.namespace}/{MODEL}/v2/models/{MODEL}/infer"

    def over(self) -> bool:
        """Whether there is a verdict."""
        return self.rollout().over(self.status())

    def history(self, version: str) -> list[Decision]:
        """The decisions of one version's rollout."""
        return [one for one in self.rollout().history() if one.candidate == version]

    def wait(self, true: Callable[[], bool], *, within: float = 90.0) -> None:
        """Until it is true.

        Raises:
            TimeoutError: it did not become so; with how the rollout stands.
        """
        deadline = time.monotonic() + within
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.status().phase}: {self.status().reason}")
            time.sleep(0.1)

    # -- disturbances ----------------------------------------------------------------------------

    def kill(self, prefix: str, *, nth: int = 0) -> None:
        """End one of the processes whose names begin so, with SIGKILL; nothing if there is none."""
        found = [
            one
            for one in self.host.supervisor.status()
            if one.name.startswith(prefix) and one.state != "dead" and one.pid
        ]
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found[nth % len(found)].pid or 0, signal.SIGKILL)

    def disturb_configuration(self, weight: int) -> None:
        """Give the neighbour other weights: Envoy gets other routes."""
        target = next(iter(self.versions.values()))
        other = Target(version="999", uri=target.uri)
        predictors = [
            Predictor(target=target, weight=weight),
            Predictor(target=other, weight=10_000 - weight),
        ]
        served = self.model.model_copy(
            update={
                "name": OTHER,
                "serving": self.model.serving.model_copy(update={"replicas": 1}),
            }
        )
        self.host.serving().apply(seldon_deployment(served, predictors))

    @contextmanager
    def without_telemetry(self) -> Iterator[None]:
        """Nobody can ask Envoy: neither for counters nor for the weights it uses."""
        path = self.host.root / "run" / f"{envoy.PROCESS}.json"
        before = json.loads(path.read_text())
        ports = {**before["ports"], "admin": 9}  # the port "discard", on which nothing listens
        write_whole(path, json.dumps({**before, "ports": ports}))
        try:
            yield
        finally:
            write_whole(path, json.dumps(before))
