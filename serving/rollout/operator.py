"""The operator: what `laptop.rollout` is on a laptop, for every ModelRollout of a cluster.

It decides nothing: each step reads the resource, calls the same `step` as the laptop's loop, and
saves the status in the resource before anything else is written. So it may be killed at any
moment; and since every write is conditional on the version that was read, a second one running
beside it loses races and does no harm.

kopf watches; it only wakes the loop of a resource, and each loop also goes round by itself
(level-triggered), so a lost event loses nothing. kopf's own timers and daemons are not used: they
put a finalizer on every resource, and a namespace could not be deleted while no operator runs.
What a ModelRollout owns has an owner reference instead, and Kubernetes removes it.

`python -m serving.rollout.operator` runs it; each option is also an environment variable.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast, get_args

import kopf
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.custom_resource import (
    API_VERSION,
    DECISION,
    GROUP,
    KEPT,
    KIND,
    ORDER,
    PLURAL,
    VERSION,
    Condition,
    ModelRolloutSpec,
    ModelRolloutStatus,
)
from contracts.errors import DocumentError, MillwrightError, RolloutError
from contracts.rollout import TERMINAL, WHOLE, Decision, Phase, RolloutStatus
from serving.rollout.core.controller import desired
from serving.rollout.core.observations import Command
from serving.rollout.kubernetes import (
    EVENTS,
    JSON_PATCH,
    ROLLOUTS,
    SELDON_DEPLOYMENTS,
    Api,
    ConflictError,
    KubernetesDeployment,
    Object,
    Owner,
    configuration,
)
from serving.rollout.mlflow import Mlflow
from serving.rollout.ports import NoRegistry, step
from serving.rollout.prometheus import STALE, Prometheus, PrometheusTelemetry
from serving.rollout.seldon import IMAGE

log = structlog.get_logger(__name__)

PACE = 2.5
"""Seconds between two steps of a rollout at most; looks come at the plan's interval."""
AT_REST = 30.0
"""Seconds between two steps where nothing is under way: changes made by hand are found."""
HEARTBEAT = 30.0
"""A status that only grew older is saved this often; the rollout's clock allows for more."""
WORKERS = 16
STUCK = 180.0
"""Seconds after which a step that has not ended is a sign of death."""
WARNINGS = frozenset({Phase.HELD, Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.REJECTED})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the operator works."""

    prometheus: str
    mlflow: str = ""
    """Address of the tracking server whose aliases follow the rollouts; none when empty."""
    namespace: str | None = None
    """The only namespace that it serves; all when None."""
    kubeconfig: str | None = None
    context: str | None = None
    image: str = IMAGE
    listen: str = "127.0.0.1:8080"
    """Address of /metrics and /healthz."""


class Metrics:
    """The operator's own, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = ("namespace", "model")
        self.steps = Counter(
            "millwright_operator_steps", "Steps.", ("result",), registry=self.registry
        )
        self.seconds = Histogram(
            "millwright_operator_step_seconds", "Time of a step.", registry=self.registry
        )
        self.decisions = Counter(
            "millwright_rollout_decisions", "Decisions.", (*of, "phase"), registry=self.registry
        )
        self.phase = Gauge(
            "millwright_rollout_phase", "1 for the phase.", (*of, "phase"), registry=self.registry
        )
        self.weight = Gauge(
            "millwright_rollout_candidate_share",
            "The candidate's share.",
            of,
            registry=self.registry,
        )
        self.harm = Gauge(
            "millwright_rollout_harm", "Bad responses because of it.", of, registry=self.registry
        )
        self.look = Gauge(
            "millwright_rollout_looks", "Looks of this rollout.", of, registry=self.registry
        )

    def show(self, namespace: str, status: RolloutStatus) -> None:
        """A rollout as it stands."""
        where = (namespace, status.model)
        for phase in Phase:
            self.phase.labels(*where, phase).set(phase is status.phase)
        self.weight.labels(*where).set(status.weight / WHOLE)
        self.harm.labels(*where).set(status.harm.estimate)
        self.look.labels(*where).set(status.look)

    def forget(self, namespace: str, model: str) -> None:
        """A rollout that was deleted."""
        for one in (self.phase, self.weight, self.harm, self.look, self.decisions):
            one.remove_by_labels({"namespace": namespace, "model": model})


