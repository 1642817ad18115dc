"""One environment of the laptop twin: its files, its cloud, its stack.

Commands come and go while the environment stays, so what belongs together (the Pulumi stack, the
AWS API server that it is made in, the processes, the outputs that the other rooms read) is found
again from two names: the project's folder and the environment's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from contracts.document import suggest
from contracts.environment import Environment
from contracts.errors import InfrastructureError, LocalError, ServingError, UsageError
from contracts.outputs import PlatformOutputs
from local import cloud
from local.supervisor import HttpReady, Running, Spec, Supervisor

if TYPE_CHECKING:
    from contracts.artifact import Artifact
    from contracts.model import ModelSpec
    from contracts.rollout import RolloutStatus
    from local.engine import ResourceState, Result, Workspace
    from local.engine.events import Listener
    from local.rollout import LocalRollout
    from local.serving import LocalServing
    from serving.client import Client

Deployer = Literal["embedded", "pulumi"]
"""What can run the Pulumi program."""

OUTPUTS_FILE = "outputs.json"
PROJECT_FILE = "Pulumi.yaml"
LOOPS = ("rollout", "replay")
"""How the names of processes begin that act on others."""
EPHEMERAL = (
    OUTPUTS_FILE,
    *("cloud", "examples", "mlflow.db", "replay", "rollouts", "runs", "serving"),
)
"""What is worth nothing without the environment's resources."""


