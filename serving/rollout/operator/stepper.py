"""One step of one ModelRollout: read, decide, save, act."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from contracts.custom_resource import DECISION, ModelRolloutSpec
from contracts.errors import RolloutError
from contracts.rollout import TERMINAL, Decision, Phase, RolloutStatus
from serving.protocol import ORIGINS_VARIABLE
from serving.rollout.backends import backend
from serving.rollout.core.controller import desired
from serving.rollout.deployment import KubernetesDeployment, Owner
from serving.rollout.kubernetes import ROLLOUTS, Api, ConflictError
from serving.rollout.mlflow import MlflowServer
from serving.rollout.operator.metrics import Metrics
from serving.rollout.operator.resource import Resource
from serving.rollout.pods import IMAGE
from serving.rollout.ports import NoRegistry, step
from serving.rollout.prometheus import STALE, Prometheus, PrometheusTelemetry

log = structlog.get_logger(__name__)

PACE = 2.5
"""Seconds between two steps of a rollout at most; looks come at the plan's interval."""
AT_REST = 30.0
"""Seconds between two steps where nothing is under way: changes made by hand are found."""
WARNINGS = frozenset({Phase.HELD, Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.REJECTED})


class Stepper:
    """Makes the steps of ModelRollouts.

    Args:
        api: the Kubernetes API.
        prometheus: who counts.
        mlflow: whose aliases follow the rollouts; None for none.
        image: the model server's image where a resource names none.
        origins: the origins whose web pages may ask the model servers.
        metrics: the operator's own.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        api: Api,
        prometheus: Prometheus,
        *,
        mlflow: MlflowServer | None = None,
        image: str = IMAGE,
        origins: str = "",
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._prometheus = prometheus
        self._mlflow = mlflow
        self._image = image
        self._env = {ORIGINS_VARIABLE: origins} if origins else {}
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
            self._api,
            resource.owner,
            spec,
            image=self._image,
            env=self._env,
            repaired=resource.repaired,
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
        versions = (status.stable, status.candidate, spec.artifact)
        limit = spec.plan.guards.slow_over
        return PrometheusTelemetry(
            self._prometheus,
            owner.namespace,
            owner.name,
            {target.predictor for target in versions if target},
            slow_over=spec.serving.latency_budget if limit is None else limit,
            mirrored={status.candidate.predictor} if mirrored and status.candidate else (),
            service=backend(spec.serving.backend).service,
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
