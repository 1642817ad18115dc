"""What a version did, in numbers, for Prometheus and for the judge.

Plain numbers on one thread instead of a metrics library: a request costs a few additions, and the
judge reads exactly what was counted. Nothing here is ever reset while the process lives;
`process_start_time_seconds` tells a reader that it is another process's count.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import psutil  # type: ignore[import-untyped,unused-ignore]

from serving import metrics

MANY = 32
"""From so many values on numpy is faster than counting one by one."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Histogram:
    """Counts by bucket; a bucket holds what is at most its edge, as in Prometheus."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self.bounds = sorted(set(bounds))
        self._edges = np.array(self.bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add_all(self, values: Sequence[float]) -> None:
        """Count many values."""
        if len(values) < MANY:
            for value in values:
                self.add(value)
            return
        added = np.bincount(np.searchsorted(self._edges, values), minlength=len(self.counts))
        self.counts = [old + new for old, new in zip(self.counts, added.tolist(), strict=True)]
        self.sum += sum(values)

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """In Prometheus's text form."""
        bucket = metrics.bucket(name)
        total = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            total += count
            yield f'{bucket}{{{labels},{metrics.EDGE}="{metrics.edge(bound)}"}} {total}'
        total += self.counts[-1]
        yield f'{bucket}{{{labels},{metrics.EDGE}="{metrics.INFINITY}"}} {total}'
        yield f"{metrics.total(name)}{{{labels}}} {self.sum!r}"
        yield f"{metrics.count(name)}{{{labels}}} {total}"


class Counters:
    """The counters of one server.

    Args:
        labels: what every series is labelled with (model, version, predictor).
        slow_over: seconds; an edge of the latency histogram, so that slow responses are counted
            exactly.
        score_bounds: the edges of the histogram of predictions.
    """

    def __init__(
        self, labels: Mapping[str, str], slow_over: float, score_bounds: Sequence[float]
    ) -> None:
        self._labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
        self.requests: Counter[int] = Counter({200: 0})
        self.addressed = 0
        """Of the requests those that named this version, which no weight has sent here."""
        self.findings: Counter[tuple[str, str]] = Counter()
        """By the input's name, and what was found."""
        self.explanations: Counter[int] = Counter()
        """Requests to explain predictions, by status."""
        self.rows = 0
        """Rows of the requests that were answered."""
        self.refused_seconds = 0.0
        """Of the seconds, those of requests that were refused or failed."""
        self.last = 0.0
        """When the last request was answered, in seconds since 1970; 0 for never."""
        self.seconds = Histogram((*_SECONDS, slow_over))
        self.scores = Histogram(score_bounds)
        self.feedback: Counter[str] = Counter({metrics.RIGHT: 0, metrics.WRONG: 0})
        self.started: float | None = None
        """When the process began that readers know, in seconds since 1970; None for this one."""

    def request(self, code: int, seconds: float, *, addressed: bool = False) -> None:
        """Count one answered inference request, and whether it named this version."""
        self.requests[code] += 1
        self.seconds.add(seconds)
        if code != 200:
            self.refused_seconds += seconds
        if addressed:
            self.addressed += 1

    def answered(
        self, rows: int, scores: Sequence[float], findings: Mapping[str, Sequence[str]]
    ) -> None:
        """Count what was answered to one request: its rows, their predictions, and what was odd
        about it, inputs' names by finding."""
        self.rows += rows
        self.last = time.time()
        self.scores.add_all(scores)
        if findings:
            for finding, names in findings.items():
                for name in names:
                    self.findings[name, finding] += 1

    def judged(self, right: int, wrong: int) -> None:
        """Count what feedback showed."""
        self.feedback[metrics.RIGHT] += right
        self.feedback[metrics.WRONG] += wrong

    def explained(self, code: int) -> None:
        """Count one answered request for an explanation."""
        self.explanations[code] += 1

    def merged(self) -> Counters:
        """What all who count together have counted; here that is this one."""
        return self

    def text(self) -> bytes:
        """All of them, in Prometheus's text form."""
        return exposition([self])

    def _requests(self) -> Iterator[str]:
        for code, count in sorted(self.requests.items()):
            yield f'{metrics.REQUESTS}{{{self._labels},{metrics.CODE}="{code}"}} {count}'

    def _addressed(self) -> Iterator[str]:
        yield f"{metrics.ADDRESSED}{{{self._labels}}} {self.addressed}"

    def _findings(self) -> Iterator[str]:
        for (name, finding), count in sorted(self.findings.items()):
            own = f'{metrics.INPUT}="{_escaped(name)}",{metrics.FINDING}="{finding}"'
            yield f"{metrics.FINDINGS}{{{self._labels},{own}}} {count}"

    def _seconds(self) -> Iterator[str]:
        return self.seconds.lines(metrics.REQUEST_SECONDS, self._labels)

    def _predictions(self) -> Iterator[str]:
        return self.scores.lines(metrics.PREDICTIONS, self._labels)

    def _explanations(self) -> Iterator[str]:
        for code, count in sorted(self.explanations.items()):
            yield f'{metrics.EXPLANATIONS}{{{self._labels},{metrics.CODE}="{code}"}} {count}'

    def _feedback(self) -> Iterator[str]:
        for outcome, count in sorted(self.feedback.items()):
            yield f'{metrics.FEEDBACK}{{{self._labels},{metrics.OUTCOME}="{outcome}"}} {count}'

    SERIES: ClassVar[dict[str, Callable[[Counters], Iterator[str]]]] = {
        metrics.REQUESTS: _requests,
        metrics.ADDRESSED: _addressed,
        metrics.FINDINGS: _findings,
        metrics.REQUEST_SECONDS: _seconds,
        metrics.PREDICTIONS: _predictions,
        metrics.EXPLANATIONS: _explanations,
        metrics.FEEDBACK: _feedback,
    }
    """By metric, what gives its lines."""


def exposition(counters: Iterable[Counters]) -> bytes:
    """The counters of several models of this process, in Prometheus's text form, in which the
    series of a metric stand together."""
    known = list(counters)
    lines: list[str] = []
    for name, series in Counters.SERIES.items():
        lines += _head(name)
        for own in known:
            lines += series(own)
    starts = [own.started for own in known if own.started is not None]
    started = min(starts, default=psutil.Process().create_time())
    lines += (*_head(metrics.PROCESS_START), f"{metrics.PROCESS_START} {started!r}", "")
    return "\n".join(lines).encode()


def _head(name: str) -> tuple[str, str]:
    kind, text = metrics.HELP[name]
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
