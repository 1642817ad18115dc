"""The providers of a run: those that the program registers, the defaults, and the state's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pocket.engine import urns
from pocket.engine.config import Config
from pocket.engine.journal import Snapshot
from pocket.engine.providers import Provider, Registry
from pocket.engine.state import ResourceState
from pocket.engine.steps import Goal
from pocket.engine.values import Properties
from pocket.errors import DeploymentError


@dataclass(frozen=True)
class Identity:
    """Which stack of which project a run is about."""

    project: str
    stack: str
    organization: str = "organization"


class KnownProviders:
    """Finds providers by their references, and registers a package's default on its first use.

    Args:
        identity: project and stack.
        snapshot: the stack's resources, providers among them.
        registry: the providers.
        config: the stack's configuration: default providers are configured from it.
        register: registers a resource with the run.
    """

    def __init__(
        self,
        identity: Identity,
        snapshot: Snapshot,
        registry: Registry,
        config: Config,
        register: Callable[[Goal], ResourceState],
    ) -> None:
        self._identity = identity
        self._snapshot = snapshot
        self._registry = registry
        self._config = config
        self._register = register
        self._lock = threading.Lock()
        self._default_locks: dict[str, threading.Lock] = {}
        self._defaults: dict[str, str] = {}

    def state_of(self, reference: str) -> ResourceState | None:
        """The provider resource that a reference of the old state names."""
        known = tuple(urns.split_reference(reference))
        states = (*self._snapshot.base.resources, *self._snapshot.states.copy().values())
        return next((one for one in states if (one.urn, one.id) == known), None)

    def default(self, package: str, version: str, url: str = "") -> str:
        """The reference of a package's default provider, registered on first use."""
        name = urns.default_provider(version, url)
        key = f"{package}|{name}"
        with self._lock:
            lock = self._default_locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._defaults:
                self._defaults[key] = self._register_default(package, name, version, url)
            return self._defaults[key]

    def _register_default(self, package: str, name: str, version: str, url: str) -> str:
        kind = urns.PROVIDER_PREFIX + package
        # Settings under ``pulumi:`` are the CLI's own.
        settings = {} if package == "pulumi" else self._config.of_package(package)
        inputs = provider_inputs(settings, version, url)
        urn = urns.make(self._identity.stack, self._identity.project, "", kind, name)
        state = self._register(Goal(urn=urn, type=kind, name=name, custom=True, inputs=inputs))
        return f"{state.urn}::{state.id}"

    def of(self, reference: str) -> Provider:
        """The provider that a reference names.

        Raises:
            DeploymentError: the run has registered none such.
        """
        provider = self._registry.get(reference)
        if provider is None:
            raise DeploymentError(
                f"the provider {reference} has not been registered",
                fix="Pass a provider that this program creates.",
            )
        return provider

    def former(self, state: ResourceState) -> Provider:
        """The provider of a resource in the state: this run's, or one configured from the state."""
        known = self._registry.get(state.provider)
        if known is not None:
            return known
        resource = self.state_of(state.provider)
        if resource is None:
            raise DeploymentError(
                f"its provider {state.provider} is not in the state",
                where=state.urn,
                fix="Restore a state from the history, which has it.",
            )
        return self._registry.ensure(resource)


def provider_inputs(inputs: Mapping[str, object], version: str, url: str) -> Properties:
    """A provider resource's inputs with what the engine adds to them."""
    found: Properties = dict(inputs)
    if version:
        found |= {"version": version, "__internal": {}}
    if url:
        found["__internal"] = {"pluginDownloadURL": url}
    return found
