"""Raw counters of each version, with the identity of who counted.

The judge takes differences between looks, so a counter that began anew must be recognisable: each
number comes with the process that counted it. Who cannot be reached is absent, never zero: zero
errors is evidence, silence is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.document import parse_duration
from contracts.errors import LocalError
from contracts.signals import TALLIES, tallies
from laptop.serving.loopback import get
from laptop.serving.routes import CALLS
from serving import counting
from serving.metrics import PROCESS_START


@dataclass(frozen=True, kw_only=True)
class ReplicaCounters:
    """What one model server counted since it started.

    Args:
        replica: the process and when it started; another one means that counts began at 0.
        counts: by the tallies of `contracts.signals`, those of the gateway's as the server itself
            counted them; a tally that it does not know is absent.
        predictions: rows by bucket of the score, each bucket on its own, the last without an edge.
        bounds: the buckets' upper edges.
    """

    replica: str
    counts: Mapping[str, int]
    predictions: tuple[int, ...]
    bounds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PredictorCounters:
    """What was counted of one predictor.

    Args:
        name: the predictor.
        version: the model's version.
        source: the Envoy process that counted requests and errors; another one began at 0.
        gateway: what Envoy counted of the inference requests that were sent to it by weight, by
            tally: those completed, and those that ended in a 5xx status, or a status of gRPC that
            says the same, whoever gave it, or without a connection.
        replicas: what its servers counted; one that cannot be reached is absent.
        silent: how many servers should have answered and did not.
    """

    name: str
    version: str
    source: str
    gateway: Mapping[str, int]
    replicas: tuple[ReplicaCounters, ...]
    silent: int

    def count(self, tally: str) -> int | None:
        """A tally: Envoy's, or that of the servers that were reached; None where one of them does
        not count it."""
        if tally in self.gateway:
            return self.gateway[tally]
        counts = [replica.counts.get(tally) for replica in self.replicas]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def predictions(self) -> tuple[int, ...]:
        """Rows by bucket, over the servers that were reached."""
        columns = zip(*(replica.predictions for replica in self.replicas), strict=True)
        return tuple(sum(column) for column in columns)


def gateway_counts(stats: Mapping[str, int], cluster: str) -> dict[str, int] | None:
    """What Envoy counted of a cluster; None where it does not know the cluster.

    A counter is made at the first request that it counts; that of all requests is there before.
    """
    prefix, rows = f"cluster.{cluster}.upstream_rq_", tallies("gateway")
    if f"{prefix}total" not in stats:
        return None
    calls = _calls(stats, cluster)
    return {
        row.name: stats.get(f"{prefix}{row.envoy}", 0)
        + sum(count for code, count in calls.items() if re.fullmatch(row.calls, code))
        for row in rows
    }


def _calls(stats: Mapping[str, int], cluster: str) -> dict[str, int]:
    """Calls of gRPC by their status code, also those that Envoy answered itself."""
    prefix = f"cluster.{cluster}{CALLS}.grpc."
    counts = {
        name.removeprefix(prefix): count for name, count in stats.items() if name.startswith(prefix)
    }
    return {code: count for code, count in counts.items() if code.isdigit()}


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
        KeyError: it does not say when the process started.
        ValueError: this is not Prometheus's text form.
    """
    samples = counting.parse(text)
    started = {sample.name: sample.value for sample in samples}[PROCESS_START]
    limit = parse_duration(slow_over)
    assert isinstance(limit, float)
    counts = {row.name: counting.tally(row.name, samples, limit) for row in TALLIES}
    bounds, predictions = counting.predictions(samples)
    return ReplicaCounters(
        replica=f"{process}:{started:.2f}",
        counts={name: count for name, count in counts.items() if count is not None},
        predictions=predictions,
        bounds=bounds,
    )
