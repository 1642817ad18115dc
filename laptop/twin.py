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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from contracts.document import suggest
from contracts.environment import Environment
from contracts.errors import InfrastructureError, LocalError, ServingError, UsageError
from contracts.outputs import PlatformOutputs
from laptop.host import KEEPER, RolloutHost
from laptop.supervisor import HttpReady, Running, Spec, Supervisor
from pocket import emulator as cloud
from project.pocket_errors import mapped

if TYPE_CHECKING:
    from account.teardown import Finding, Footprint
    from contracts.artifact import Artifact
    from contracts.model import ModelSpec
    from contracts.rollout import RolloutStatus
    from laptop.rollout import LocalRollout
    from laptop.serving import LocalServing
    from pocket.engine import ResourceState, Result, Workspace
    from pocket.engine.events import Listener
    from pocket.provider.aws import Clients
    from serving.client import Client

Deployer = Literal["embedded", "pulumi"]
"""What can run the Pulumi program."""

CHECKOUT = Path(__file__).resolve().parents[1]
"""What the program imports, whichever environment it runs in."""
OUTPUTS_FILE = "outputs.json"
PROJECT_FILE = "Pulumi.yaml"
LOOPS = (KEEPER, "rollout", "replay")
"""How the names of processes begin that act on others; one acts on those after it."""
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


@dataclass(frozen=True, kw_only=True)
class Destroyed:
    """What became of an environment.

    Args:
        result: the engine's, of the stack's resources.
        cleared: what the cluster and the services had made beside.
        kept: what is there on purpose.
        stopped: the names of the processes that were stopped.
    """

    result: Result
    cleared: tuple[Finding, ...]
    kept: tuple[Finding, ...]
    stopped: tuple[str, ...]