# --- One resource, one step -----------------------------------------------------------------------


class Stepper:
    """Makes the steps of ModelRollouts.

    Args:
        api: the Kubernetes API.
        prometheus: who counts.
        mlflow: whose aliases follow the rollouts; None for none.
        image: the model server's image where a resource names none.
        metrics: the operator's own.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        api: Api,
        prometheus: Prometheus,
        *,
        mlflow: Mlflow | None = None,
        image: str = IMAGE,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._prometheus = prometheus
        self._mlflow = mlflow
        self._image = image
        self._metrics = metrics or Metrics()
        self._clock = clock

    def step(self, namespace: str, name: str) -> float | None:
        """One step.

        Returns:
            Seconds until the next one, or None when the resource is gone.

        Raises:
            ConflictError: somebody else wrote the resource; nothing was done.
            RolloutError: the API server does not answer; nothing was decided.
        """
        body = self._api.get(ROLLOUTS, namespace, name)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._metrics.forget(namespace, name)
            return None
        resource = Resource(self._api, body, self._clock)
        if resource.spec is None:
            resource.refuse()
            return AT_REST
        return self._step(resource, resource.spec)

    def _step(self, resource: Resource, spec: ModelRolloutSpec) -> float:
        deployment = KubernetesDeployment(
            self._api, resource.owner, spec, image=self._image, repaired=resource.repaired
        )
        telemetry = self._telemetry(resource.owner, spec, resource.status)
        updated = resource.status.updated
        aliases = self._mlflow.aliases(resource.owner.name) if self._mlflow else None
        known_problem = aliases.problem if aliases else ""
        status = step(
            spec.plan,
            resource.status.rollout(),
            wanted=spec.artifact,
            commands=resource.commands(),
            deployment=deployment,
            telemetry=telemetry,
            registry=aliases or NoRegistry(),
            clock=lambda: look_time(telemetry.sampled, updated, self._clock()),
            save=resource.save,
            record=lambda decision: self._record(resource, decision),
        )
        resource.forget_order()
        if aliases and aliases.problem not in ("", known_problem):
            resource.tell("AliasesNotSet", aliases.problem, warning=True)
        self._repair(deployment, status)
        self._metrics.show(resource.owner.namespace, status)
        return pause(spec, status)

    @staticmethod
    def _repair(deployment: KubernetesDeployment, status: RolloutStatus) -> None:
        """Put right what somebody changed behind the status; what fails is tried again."""
        try:
            if status.wanted:
                deployment.repair(desired(status))
        except ConflictError:
            raise
        except RolloutError as error:
            log.warning("not put right", model=status.model, error=error.what)

    def _telemetry(
        self, owner: Owner, spec: ModelRolloutSpec, status: RolloutStatus
    ) -> PrometheusTelemetry:
        mirrored = _phase(status) is Phase.SHADOW and status.candidate is not None
        targets = [one for one in (status.stable, status.candidate, spec.artifact) if one]
        limit = spec.plan.guards.slow_over
        return PrometheusTelemetry(
            self._prometheus,
            owner.namespace,
            owner.name,
            {one.predictor for one in targets},
            slow_over=spec.serving.latency_budget if limit is None else limit,
            mirrored={status.candidate.predictor} if mirrored and status.candidate else (),
        )

    def _record(self, resource: Resource, decision: Decision) -> None:
        owner = resource.owner
        self._metrics.decisions.labels(owner.namespace, owner.name, decision.phase).inc()
        resource.tell(
            decision.phase,
            decision.reason,
            warning=decision.phase in WARNINGS,
            annotations={DECISION: decision.model_dump_json(exclude_none=True)},
        )
        log.info(
            "decision",
            namespace=owner.namespace,
            model=owner.name,
            phase=str(decision.phase),
            weight=decision.weight,
            look=decision.look,
            reason=decision.reason,
        )


def look_time(sampled: float | None, updated: float | None, now: float) -> float:
    """The time that a look is of: when its counters were counted.

    Prometheus scrapes at its own pace. By our clock a look between two scrapes would have met no
    traffic, and the one after it twice as much; by the counters' own there is no look before there
    is something new.

    Args:
        sampled: when the counters were counted, by Prometheus' clock; None for no counters.
        updated: the time of the last step; a sample that is a little older is no step back.
        now: our clock's time.
    """
    if sampled is None:
        return now
    if updated is not None and 0 <= updated - sampled < STALE:
        return updated
    return sampled


def _phase(status: RolloutStatus) -> Phase:
    """The phase whose rules apply."""
    return status.resume or status.phase


def pause(spec: ModelRolloutSpec, status: RolloutStatus) -> float:
    """Seconds until the next step."""
    wished = status.stable and status.stable.version == spec.artifact.version
    over = status.phase in TERMINAL and status.confirmed == status.wanted
    if over and (wished or spec.artifact.version in status.rejected):
        return AT_REST
    return min(PACE, spec.plan.interval / 4)


class Resource:
    """One ModelRollout as it was read, and the ways to write it.

    Args:
        api: the Kubernetes API.
        body: the resource.
        clock: seconds since 1970.

    Raises:
        RolloutError: its status cannot be understood; nothing may be decided on it.
    """

    def __init__(self, api: Api, body: Object, clock: Callable[[], float]) -> None:
        self._api = api
        self._body = body
        self._clock = clock
        metadata = body["metadata"]
        self.owner = Owner(
            name=metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"]
        )
        self.status = _parsed(ModelRolloutStatus, body.get("status"), self.owner)
        self.problem = ""
        self.spec = self._accepted()
        self._order = str(metadata.get("annotations", {}).get(ORDER, "")).strip()
        self._early = False

    def _accepted(self) -> ModelRolloutSpec | None:
        """The spec, or the last one that could be followed."""
        try:
            where = f"{self.owner.namespace}/{self.owner.name}: spec"
            return ModelRolloutSpec.parse(self._body["spec"], where=where)
        except DocumentError as error:
            self.problem = str(error)
            return self.status.accepted

    # -- what a person says ----------------------------------------------------------------------

    def commands(self) -> frozenset[Command]:
        """What a person says and was not obeyed yet."""
        if not self._order or self._order == self.status.obeyed:
            return frozenset()
        word, _, version = self._order.partition(" ")
        if word not in get_args(Command):
            known = ", ".join(get_args(Command))
            self.tell("NotUnderstood", f"{ORDER}: {word!r}; write one of {known}", warning=True)
            return frozenset()
        current = self.status.candidate or (self.spec.artifact if self.spec else None)
        self._early = word != "retry" and self._about_to_start()
        if self._early:
            return frozenset()
        if version.strip() and (current is None or current.version != version.strip()):
            return frozenset()
        return frozenset({word})  # type: ignore[arg-type]

    def _about_to_start(self) -> bool:
        """Whether an order is about a rollout that the next step begins: then it waits for it."""
        status, wanted = self.status, self.spec.artifact.version if self.spec else None
        served = status.stable is not None and status.stable.version == wanted
        return status.candidate is None and not served and wanted not in status.rejected

    def forget_order(self) -> None:
        """Take the order away that was obeyed; a newer one stays."""
        if not self._order or self._early:
            return
        path = f"/metadata/annotations/{ORDER.replace('/', '~1')}"
        change = [
            {"op": "test", "path": path, "value": self._body["metadata"]["annotations"][ORDER]},
            {"op": "remove", "path": path},
        ]
        try:
            self._api.patch(
                ROLLOUTS, self.owner.namespace, self.owner.name, change, form=JSON_PATCH
            )
        except RolloutError as error:
            log.info("order stays", model=self.owner.name, error=error.what)

    # -- the status ------------------------------------------------------------------------------

    def save(self, rollout: RolloutStatus) -> None:
        """Make the status durable, if it says anything new.

        Raises:
            ConflictError: the resource was written since it was read.
        """
        assert self.spec is not None
        given = rollout.model_copy(update={"decisions": rollout.decisions[-KEPT:]})
        status = ModelRolloutStatus(
            **{name: getattr(given, name) for name in RolloutStatus.model_fields},
            observedGeneration=self._body["metadata"].get("generation", 0),
            share=f"{rollout.weight * 100 / WHOLE:g}%" if rollout.candidate else "",
            served=max((one.candidate.total for one in rollout.guards.values()), default=0),
            obeyed="" if self._early else self._order,
            accepted=self.spec,
            conditions=self._conditions(rollout),
        )
        if not self._only_older(status):
            self._write(status)

    def _only_older(self, status: ModelRolloutStatus) -> bool:
        """Whether nothing changed but the time, and not much of that."""
        old, new = self.status, status
        clocks = {"clock": new.clock, "updated": new.updated}
        if old.model_copy(update=clocks) != new:
            return False
        rests = new.phase in TERMINAL
        return old.updated is not None and (rests or (new.updated or 0) - old.updated < HEARTBEAT)

    def _write(self, status: ModelRolloutStatus) -> None:
        written = json.loads(status.model_dump_json(by_alias=True, exclude_none=True))
        answer = self._api.replace(ROLLOUTS, {**self._body, "status": written}, "status")
        self._body = answer
        self.status = status

    def refuse(self) -> None:
        """Say that the spec cannot be followed, where none ever could."""
        status = self.status.model_copy(
            update={
                "observed_generation": self._body["metadata"].get("generation", 0),
                "conditions": self._conditions(self.status),
                "reason": "the spec cannot be followed",
            }
        )
        if status != self.status:
            self._write(status)
            self.tell("NotAccepted", self.problem, warning=True)

    def _conditions(self, rollout: RolloutStatus) -> tuple[Condition, ...]:
        settled = rollout.phase in TERMINAL and rollout.confirmed == rollout.wanted
        serves = rollout.stable is not None and rollout.confirmed == rollout.wanted
        refused = "Refused" if self.problem else "Understood"
        found = {
            "Accepted": (not self.problem, refused, self.problem),
            "Serving": (serves, str(rollout.phase), ""),
            "Settled": (settled and rollout.started is not None, str(rollout.phase), ""),
        }
        return tuple(self._condition(kind, *said) for kind, said in found.items())

    def _condition(self, kind: Any, holds: bool, reason: str, message: str) -> Condition:
        old = {one.type: one for one in self.status.conditions}.get(kind)
        value: Any = "True" if holds else "False"
        since = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Condition(
            type=kind,
            status=value,
            reason=reason,
            message=message,
            lastTransitionTime=old.last_transition_time if old and old.status == value else since,
            observedGeneration=self._body["metadata"].get("generation", 0),
        )

    # -- events ----------------------------------------------------------------------------------

    def repaired(self, what: str) -> None:
        """A change made by hand was put right."""
        self.tell("PutRight", what, warning=True)

    def tell(
        self,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """An Event; the same one twice is one."""
        now = self._clock()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        owner, metadata = self.owner, self._body["metadata"]
        words = json.dumps([owner.uid, reason, message, dict(annotations or {}), stamp])
        name = f"{owner.name}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": name,
                "namespace": owner.namespace,
                "annotations": dict(annotations or {}),
            },
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": owner.name,
                "namespace": owner.namespace,
                "uid": owner.uid,
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "millwright"},
            "reportingComponent": f"{GROUP}/operator",
            "reportingInstance": os.environ.get("HOSTNAME", "operator"),
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            self._api.create(EVENTS, owner.namespace, event)
        except RolloutError as error:
            log.info("event not written", model=owner.name, reason=reason, error=error.what)


def _parsed(document: type[ModelRolloutStatus], value: object, owner: Owner) -> ModelRolloutStatus:
    """The status of a resource; a new one's is blank."""
    blank = {"model": owner.name}
    given = {**blank, **value} if isinstance(value, Mapping) else blank
    return document.parse(given, where=f"{owner.namespace}/{owner.name}: status")


