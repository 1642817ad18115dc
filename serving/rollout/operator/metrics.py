"""The operator's own numbers, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.rollout import WHOLE, Phase, RolloutStatus


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
        for series in (self.phase, self.weight, self.harm, self.look, self.decisions):
            series.remove_by_labels({"namespace": namespace, "model": model})
