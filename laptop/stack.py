"""The Pulumi stack of an environment, brought up by the engine on this machine.

What it is deployed to are AWS's APIs wherever the process's clients are sent: a local cloud that is
started here, or an emulator that a person names in AWS_ENDPOINT_URL. An environment in an AWS
account is brought up by the Pulumi CLI, and refused here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from contracts.errors import MillwrightError, UsageError
from contracts.outputs import PlatformOutputs
from pocket import emulator as cloud
from pocket.errors import PocketError
from project.folder import STATE_FOLDER
from project.handle import Project
from project.pocket_errors import mapped
from project.sources import STATE_FILE, EngineState

if TYPE_CHECKING:
    from pocket.engine import ResourceState, Result, Workspace
    from pocket.engine.events import Listener

CHECKOUT = Path(__file__).resolve().parents[1]
"""What the program imports, whichever virtual environment it runs in."""
Deployer = Literal["embedded", "pulumi"]
"""What can run the Pulumi program."""


@dataclass(frozen=True)
class Stack:
    """An environment's resources, as this machine deploys them.

    Args:
        project: the environment.
        deployer: what runs the Pulumi program: the engine in this process, or the Pulumi CLI.
    """

    project: Project
    deployer: Deployer = "embedded"

    @mapped()
    def start_cloud(self) -> cloud.CloudEndpoints:
        """Make sure that an AWS API server answers, and send this process's AWS clients there.

        Raises:
            LocalError: the server does not start.
            UsageError: the environment is not a local one and no endpoint is named.
        """
        project = self.project
        if not project.is_local and not os.environ.get("AWS_ENDPOINT_URL"):
            raise UsageError(
                f"{project.name} lives in the AWS account {project.environment.account}, "
                "and this command changes only what runs here",
                where=f"Pulumi.{project.name}.yaml",
                fix=f"Stand it up with `pulumi up -s {project.name}`, "
                "or set AWS_ENDPOINT_URL to an emulator.",
            )
        endpoints = cloud.start(project.root, region=project.environment.region)
        cloud.read_ahead(endpoints)
        os.environ.update(cloud.environment(endpoints))
        return endpoints

    @cached_property
    def workspace(self) -> Workspace:
        """The stack, as the engine takes it."""
        from pocket.engine import Workspace
        from pocket.provider.kubernetes import KubernetesProvider
        from pocket.provider.provider import AwsProvider

        return Workspace(
            root=self.project.folder,
            stack=self.project.name,
            program=self.project.folder / "infra",
            providers={"aws": AwsProvider, "kubernetes": KubernetesProvider},
            state_folder=STATE_FOLDER,
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
        endpoints = cloud.find(self.project.root, region=self.project.environment.region)
        if endpoints:
            os.environ.update(cloud.environment(endpoints))
        elif self.project.is_local and not os.environ.get("AWS_ENDPOINT_URL"):
            asks_nobody = cloud.without_account(os.environ)
            os.environ.clear()
            os.environ.update(asks_nobody)
        result: Result = self.engine.preview(self.workspace, on_event=listener)
        return result

    @mapped()
    def up(self, listener: Listener) -> Result:
        """Make the environment what its document says; goes on where a killed one stopped.

        Raises:
            DocumentError, InfrastructureError: what was done until then is kept.
        """
        _ = self.project.environment
        try:
            result: Result = self.engine.up(self.workspace, on_event=listener)
        except PocketError as failure:
            fix = " ".join(part for part in (failure.fix, self._salvage()) if part)
            raise type(failure)(failure.what, where=failure.where, fix=fix) from failure
        self.write_outputs(result.outputs)
        return result

    def _salvage(self) -> str:
        """Keep what a failed run told of an environment that was up; says what is used from now on.

        What the run did not come to is as it was after the run before. An environment that was
        never up as a whole has no outputs, and commands say so.
        """
        from pocket import engine

        state = EngineState(root=self.project.root, name=self.project.name)
        if not state.path.is_file():
            return ""
        try:
            former = state.read().model_dump(mode="json")
            told = engine.outputs(self.workspace)
            self.write_outputs({**former, **told})
        except (PocketError, MillwrightError):
            return "Until then other commands use the outputs of the last `up` that succeeded."
        return (
            "Until then other commands use the outputs that this run came to, and else those of "
            "the last `up` that succeeded."
        )

    def write_outputs(self, values: Mapping[str, object]) -> PlatformOutputs:
        """Keep the stack's outputs for those who use the environment."""
        name = self.project.name
        outputs = PlatformOutputs.parse(dict(values), where=f"outputs of {name}")
        EngineState(root=self.project.root, name=name).write(outputs)
        return outputs

    @mapped()
    def refresh(self, listener: Listener) -> Result:
        """Take what is really there into the state."""
        result: Result = self.engine.refresh(self.workspace, on_event=listener)
        return result

    @mapped()
    def destroy(self, listener: Listener) -> Result:
        """Remove the stack's resources, in reverse order.

        Raises:
            InfrastructureError: a deletion failed.
        """
        result: Result = self.engine.destroy(self.workspace, on_event=listener)
        return result

    @mapped()
    def resources(self) -> tuple[ResourceState, ...]:
        """What the stack's state holds."""
        from pocket import engine

        if not (self.project.root / STATE_FILE).is_file():
            return ()
        return engine.resources(self.workspace)