def find_project(start: Path) -> Path:
    """The project's folder: the nearest one upwards that has a Pulumi.yaml.

    Raises:
        UsageError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise UsageError(
        f"there is no {PROJECT_FILE} here or above",
        where=str(start),
        fix="change to the Millwright checkout, or name it with --project",
    )


@dataclass(frozen=True)
class Twin:
    """An environment of a project, as this machine has it.

    Args:
        project: the checkout's folder.
        name: the environment's name, as in ``Pulumi.<name>.yaml``.
        deployer: what runs the Pulumi program: the engine in this process, or the Pulumi CLI.
    """

    project: Path
    name: str = "local"
    deployer: Deployer = "embedded"

    @property
    def root(self) -> Path:
        """Where everything of the environment is kept."""
        return self.project / ".millwright" / self.name

    @cached_property
    def environment(self) -> Environment:
        """The environment's document.

        Raises:
            DocumentError: it is missing or wrong.
            UsageError: there is no environment of that name.
        """
        path = self.project / f"Pulumi.{self.name}.yaml"
        if not path.is_file():
            names = sorted(found.name.split(".")[1] for found in self.project.glob("Pulumi.*.yaml"))
            raise UsageError(
                f"there is no environment {self.name!r}",
                where=str(self.project),
                fix=suggest(self.name, names),
            )
        return Environment.read(path)

    @property
    def is_local(self) -> bool:
        """Whether it lives on this machine."""
        return self.environment.tier == "local"

    @cached_property
    def supervisor(self) -> Supervisor:
        """Its processes."""
        return Supervisor(self.root)

    @property
    def tracking_uri(self) -> str:
        """The model registry's database."""
        self.root.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def models(self) -> Path:
        """The folder of the models."""
        return self.project / "models"

    # -- the cloud -------------------------------------------------------------------------------

    def start_cloud(self) -> cloud.CloudEndpoints:
        """Make sure that its AWS API server runs, and send this process's AWS clients there.

        Raises:
            LocalError: the server does not start.
            UsageError: the environment is not a local one and no endpoint is named.
        """
        if not self.is_local and not os.environ.get("AWS_ENDPOINT_URL"):
            raise UsageError(
                f"{self.name} lives in the AWS account {self.environment.account}, "
                "and this command changes only what runs here",
                where=f"Pulumi.{self.name}.yaml",
                fix=f"Stand it up with `pulumi up -s {self.name}`, "
                "or set AWS_ENDPOINT_URL to an emulator.",
            )
        endpoints = cloud.start(self.root, region=self.environment.region)
        os.environ.update(cloud.environment(endpoints))
        return endpoints

    def connect(self) -> cloud.CloudEndpoints:
        """Send this process's AWS clients to the running AWS API server; starts nothing.

        Raises:
            LocalError: it does not run.
        """
        endpoints = cloud.find(self.root, region=self.environment.region)
        if endpoints is None:
            raise LocalError(
                f"the environment {self.name!r} is not up",
                fix=f"Run `millwright up {self.name}`.".replace(" local`", "`"),
            )
        os.environ.update(cloud.environment(endpoints))
        return endpoints

    # -- the stack -------------------------------------------------------------------------------

    @cached_property
    def workspace(self) -> Workspace:
        """Its Pulumi stack."""
        from local.engine import Workspace
        from local.provider.kubernetes import KubernetesProvider
        from local.provider.provider import AwsProvider

        return Workspace(
            root=self.project,
            stack=self.name,
            program=self.project / "infra",
            providers={"aws": AwsProvider, "kubernetes": KubernetesProvider},
        )

    @property
    def engine(self) -> ModuleType:
        """The module that deploys the stack; takes the state back first where a killed command
        has left it with the CLI.
        """
        from local import engine, pulumi_cli

        pulumi_cli.reclaim(self.workspace)
        return pulumi_cli if self.deployer == "pulumi" else engine

    def preview(self, listener: Listener) -> Result:
        """What `up` would change; needs no credentials.

        Raises:
            DocumentError, InfrastructureError: the environment or the program is wrong.
        """
        _ = self.environment
        endpoints = cloud.find(self.root, region=self.environment.region)
        if endpoints:
            os.environ.update(cloud.environment(endpoints))
        result: Result = self.engine.preview(self.workspace, on_event=listener)
        return result

    def up(self, listener: Listener) -> Result:
        """Make the environment what its document says; goes on where a killed one stopped.

        Raises:
            DocumentError, InfrastructureError: what was done until then is kept.
        """
        _ = self.environment
        result: Result = self.engine.up(self.workspace, on_event=listener)
        self.write_outputs(result.outputs)
        return result

    def write_outputs(self, values: Mapping[str, object]) -> PlatformOutputs:
        """Keep the stack's outputs for the other rooms."""
        outputs = PlatformOutputs.parse(dict(values), where=f"outputs of {self.name}")
        path = self.root / OUTPUTS_FILE
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(outputs.model_dump(mode="json"), indent=2) + "\n")
        partial.replace(path)
        return outputs

    def outputs(self) -> PlatformOutputs:
        """What the environment gives to the other rooms.

        Raises:
            InfrastructureError: it has not been brought up.
        """
        path = self.root / OUTPUTS_FILE
        if not path.is_file():
            raise InfrastructureError(
                f"the environment {self.name!r} has not been brought up",
                where=str(path),
                fix="Run `millwright up`.",
            )
        return PlatformOutputs.read(path)

    def refresh(self, listener: Listener) -> Result:
        """Take what is really there into the state."""
        result: Result = self.engine.refresh(self.workspace, on_event=listener)
        return result

    def resources(self) -> tuple[ResourceState, ...]:
        """What the stack's state holds."""
        from local import engine

        if not (self.root / "state.json").is_file():
            return ()
        return engine.resources(self.workspace)

    def destroy(self, listener: Listener) -> tuple[Result, list[str]]:
        """Remove every resource and process, and prove that nothing is left.

        Serving goes first (it uses the environment), then the stack in reverse order, then the
        AWS API server is asked for anything left; only then is it stopped.

        Returns:
            the engine's result, and the names of the processes that were stopped.

        Raises:
            InfrastructureError: a deletion failed, or something with our tags is left.
        """
        stopped = self.stop_processes(keep=cloud.NAME)
        if self.resources():
            self.start_cloud()
        result: Result = self.engine.destroy(self.workspace, on_event=listener)
        if cloud.find(self.root) is not None:
            self.prove_empty()
        stopped += self.supervisor.stop_all()
        self.forget()
        return result, stopped

    def stop_processes(self, *, keep: str) -> list[str]:
        """Stop all processes but one, those that use others first."""
        names = [one.name for one in reversed(self.supervisor.status()) if one.name != keep]
        # Loops first: they would start again what is stopped under them.
        names.sort(key=lambda name: not name.startswith(LOOPS))
        return [name for name in names if self.supervisor.stop(name)]

    def prove_empty(self) -> None:
        """Ask the AWS API server for anything left with our tags.

        Raises:
            InfrastructureError: something is, each named.
        """
        import boto3

        from local.cloud.inventory import inventory

        self.connect()
        session = boto3.Session(region_name=self.environment.region)
        left = inventory(session, self.name)
        if left:
            raise InfrastructureError(
                f"{len(left)} resources with our tags are left: "
                + ", ".join(str(one) for one in left[:10]),
                where=self.name,
                fix="Run `millwright refresh` and `millwright destroy` again, or remove them.",
            )

    def forget(self) -> None:
        """Remove what only made sense while the environment stood; logs and the report stay."""
        for name in EPHEMERAL:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    # -- what is served --------------------------------------------------------------------------

    @property
    def report(self) -> Path:
        """Where the report is written."""
        return self.root / "report.html"

    def serving(self) -> LocalServing:
        """Its model servers and their front door; connects to the cloud, where artifacts are."""
        from local.serving import LocalServing

        endpoints = self.connect()
        return LocalServing(self.root, self.supervisor, env=cloud.environment(endpoints))

    def client(self, model: str) -> Client:
        """A client of a served model.

        Raises:
            ServingError: nothing is served by that name, or its front door does not run.
        """
        from serving.client import Client

        state = self.serving().observe(model)
        if not state.url:
            raise ServingError(
                "its front door does not run",
                where=model,
                fix=f"Run `millwright rollout start {model}`.",
            )
        base = state.url.removesuffix(f"/seldon/{state.namespace}/{model}")
        return Client(base, model, state.namespace)

    def start_ui(self) -> Running:
        """MLflow's pages on the model registry, as a process of the environment."""
        endpoints = self.connect()
        command = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1")
        return self.supervisor.start(
            Spec(
                name="mlflow",
                argv=(
                    *command,
                    *("--port", "{port}", "--workers", "1"),
                    *("--backend-store-uri", self.tracking_uri),
                ),
                env=cloud.environment(endpoints),
                ready=HttpReady(path="/health"),
            )
        )

    # -- rollouts --------------------------------------------------------------------------------

    def rollout(self, model: ModelSpec) -> LocalRollout:
        """A model's rollout: to start, steer and read it."""
        from local.rollout import LocalRollout

        return LocalRollout(self.root, model, self.serving())

    def rollouts(self) -> list[RolloutStatus]:
        """How each model's rollout stands."""
        from local.rollout import statuses

        return statuses(self.root)

    def start_loop(self, model: str) -> Running:
        """Make sure that the loop which runs a model's rollout is there; it ends with the
        rollout."""
        endpoints = self.connect()
        return self.supervisor.start(
            Spec(
                name=f"rollout.{model}",
                argv=(
                    *(sys.executable, "-m", "local.loop", model),
                    *("--env", self.name, "--project", str(self.project)),
                ),
                env=cloud.environment(endpoints),
                ports=(),
            )
        )

    def loop_runs(self, model: str) -> bool:
        """Whether that loop runs now."""
        return self.supervisor.find(f"rollout.{model}") is not None

    def artifact(self, model: str, version: str) -> Artifact:
        """A registered version's document."""
        from data.model_registry import ModelRegistry

        self.connect()
        return ModelRegistry(self.tracking_uri).get(model, version)[0]
