"""The handle: an environment of a project, from two names.

Commands come and go while an environment stays, so everything is looked up again from the
project's folder and the environment's name. Where the environment lives makes no difference to
whoever holds this: only addresses differ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.environment import Environment
from contracts.errors import LocalError, ServingError, UsageError
from contracts.outputs import PlatformOutputs
from pocket import emulator
from project import here
from project.folder import STATE_FOLDER, read_environment
from project.services import Service, reached
from project.sources import EngineState, OutputsFile, OutputsSource, PulumiStack

if TYPE_CHECKING:
    from pocket.provider.aws import Clients
    from serving.client import Client


@dataclass(frozen=True)
class Project:
    """An environment of a project.

    Args:
        folder: the project's folder.
        name: the environment's name, as in ``Pulumi.<name>.yaml``.
        outputs_file: where its outputs are, instead of asking who stood it up.
        addresses: URLs of services that a person gave, instead of the outputs'.
        context: a context of the person's kubeconfig, instead of the environment's own cluster.
    """

    folder: Path
    name: str = "local"
    outputs_file: Path | None = None
    addresses: Mapping[Service, str] = field(default_factory=dict)
    context: str = ""

    # -- what it is ------------------------------------------------------------------------------

    @cached_property
    def environment(self) -> Environment:
        """The environment's document.

        Raises:
            DocumentError: it is wrong.
            UsageError: there is no environment of that name.
        """
        return read_environment(self.folder, self.name)

    @property
    def root(self) -> Path:
        """The folder of its state on this machine."""
        return self.folder / STATE_FOLDER / self.name

    @property
    def models(self) -> Path:
        """The folder of the models."""
        return self.folder / "models"

    @property
    def datasets(self) -> Path:
        """The folder of the datasets."""
        return self.folder / "datasets"

    @property
    def is_local(self) -> bool:
        """Whether it lives on this machine."""
        return self.environment.tier == "local"

    @property
    def has_cluster(self) -> bool:
        """Whether its models are served in a Kubernetes cluster, and not on this machine."""
        return bool(self.context) or not self.is_local

    @property
    def has_pipelines_server(self) -> bool:
        """Whether its pipelines run on a server of their own, and not on this machine."""
        return bool(self.addresses.get("pipelines")) or not self.is_local

    # -- what it gives ---------------------------------------------------------------------------

    @cached_property
    def source(self) -> OutputsSource:
        """Who knows its outputs."""
        if self.outputs_file:
            return OutputsFile(path=self.outputs_file, name=self.name)
        state = EngineState(root=self.root, name=self.name)
        # The embedded engine deploys to this machine and to emulators; AWS is the Pulumi CLI's.
        emulated = bool(os.environ.get("AWS_ENDPOINT_URL")) and state.begun
        return (
            state if self.is_local or emulated else PulumiStack(folder=self.folder, name=self.name)
        )

    def outputs(self) -> PlatformOutputs:
        """What the environment gives to its users.

        Raises:
            InfrastructureError: it has not been brought up, or nobody can be asked.
        """
        outputs = self.source.read()
        return here.completed(outputs, self.root) if self.is_local else outputs

    # -- AWS -------------------------------------------------------------------------------------

    def process_environment(self) -> dict[str, str]:
        """The variables with which a process's AWS clients reach the environment.

        Raises:
            LocalError: it lives on this machine, and is not up.
        """
        region = self.environment.region
        endpoints = emulator.find(self.root, region=region)
        if endpoints:
            return emulator.environment(endpoints)
        if self.is_local:
            raise LocalError(
                f"the environment {self.name!r} is not up",
                fix=f"Run `millwright up {self.name}`.".replace(" local`", "`"),
            )
        return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def connect(self) -> None:
        """Send this process's AWS clients to the environment; starts nothing.

        Raises:
            LocalError: it lives on this machine, and is not up.
        """
        os.environ.update(self.process_environment())

    @cached_property
    def _accounts(self) -> dict[str, Clients]:
        """By the address of AWS's APIs, which a local cloud changes when it starts again."""
        return {}

    def aws(self) -> Clients:
        """Clients of the account and region that it lives in.

        Raises:
            LocalError: it lives on this machine, and is not up.
            UsageError: the credentials are another account's, or there are none.
        """
        from pocket.provider.aws import Clients, session_of
        from project.aws import caller

        self.connect()
        where = os.environ.get("AWS_ENDPOINT_URL", "")
        if where not in self._accounts:
            session = session_of(self.environment.region)
            if not self.is_local:
                caller(session, self.environment)
            self._accounts[where] = Clients(session)
        return self._accounts[where]

    # -- Kubernetes ------------------------------------------------------------------------------

    def cluster(self) -> Any:
        """The Kubernetes client's configuration for its cluster.

        Raises:
            UsageError: it has no cluster, or the credentials are another account's.
            RolloutError: there is no such context.
            InfrastructureError: it is not up, or EKS does not describe its cluster.
        """
        from project import cluster

        if self.context:
            from serving.rollout.kubernetes import configuration

            return configuration(context=self.context)
        if self.is_local:
            raise cluster.no_cluster(self.name)
        name, region = self.outputs().cluster.name, self.environment.region
        self.aws()
        from pocket.provider.aws import session_of

        return cluster.configuration(session_of(region), region, name, self.root)

    def kubernetes(self) -> Any:
        """A client of its cluster's API; see `cluster` for what it raises."""
        from kubernetes import client

        return client.ApiClient(self.cluster())

    # -- services --------------------------------------------------------------------------------

    @contextmanager
    def tracking(self) -> Iterator[str]:
        """MLflow's tracking URI."""
        local = ""
        if self.is_local:
            self.root.mkdir(parents=True, exist_ok=True)
            local = here.tracking_uri(self.root)
        with self._reach("tracking", local) as url:
            yield url

    @contextmanager
    def pipelines_server(self) -> Iterator[str]:
        """The URL of its Kubeflow Pipelines API."""
        if not self.has_pipelines_server:
            raise UsageError(
                f"{self.name} has no Kubeflow Pipelines server: its pipelines run on this machine",
                fix="Name a server with --kfp URL, or an environment on AWS with -e.",
            )
        with self._reach("pipelines") as url:
            yield url

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """The URL of the front door of everything that is served."""
        if not self.is_local or self.addresses.get("gateway"):
            with self._reach("gateway") as url:
                yield url
            return
        self.process_environment()  # says whether it is up at all
        url = here.front_door(self.root)
        if not url:
            raise ServingError(
                "its front door does not run",
                where=self.name,
                fix="Run `millwright up`: it brings back what was served."
                if here.was_served(self.root)
                else "Nothing was served yet: run `millwright rollout start MODEL`.",
            )
        yield url

    def models_namespace(self) -> str:
        """The Kubernetes namespace of the models; they are served under its name.

        Raises:
            InfrastructureError: it has not been brought up, or nobody can be asked.
        """
        if self.is_local:
            return here.MODELS_NAMESPACE
        return self.outputs().namespaces.get("models", here.MODELS_NAMESPACE)

    @contextmanager
    def client(self, model: str, namespace: str = "") -> Iterator[Client]:
        """A client of a served model, through the front door.

        Args:
            model: the model's name.
            namespace: where it is served, instead of the environment's namespace of models.
        """
        from serving.client import Client

        with (
            self.gateway() as url,
            Client(url, model, namespace or self.models_namespace()) as made,
        ):
            yield made

    def is_forwarded(self, service: Service) -> bool:
        """Whether a service is reached through a port that is forwarded into the cluster."""
        if self.addresses.get(service) or self.is_local:
            return False
        place = getattr(self.outputs(), service)
        return place is not None and not place.url

    @contextmanager
    def _reach(self, service: Service, local: str = "") -> Iterator[str]:
        """A service's URL; ``local`` is where it is on this machine."""
        given = self.addresses.get(service, "").rstrip("/") or local
        if given:
            yield given
            return
        with ExitStack() as stack:
            place = getattr(self.outputs(), service)
            yield stack.enter_context(reached(self.name, service, place, self.cluster))