def proven_empty(found: Sequence[Finding], name: str) -> list[Finding]:
    """Of what there is of an environment, what is kept on purpose.

    Raises:
        InfrastructureError: something else is there, each named.
    """
    left = [one for one in found if not one.kept]
    if left:
        raise InfrastructureError(
            f"{len(left)} resources of ours are left: " + ", ".join(str(one) for one in left[:10]),
            where=name,
            fix="Run `millwright refresh` and `millwright destroy` again, or remove them.",
        )
    return list(found)


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

    @mapped()
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
        cloud.read_ahead(endpoints)
        os.environ.update(cloud.environment(endpoints))
        return endpoints

    @mapped()
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
        from pocket.engine import Workspace
        from pocket.provider.kubernetes import KubernetesProvider
        from pocket.provider.provider import AwsProvider

        return Workspace(
            root=self.project,
            stack=self.name,
            program=self.project / "infra",
            providers={"aws": AwsProvider, "kubernetes": KubernetesProvider},
            state_folder=".millwright",
            python_path=(CHECKOUT,),
        )

    @property
    def engine(self) -> ModuleType:
        """The module that deploys the stack; takes the state back first where a killed command
        has left it with the CLI.
        """
        from pocket import engine, pulumi_cli

        pulumi_cli.reclaim(self.workspace)
        return pulumi_cli if self.deployer == "pulumi" else engine

    @mapped()
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

    @mapped()
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

    @mapped()
    def refresh(self, listener: Listener) -> Result:
        """Take what is really there into the state."""
        result: Result = self.engine.refresh(self.workspace, on_event=listener)
        return result

    @mapped()
    def resources(self) -> tuple[ResourceState, ...]:
        """What the stack's state holds."""
        from pocket import engine

        if not (self.root / "state.json").is_file():
            return ()
        return engine.resources(self.workspace)

    @mapped()
    def destroy(self, listener: Listener) -> Destroyed:
        """Remove every resource and process, and prove that nothing is left.

        Serving goes first (it uses the environment), then what the cluster made, for it blocks the
        network's deletion, then the stack in reverse order, then what services made meanwhile. The
        AWS API server is asked for anything left; only then is it stopped.

        Raises:
            InfrastructureError: a deletion failed, or something of ours is left.
        """
        stopped = self.stop_processes(keep=cloud.NAME)
        if self.resources():
            self.start_cloud()
        there = cloud.find(self.root) is not None
        cleared = self.clear() if there else []
        result: Result = self.engine.destroy(self.workspace, on_event=listener)
        kept: list[Finding] = []
        if there:
            found = self.left()
            if any(one.maker != "the program" and not one.kept for one in found):
                cleared += self.clear()
                found = self.left()
            kept = proven_empty(found, self.name)
        stopped += self.supervisor.stop_all()
        self.forget()
        return Destroyed(
            result=result, cleared=tuple(cleared), kept=tuple(kept), stopped=tuple(stopped)
        )

    def stop_processes(self, *, keep: str) -> list[str]:
        """Stop all processes but one, those that use others first."""
        names = [one.name for one in reversed(self.supervisor.status()) if one.name != keep]
        # Loops first: they would start again what is stopped under them.
        names.sort(key=lambda name: [name.startswith(one) for one in LOOPS], reverse=True)
        return [name for name in names if self.supervisor.stop(name)]

    @cached_property
    def _accounts(self) -> dict[str, Clients]:
        """By the address of AWS's APIs, which a local cloud changes when it starts again."""
        return {}

    @property
    def footprint(self) -> Footprint:
        """By what its leftovers are known."""
        from account.teardown import Footprint

        return Footprint.of(self.environment)

    def account(self) -> Clients:
        """Clients of the account and region that it lives in.

        Raises:
            LocalError: it lives on this machine, and is not up.
            UsageError: the credentials are another account's, or there are none.
        """
        from account.doctor.account import credentials
        from pocket.provider.aws import Clients, session_of

        if self.is_local:
            self.connect()
        where = os.environ.get("AWS_ENDPOINT_URL", "")
        if where not in self._accounts:
            session = session_of(self.environment.region)
            caller = None if self.is_local else credentials(session, self.environment)
            if caller and caller.state == "missing":
                raise UsageError(caller.found, where=f"Pulumi.{self.name}.yaml", fix=caller.fix)
            self._accounts[where] = Clients(session)
        return self._accounts[where]

    def left(self) -> list[Finding]:
        """Everything of it that exists, whoever made it; changes nothing."""
        from account.teardown import examine

        return examine(self.account(), self.footprint)

    def clear(self) -> list[Finding]:
        """Remove what its cluster and the services made; returns what that was."""
        from account.teardown import clear

        return clear(self.account(), self.footprint)

    def sweep(self) -> list[Finding]:
        """As `clear`, of an environment that is no longer in use.

        Raises:
            UsageError: it still runs: what would be removed is in use, and would come back.
        """
        from account.teardown import runs

        if runs(self.account(), self.footprint):
            raise UsageError(
                "its cluster has nodes: the load balancers and disks there are in use",
                where=self.name,
                fix=f"Destroy it first: `pulumi destroy -s {self.name}`. Where that stops at the "
                "network, the nodes are gone by then: sweep, and destroy again.",
            )
        return self.clear()

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
        from laptop.serving import LocalServing

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
        return self.host.rollout(model)

    def rollouts(self) -> list[RolloutStatus]:
        """How each model's rollout stands."""
        from laptop.rollout import statuses

        return statuses(self.root)

    @cached_property
    def host(self) -> RolloutHost:
        """Where its rollouts run on this machine."""
        return RolloutHost(
            root=self.root,
            models=self.models,
            region=self.environment.region,
            tracking_uri=f"sqlite:///{self.root / 'mlflow.db'}",
        )

    def artifact(self, model: str, version: str) -> Artifact:
        """A registered version's document."""
        from data.model_registry import ModelRegistry

        self.connect()
        return ModelRegistry(self.tracking_uri).get(model, version)[0]
