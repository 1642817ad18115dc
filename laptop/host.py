"""Where an environment's rollouts run on this machine: its servers, and the processes around them.

Commands come and go; what looks after a rollout are two kinds of process that stay: a loop for each
rollout under way and one keeper. Each is given on its command line all that it needs to stand here
again by itself, because it is started again when nobody is there who could tell it more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from contracts.errors import LocalError
from laptop.supervisor import Running, Spec, Supervisor
from pocket import emulator as cloud
from project import here
from project.pocket_errors import mapped

if TYPE_CHECKING:
    from laptop.serving import LocalServing
    from project.handle import Project

KEEPER = "keeper"


def loop_name(model: str) -> str:
    """The name of the process that runs a model's rollout."""
    return f"rollout.{model}"


@dataclass(frozen=True, kw_only=True)
class RolloutHost:
    """One environment's place for rollouts.

    Args:
        root: the environment's folder, ``.millwright/<env>``.
        models: the folder of the models' documents.
        region: of the environment's AWS clients.
        tracking_uri: the model registry's database or server.
    """

    root: Path
    models: Path
    region: str
    tracking_uri: str

    @cached_property
    def supervisor(self) -> Supervisor:
        """The environment's processes."""
        return Supervisor(self.root)

    @mapped()
    def connect(self) -> dict[str, str]:
        """Send this process's AWS clients to the environment's AWS API server; starts nothing.

        Returns:
            The variables that do it, for processes that are started.

        Raises:
            LocalError: it does not run.
        """
        endpoints = cloud.find(self.root, region=self.region)
        if endpoints is None:
            raise LocalError(
                "the environment is not up", where=str(self.root), fix="Run `millwright up`."
            )
        variables = dict(cloud.environment(endpoints))
        os.environ.update(variables)
        return variables

    def serving(self) -> LocalServing:
        """Its model servers and their front door; connects to the cloud, where artifacts are."""
        from laptop.serving import LocalServing

        return LocalServing(self.root, self.supervisor, env=self.connect())

    # -- the processes ---------------------------------------------------------------------------

    def loop(self, model: str) -> Spec:
        """The process that runs a model's rollout; ends with the rollout."""
        return self._process(loop_name(model), "laptop.loop", model)

    def start_loop(self, model: str) -> Running:
        """Make sure that the loop runs; the keeper brings it back when it is killed."""
        running = self.supervisor.start(self.loop(model))
        self.start_keeper()
        return running

    def start_keeper(self) -> None:
        """Make sure that somebody looks after what is served."""
        self.supervisor.start(self._process(KEEPER, "laptop.keeper"))

    def loop_runs(self, model: str) -> bool:
        """Whether that loop runs now."""
        return self.supervisor.find(loop_name(model)) is not None

    def loop_log(self, model: str) -> Path:
        """Where that loop writes."""
        return self.supervisor.log(loop_name(model))

    def _process(self, name: str, *module: str) -> Spec:
        return Spec(
            name=name,
            argv=(
                *(sys.executable, "-m", *module),
                *("--root", str(self.root), "--models", str(self.models)),
                *("--region", self.region, "--tracking-uri", self.tracking_uri),
            ),
            env=self.connect(),
            ports=(),
        )

    @classmethod
    def of(cls, project: Project) -> Self:
        """That of an environment."""
        return cls(
            root=project.root,
            models=project.models,
            region=project.environment.region,
            tracking_uri=here.tracking_uri(project.root),
        )

    @classmethod
    def from_arguments(
        cls, parser: argparse.ArgumentParser, argv: Sequence[str] | None
    ) -> tuple[Self, argparse.Namespace]:
        """The host that a process's command line names, and the other arguments."""
        parser.add_argument("--root", type=Path, required=True, help="the environment's folder")
        parser.add_argument("--models", type=Path, required=True, help="the models' folder")
        parser.add_argument("--region", required=True, help="of the environment's AWS clients")
        parser.add_argument("--tracking-uri", required=True, help="of the model registry")
        given = parser.parse_args(argv)
        host = cls(
            root=given.root,
            models=given.models,
            region=given.region,
            tracking_uri=given.tracking_uri,
        )
        return host, given