# --- All resources --------------------------------------------------------------------------------

Key = tuple[str, str]


class Loops:
    """A loop for each ModelRollout that is known of.

    Args:
        stepper: makes the steps.
        metrics: the operator's own.
    """

    def __init__(self, stepper: Stepper, metrics: Metrics) -> None:
        self._stepper = stepper
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="step")
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._wake: dict[Key, asyncio.Event] = {}
        self._began: dict[Key, float] = {}
        self._seen: dict[Key, object] = {}

    def see(self, namespace: str, name: str, what: object) -> None:
        """Something happened to a resource: step now, unless it was only its status.

        Args:
            namespace: where it is.
            name: its name.
            what: all of it that a person changes.
        """
        key = (namespace, name)
        if self._seen.get(key) == what and key in self._tasks:
            return
        self._seen[key] = what
        if key not in self._tasks or self._tasks[key].done():
            self._wake[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"{namespace}/{name}")
        self._wake[key].set()

    def wake(self, namespace: str, name: str) -> None:
        """Something happened to what a resource owns: step now, if it is known."""
        if (namespace, name) in self._wake:
            self._wake[namespace, name].set()

    def healthy(self) -> bool:
        """Whether no step hangs."""
        now = time.monotonic()
        return all(now - began < STUCK for began in list(self._began.values()))

    async def stop(self) -> None:
        """End all loops; a step under way ends first."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, key: Key) -> None:
        """Step until the resource is gone."""
        failures = 0
        while True:
            self._wake[key].clear()
            wait, failures = await self._step(key, failures)
            if wait is None:
                if self._wake[key].is_set():  # One of the same name came meanwhile.
                    continue
                break
            try:
                await asyncio.wait_for(self._wake[key].wait(), wait)
            except TimeoutError:
                continue
        self._wake.pop(key, None)
        self._tasks.pop(key, None)
        self._seen.pop(key, None)

    async def _step(self, key: Key, failures: int) -> tuple[float | None, int]:
        """One step; the wait after it, and how many failed in a row."""
        loop = asyncio.get_running_loop()
        self._began[key] = time.monotonic()
        try:
            with self._metrics.seconds.time():
                wait = await loop.run_in_executor(self._pool, self._stepper.step, *key)
            self._metrics.steps.labels("done").inc()
            return wait, 0
        except ConflictError as error:
            self._metrics.steps.labels("conflict").inc()
            log.info("written by somebody else meanwhile", rollout=key, error=error.what)
            return random.uniform(0.05, 0.5), 0
        except MillwrightError as error:
            self._metrics.steps.labels("failed").inc()
            log.warning("step failed", rollout=key, error=str(error))
        except Exception:  # One broken resource must not stop the others.
            self._metrics.steps.labels("broken").inc()
            log.exception("step broke", rollout=key)
        finally:
            self._began.pop(key, None)
        return min(10.0, 0.5 * 2 ** min(failures, 5)) * random.uniform(0.8, 1.2), failures + 1


def registry(settings: Settings, loops: Callable[[], Loops]) -> kopf.OperatorRegistry:
    """What kopf calls."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(configuration(settings.kubeconfig, settings.context))

    @kopf.on.startup(registry=made)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.peering.standalone = True
        settings.scanning.disabled = True  # No right to read CRDs and namespaces is needed.
        settings.posting.enabled = False  # Events are ours.
        settings.watching.server_timeout = 240
        settings.watching.reconnect_backoff = 1

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=made)
    async def seen(namespace: str | None, name: str | None, meta: Any, **_: Any) -> None:
        said = meta.get("annotations", {}).get(ORDER)
        what = (meta.get("uid"), meta.get("generation"), said, meta.get("deletionTimestamp"))
        loops().see(str(namespace), str(name), what)

    @kopf.on.event(
        "machinelearning.seldon.io",
        "v1",
        SELDON_DEPLOYMENTS[1],
        labels={"app.kubernetes.io/managed-by": "millwright"},
        registry=made,
    )
    async def owned(namespace: str | None, name: str | None, **_: Any) -> None:
        loops().wake(str(namespace), str(name))

    @kopf.on.cleanup(registry=made)
    async def cleanup(**_: Any) -> None:
        await loops().stop()

    return made


