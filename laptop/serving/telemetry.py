"""Raw counters of each version, with the identity of who counted.

The judge takes differences between looks, so a counter that began anew must be recognisable: each
number comes with the process that counted it. Who cannot be reached is absent, never zero: zero
errors is evidence, silence is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from contracts.document import parse_duration
from contracts.errors import LocalError
from laptop.serving.loopback import get

_PREFIX = "millwright_"
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ReplicaCounters:
    """What one model server counted since it started.

    Args:
        replica: the process and when it started; another one means that counts began at 0.
        requests: inference requests answered, whatever the status.
        failed: those answered with a 5xx status.
        slow: those that took longer than the deployment's limit.
        right: predictions that feedback confirmed.
        wrong: predictions that feedback refuted.
        predictions: rows by bucket of the score, each bucket on its own, the last without an edge.
        bounds: the buckets' upper edges.
    """

    replica: str
    requests: int
    failed: int
    slow: int
    right: int
    wrong: int
    predictions: tuple[int, ...]
    bounds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PredictorCounters:
    """What was counted of one predictor.

    Args:
        name: the predictor.
        version: the model's version.
        source: the Envoy process that counted requests and errors; another one began at 0.
        requests: inference requests that were sent to it by weight and completed.
        errors: those of them that ended in a 5xx status, whoever gave it, or without a connection.
        replicas: what its servers counted; one that cannot be reached is absent.
        silent: how many servers should have answered and did not.
    """

    name: str
    version: str
    source: str
    requests: int
    errors: int
    replicas: tuple[ReplicaCounters, ...]
    silent: int

    @property
    def slow(self) -> int:
        """Slow answers of the servers that were reached."""
        return sum(replica.slow for replica in self.replicas)

    @property
    def right(self) -> int:
        """Confirmed predictions of the servers that were reached."""
        return sum(replica.right for replica in self.replicas)

    @property
    def wrong(self) -> int:
        """Refuted predictions of the servers that were reached."""
        return sum(replica.wrong for replica in self.replicas)

    @property
    def predictions(self) -> tuple[int, ...]:
        """Rows by bucket, over the servers that were reached."""
        columns = zip(*(replica.predictions for replica in self.replicas), strict=True)
        return tuple(sum(column) for column in columns)


def read_replica(port: int, *, process: str, slow_over: str) -> ReplicaCounters | None:
    """What the server on 127.0.0.1:port counted; None when it does not answer."""
    try:
        text = get(port, "/metrics", timeout=2).decode()
        return parse_metrics(text, process=process, slow_over=slow_over)
    except (LocalError, ValueError, KeyError):
        return None


def parse_metrics(text: str, *, process: str, slow_over: str) -> ReplicaCounters:
    """The runtime's /metrics as counters.

    Raises:
        KeyError: a series that the runtime always has is not there.
        ValueError: this is not Prometheus's text form.
    """
    samples: dict[Key, float] = {}
    failed = requests = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            samples[sample.name, labels.get("le") or labels.get("outcome", "")] = sample.value
            if sample.name == "millwright_requests_total":
                requests += int(sample.value)
                failed += int(sample.value) if labels["code"].startswith("5") else 0
    limit = parse_duration(slow_over)
    bounds, predictions = _buckets(samples, "millwright_predictions_bucket")
    within = samples["millwright_request_seconds_bucket", f"{limit:g}"]
    started = samples["process_start_time_seconds", ""]
    return ReplicaCounters(
        replica=f"{process}:{started:.2f}",
        requests=requests,
        failed=failed,
        slow=int(samples["millwright_request_seconds_count", ""] - within),
        right=int(samples["millwright_feedback_total", "right"]),
        wrong=int(samples["millwright_feedback_total", "wrong"]),
        predictions=predictions,
        bounds=bounds,
    )


def _buckets(samples: Mapping[Key, float], name: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The edges, and the count of each bucket without those below it."""
    below = sorted(
        (float(edge), int(count)) for (own, edge), count in samples.items() if own == name
    )
    counts = [count for _, count in below]
    alone = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
    return tuple(edge for edge, _ in below[:-1]), tuple(alone)
