"""Runs SeldonDeployments as processes behind one Envoy.

`apply` is level-triggered: it compares what should run with what runs and takes the steps that are
safe now. Nothing is remembered between two calls but the documents and what is really there
(processes, Envoy's files), so it may be killed anywhere and the next call picks up. The order of
the steps is what keeps requests from being lost: a predictor gets weight only after Envoy finds it
ready; it loses its servers only after Envoy confirms that nothing is sent to them.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from contracts.document import suggest
from contracts.errors import LocalError, MillwrightError, ServingError
from laptop.serving import envoy, routes
from laptop.serving.document import PredictorPlan, ServingPlan, read_deployment
from laptop.serving.loopback import get
from laptop.serving.state import (
    ModelServer,
    PredictorState,
    ServingState,
    backend_of,
    confirmed_weight,
    current_servers,
    in_use,
    leaving_state,
    next_weights,
    refused,
)
from laptop.serving.telemetry import PredictorCounters, gateway_counts, read_replica
from laptop.supervisor import Port, Running, Spec, Supervisor
from pocket.files import write_whole
from pocket.patience import allowed
from pocket.supervisor import tail
from serving.runtime.store import fetch_document

_PREFIX = "serving"
_DRAIN = "1s"
REFUSALS = 3
"""So many starts in a row that a server ends by itself are enough: a store may be away for one."""
_RESTART_AFTER = 3.0
"""Seconds from a start until a server that died is started again: one that cannot live must not
spin.
"""


class LocalServing:
    """The laptop's Seldon.

    Args:
        root: the environment's folder, ``.millwright/<env>``.
        supervisor: of the same folder.
        env: environment variables for all model servers, such as AWS_ENDPOINT_URL.
    """

    def __init__(
        self, root: Path, supervisor: Supervisor, *, env: Mapping[str, str] | None = None
    ) -> None:
        self._folder = Path(root).resolve() / "serving"
        self._documents = self._folder / "documents"
        self._files = self._folder / "envoy"
        self._supervisor = supervisor
        self._env = dict(env or {})

    # -- what callers use ------------------------------------------------------------------------

    def apply(self, document: Mapping[str, object]) -> None:
        """Make the deployment what the document says, as far as is safe now; waits for nothing.

        Call it again (or `tick`) until `observe` says that it is settled.

        Raises:
            DocumentError: the document cannot be served; nothing was changed.
            ServingError: an artifact cannot be read; nothing was changed.
            LocalError: Envoy does not start.
        """
        deployment = read_deployment(document)
        with self._lock():
            for predictor in deployment.predictors:
                self._version(predictor.artifact)
            path = self._documents / f"{deployment.name}.json"
            write_whole(path, json.dumps(document, indent=1, sort_keys=True))
            self._reconcile()

    def tick(self) -> None:
        """Take the next safe steps for every deployment; starts again what has died."""
        with self._lock():
            self._reconcile()

    def watch(self, *, until: threading.Event, every: float = 1.0) -> None:
        """Tick until the event is set; a step that fails is tried again at the next tick."""
        while not until.wait(every):
            with contextlib.suppress(MillwrightError):
                self.tick()

    def settle(self, name: str, *, within: float = 60.0) -> ServingState:
        """Tick until the deployment is as its document says.

        Raises:
            ServingError: it is not so in time; with the log of a server that died.
        """
        deadline = time.monotonic() + allowed(within)
        while True:
            self.tick()
            state = self.observe(name)
            if state.settled:
                return state
            if time.monotonic() > deadline:
                problems = [own.problem for own in state.predictors if own.problem]
                raise ServingError(
                    f"not as asked within {within:g} s" + "".join(f":\n{p}" for p in problems),
                    where=name,
                    fix=f"See the logs in {self._folder.parent / 'logs'}.",
                )
            time.sleep(0.1)

    def names(self) -> list[str]:
        """The deployments that were applied and not deleted."""
        return sorted(path.stem for path in self._documents.glob("*.json"))

    def document(self, name: str) -> dict[str, object]:
        """The document as it was applied last.

        Raises:
            ServingError: there is none of that name.
        """
        try:
            content = (self._documents / f"{name}.json").read_text()
        except FileNotFoundError:
            raise self._unknown(name) from None
        value: dict[str, object] = json.loads(content)
        return value

    def observe(self, name: str) -> ServingState:
        """What runs, and what Envoy confirms.

        Raises:
            ServingError: there is no deployment of that name.
        """
        deployment = read_deployment(self.document(name))
        servers = [own for own in self._servers() if own.deployment == name]
        running = self._supervisor.find(envoy.PROCESS)
        view = _view(running)
        configured = envoy.written_weights(self._files).get(name, {})
        states = [
            self._state(deployment, own, servers, view, configured) for own in deployment.predictors
        ]
        known = {own.name for own in deployment.predictors}
        for gone in sorted({own.predictor for own in servers} - known):
            states.append(leaving_state(name, gone, view, configured))
        url = f"{running.url}/seldon/{deployment.namespace}/{name}" if running else ""
        return ServingState(
            name=name, namespace=deployment.namespace, url=url, predictors=tuple(states)
        )

    def counters(self, name: str) -> dict[str, PredictorCounters]:
        """Raw counters by predictor; one that nothing is known about is absent.

        Raises:
            ServingError: there is no deployment of that name.
        """
        deployment = read_deployment(self.document(name))
        view = _view(self._supervisor.find(envoy.PROCESS))
        if view is None:
            return {}
        servers = [own for own in self._servers() if own.deployment == name]
        counted = (self._count(name, own, servers, view) for own in deployment.predictors)
        return {known.name: known for known in counted if known}

    def delete(self, name: str, *, within: float = 60.0) -> None:
        """Remove the deployment and wait until its last server has ended; nothing if there is none.

        Raises:
            LocalError: it was not gone in time.
        """
        (self._documents / f"{name}.json").unlink(missing_ok=True)
        deadline = time.monotonic() + allowed(within)
        while any(own.deployment == name for own in self._servers()):
            self.tick()
            if time.monotonic() > deadline:
                raise LocalError(f"not gone within {within:g} s", where=name)
            time.sleep(0.05)
        if not self.names():
            self._supervisor.stop(envoy.PROCESS)

    # -- one step towards what should be ---------------------------------------------------------

    def _reconcile(self) -> None:
        deployments = [read_deployment(self.document(name)) for name in self.names()]
        servers = self._servers()
        if not deployments and not servers:
            return
        self._start_missing(deployments, servers)
        servers = self._servers()
        kept = {own.name: own for own in deployments}
        view = _view(self._start_envoy())
        if view is None:
            return
        backends = self._backends(kept, servers, view)
        envoy.write_endpoints(self._files, backends)
        envoy.write_clusters(self._files, backends)
        self._write_routes(deployments, backends, view)
        self._stop_retired(kept, servers, backends, view)

    def _start_envoy(self) -> Running:
        running = self._supervisor.find(envoy.PROCESS)
        if running:
            return running
        if not (self._files / "cds.json").exists():
            envoy.write_clusters(self._files, [])
            envoy.write_routes(self._files, [])
        return self._supervisor.start(envoy.process(self._files))

    def _start_missing(self, deployments: list[ServingPlan], servers: list[ModelServer]) -> None:
        there = {own.status.name: own for own in servers}
        for deployment in deployments:
            for predictor in deployment.predictors:
                for index in range(predictor.replicas):
                    spec = self._spec(deployment, predictor, index)
                    server = there.get(spec.name)
                    if server is None or not server.alive:
                        self._start(spec, server)

    def _start(self, spec: Spec, died: ModelServer | None) -> None:
        if died and time.time() < died.status.started + _RESTART_AFTER:
            return
        if died is None:  # What an earlier rollout of the same version met is no longer so.
            self._supervisor.log(spec.name).unlink(missing_ok=True)
        # What ended at once is seen, and told, by the next look at it; the others must not wait.
        with contextlib.suppress(LocalError):
            self._supervisor.start(spec)

    def _spec(self, deployment: ServingPlan, predictor: PredictorPlan, index: int) -> Spec:
        return Spec(
            name=f"{_PREFIX}.{deployment.name}.{predictor.name}.{predictor.generation}.{index}",
            argv=(
                *(sys.executable, "-m", "serving.runtime"),
                *("--artifact", predictor.artifact, "--name", predictor.model),
                *("--predictor", predictor.name, "--port", Port()),
                *("--slow-over", predictor.slow_over, "--grace", _DRAIN),
                *predictor.options,
            ),
            env={"OMP_NUM_THREADS": "1", **self._env, **dict(predictor.env)},
            ready=None,
            grace=35,
        )

    def _servers(self) -> list[ModelServer]:
        servers = []
        for status in self._supervisor.status():
            parts = status.name.split(".")
            if parts[0] == _PREFIX and len(parts) == 5:
                deployment, predictor, generation, index = parts[1:]
                servers.append(
                    ModelServer(
                        deployment=deployment,
                        predictor=predictor,
                        generation=generation,
                        index=int(index),
                        status=status,
                    )
                )
        return servers

    def _backends(
        self, deployments: Mapping[str, ServingPlan], servers: list[ModelServer], view: envoy.View
    ) -> list[routes.Backend]:
        """What Envoy should know: the predictors asked for, and those it may still send to."""
        backends = []
        for deployment in deployments.values():
            for predictor in deployment.predictors:
                version = self._version(predictor.artifact)
                backends.append(backend_of(deployment.name, predictor, version, servers, view))
        asked = {backend.cluster for backend in backends}
        leaving: dict[str, list[ModelServer]] = {}
        for server in servers:
            leaving.setdefault(f"{server.deployment}.{server.predictor}", []).append(server)
        for cluster in leaving.keys() - asked:
            deployment_name, _, predictor_name = cluster.partition(".")
            ports = tuple(sorted(own.port for own in leaving[cluster] if own.alive))
            backend = routes.Backend(
                deployment=deployment_name, name=predictor_name, version="", model="", ports=ports
            )
            if in_use(backend, view):
                backends.append(backend)
        return backends

    def _write_routes(
        self, deployments: list[ServingPlan], backends: list[routes.Backend], view: envoy.View
    ) -> None:
        written = envoy.written_weights(self._files)
        fronts = [
            routes.Front(
                name=own.name,
                namespace=own.namespace,
                backends=tuple(b for b in backends if b.deployment == own.name and b.version),
                weights=next_weights(own, written.get(own.name, {}), view),
                shadows=tuple(
                    p.name
                    for p in own.predictors
                    if p.shadow and view.ready.get(f"{own.name}.{p.name}")
                ),
            )
            for own in deployments
        ]
        envoy.write_routes(self._files, fronts)

    def _stop_retired(
        self,
        deployments: Mapping[str, ServingPlan],
        servers: list[ModelServer],
        backends: list[routes.Backend],
        view: envoy.View,
    ) -> None:
        """End the servers that nobody asks for, once Envoy confirms that it knows them no more."""
        wanted = {
            self._spec(deployment, predictor, index).name
            for deployment in deployments.values()
            for predictor in deployment.predictors
            for index in range(predictor.replicas)
        }
        known = {port for backend in backends for port in backend.ports}
        known |= {port for ports in view.hosts.values() for port in ports}
        retired = [
            own.status.name
            for own in servers
            if own.status.name not in wanted and not (own.alive and own.port in known)
        ]
        if retired:  # Together: each takes its grace to end, and a rollout waits for them.
            with ThreadPoolExecutor(len(retired)) as threads:
                list(threads.map(self._supervisor.stop, retired))

    # -- looking ---------------------------------------------------------------------------------

    def _state(
        self,
        deployment: ServingPlan,
        predictor: PredictorPlan,
        servers: list[ModelServer],
        view: envoy.View | None,
        configured: Mapping[str, int],
    ) -> PredictorState:
        own = current_servers(deployment.name, predictor, servers)
        ready = view.ready.get(f"{deployment.name}.{predictor.name}", frozenset()) if view else ()
        died = [server for server in own if not server.alive]
        up = sum(server.alive and server.port in ready and _answers(server) for server in own)
        return PredictorState(
            name=predictor.name,
            version=self._version(predictor.artifact),
            artifact=predictor.artifact,
            desired=predictor.replicas,
            ready=up,
            weight=predictor.weight,
            configured=configured.get(predictor.name, 0),
            confirmed=confirmed_weight(deployment.name, predictor.name, view),
            problem=tail(died[0].status.log, lines=5) if died else "",
            refusal="" if up else next(filter(None, map(_refusal, own)), ""),
        )

    def _count(
        self,
        deployment: str,
        predictor: PredictorPlan,
        servers: list[ModelServer],
        view: envoy.View,
    ) -> PredictorCounters | None:
        gateway = gateway_counts(view.stats, f"{deployment}.{predictor.name}")
        if gateway is None:
            return None
        replicas = [
            read_replica(own.port, process=own.status.name, slow_over=predictor.slow_over)
            for own in current_servers(deployment, predictor, servers)
            if own.alive
        ]
        reached = tuple(replica for replica in replicas if replica)
        return PredictorCounters(
            name=predictor.name,
            version=self._version(predictor.artifact),
            source=view.identity,
            gateway=gateway,
            replicas=reached,
            silent=max(0, predictor.replicas - len(reached)),
        )

    def _unknown(self, name: str) -> ServingError:
        return ServingError(
            "nothing is served by this name",
            where=name,
            fix=suggest(name, self.names()),
        )

    def _version(self, uri: str) -> str:
        """The version of an artifact; kept, because it is immutable and its store may be away."""
        path = self._folder / "versions.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if uri not in known:
            known[uri] = fetch_document(uri).version
            write_whole(path, json.dumps(known, indent=1))
        return known[uri]

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One at a time: the rollout's loop and a person's command may both apply."""
        self._documents.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self._folder / "lock", poll_interval=0.02):
            yield


def _view(running: Running | None) -> envoy.View | None:
    """What Envoy does; None when it does not answer."""
    if running is None:
        return None
    try:
        return envoy.look(running)
    except LocalError:
        return None


def _refusal(server: ModelServer) -> str:
    """Why it cannot start, once that is certain."""
    return refused(tail(server.status.log, lines=200), tries=REFUSALS)


def _answers(server: ModelServer) -> bool:
    """Whether the server itself is ready: started anew on its port, it is not for a moment, while
    Envoy still believes what it last saw there.
    """
    with contextlib.suppress(LocalError):
        get(server.port, "/v2/health/ready", timeout=2)
        return True
    return False