def connection(found: Any) -> kopf.ConnectionInfo:
    """kopf's form of the Kubernetes client's configuration."""
    header = found.get_api_key_with_prefix("BearerToken") or found.get_api_key_with_prefix(
        "authorization"
    )
    scheme, _, token = (header or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
    )


# --- The process ----------------------------------------------------------------------------------


class Pages:
    """/metrics and /healthz.

    Args:
        listen: host and port.
        metrics: what /metrics shows.
        healthy: what /healthz says.
    """

    def __init__(self, listen: str, metrics: Metrics, healthy: Callable[[], bool]) -> None:
        host, _, port = listen.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    code, body = 200, generate_latest(metrics.registry)
                elif self.path == "/healthz":
                    well = healthy()
                    code, body = (200, b"ok\n") if well else (503, b"a step hangs\n")
                else:
                    code, body = 404, b"there is /metrics and /healthz\n"
                self.send_response(code)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Not worth a line."""

        self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


def run(settings: Settings) -> None:
    """Run until a signal ends it."""
    metrics = Metrics()
    api = Api(configuration(settings.kubeconfig, settings.context))
    stepper = Stepper(
        api,
        Prometheus(settings.prometheus),
        mlflow=Mlflow(settings.mlflow) if settings.mlflow else None,
        image=settings.image,
        metrics=metrics,
    )
    loops = Loops(stepper, metrics)
    pages = Pages(settings.listen, metrics, loops.healthy)
    log.info("started", namespace=settings.namespace or "all", prometheus=settings.prometheus)
    try:
        _wait_for_crd(api)
        kopf.run(
            registry=registry(settings, lambda: loops),
            # kopf would ask for the user's name, and a pod's user has none. As text: kopf exports
            # no type of it.
            identity=cast(Any, f"{GROUP}/{socket.gethostname()}"),
            standalone=True,
            clusterwide=settings.namespace is None,
            namespace=settings.namespace,
        )
    finally:
        pages.close()


def _wait_for_crd(api: Api) -> None:
    """Wait until the cluster knows ModelRollouts: kopf looks for them once, at its start."""
    while True:
        try:
            if api.serves(ROLLOUTS):
                return
            log.warning("the CRD is not installed", fix="kubectl apply -k manifests/operator")
        except RolloutError as error:
            log.warning("waiting for the Kubernetes API", error=error.what)
        time.sleep(2)


def logs() -> None:
    """Structured lines on stderr, kopf's warnings among them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        level=logging.WARNING,
        format=json.dumps({"event": "%(message)s", "level": "%(levelname)s", "from": "%(name)s"}),
    )


