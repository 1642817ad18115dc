"""Reading what was counted: a server's /metrics, on a laptop from itself, in a cluster from
Prometheus.

Both give the same samples, and both must make the same numbers of them, so it is done here for
both, by the table in `serving.metrics`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import EDGE, LIMIT, PREDICTIONS, READINGS, Series, bucket

NAME = "__name__"
"""Prometheus's label for a series' name."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One series and its value."""

    labels: Mapping[str, str]
    value: float

    @property
    def name(self) -> str:
        """The series' name; empty where a query has left it out."""
        return self.labels.get(NAME, "")

    @property
    def source(self) -> str:
        """Who counted: the scraped process."""
        return f"{self.labels.get('instance', '')}/{self.labels.get('pod', '')}"


def parse(text: str) -> list[Sample]:
    """The samples of a page in Prometheus's text form.

    Raises:
        ValueError: it is none.
    """
    return [
        Sample(labels={**sample.labels, NAME: sample.name}, value=sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def tally(name: str, samples: Iterable[Sample], limit: float) -> int | None:
    """One of the tallies of `contracts.signals`.

    Args:
        name: the tally.
        samples: of the servers that are counted together.
        limit: seconds; a response that takes longer is slow.

    Returns:
        The number, or None where nobody counts it: a metric that no server has, or a limit that is
        none of the histogram's edges. A label's value that has not occurred yet is zero.
    """
    known, total = list(samples), 0
    for series in READINGS[name]:
        own = [sample for sample in known if sample.name == series.metric]
        chosen = [sample for sample in own if _matches(series, sample, limit)]
        if not own or (not chosen and LIMIT in series.labels.values()):
            return None
        total += series.sign * sum(int(sample.value) for sample in chosen)
    return total


def _matches(series: Series, sample: Sample, limit: float) -> bool:
    return all(
        _is_edge(sample.labels.get(EDGE, "nan"), limit)
        if pattern == LIMIT
        else re.fullmatch(pattern, sample.labels.get(label, "")) is not None
        for label, pattern in series.labels.items()
    )


def _is_edge(text: str, limit: float) -> bool:
    return math.isclose(float(text), limit, rel_tol=1e-9)


def metrics_read() -> tuple[str, ...]:
    """The names of all series that are read."""
    names = {series.metric: None for reading in READINGS.values() for series in reading}
    return (*names, bucket(PREDICTIONS))


def predictions(samples: Sequence[Sample]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The upper edges of the histogram of predictions, and the count of each bucket on its own,
    the last without an edge. Both are empty where nobody counts predictions."""
    below: dict[float, int] = defaultdict(int)
    for sample in samples:
        if sample.name == bucket(PREDICTIONS):
            below[float(sample.labels[EDGE])] += int(sample.value)
    edges = sorted(below)
    counts = [below[edge] for edge in edges]
    alone = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
    return tuple(edges[:-1]), tuple(alone)