OPTIONS: Mapping[str, tuple[str, str]] = {
    "prometheus": ("", "URL of Prometheus, such as http://prometheus.monitoring:9090"),
    "mlflow": ("", "URL of MLflow, whose aliases follow the rollouts; MLFLOW_TRACKING_URI"),
    "namespace": ("", "serve this namespace only; all when left out"),
    "kubeconfig": ("", "file that names the cluster; left out: the pod's own account"),
    "context": ("", "context in it"),
    "image": (IMAGE, "the model server's image where a ModelRollout names none"),
    "listen": ("127.0.0.1:8080", "address of /metrics and /healthz"),
}
"""Option: default and help; MILLWRIGHT_<OPTION> in the environment gives it too."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the operator."""
    parser = argparse.ArgumentParser(prog="python -m serving.rollout.operator", description=__doc__)
    for name, (default, text) in OPTIONS.items():
        given = os.environ.get(f"MILLWRIGHT_{name.upper()}", default)
        parser.add_argument(f"--{name}", default=given, help=text)
    options = parser.parse_args(argv)
    if not options.prometheus:
        parser.error("--prometheus (or MILLWRIGHT_PROMETHEUS) is needed: no telemetry, no verdict")
    logs()
    settings = Settings(
        prometheus=options.prometheus,
        mlflow=options.mlflow or os.environ.get("MLFLOW_TRACKING_URI", ""),
        namespace=options.namespace or None,
        kubeconfig=options.kubeconfig or None,
        context=options.context or None,
        image=options.image,
        listen=options.listen,
    )
    try:
        run(settings)
    except MillwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
