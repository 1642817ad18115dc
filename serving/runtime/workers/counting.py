"""Counters in shared memory: whoever is asked tells what all have counted, exactly.

Nothing is collected or reported, so there is no moment at which a count is in two places or in
none, and none goes back when a worker dies: its numbers stay, and its successor counts on.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np
import psutil  # type: ignore[import-untyped,unused-ignore]

from serving import metrics
from serving.runtime.counters import MANY, Counters
from serving.runtime.tensors import MISSING, OUTSIDE, UNKNOWN
from serving.runtime.workers.memory import Memory

_CODES = range(100, 600)
"""Statuses, each with a place of its own: there are some that HTTP does not name."""
_REQUESTS = -_CODES.start
_EXPLAINED = _REQUESTS + len(_CODES)
"""What makes a place of a status."""
_ADDRESSED, _ROWS, _RIGHT, _WRONG, _FREE = range(2 * len(_CODES), 2 * len(_CODES) + 5)
_REFUSED, _LAST, _SECONDS, _SCORES, FLOATS = range(5)
"""Places of the floats, and how many there are."""


class SharedCounters(Counters):
    """The counters of one of several that count together.

    Args:
        labels: what every series is labelled with.
        slow_over: seconds; an edge of the latency histogram.
        score_bounds: the edges of the histogram of predictions.
        inputs: the model's inputs, of which something odd may be found.
    """

    def __init__(
        self,
        labels: Mapping[str, str],
        slow_over: float,
        score_bounds: Sequence[float],
        inputs: Sequence[str],
    ) -> None:
        super().__init__(labels, slow_over, score_bounds)
        self._made_of = (labels, slow_over, score_bounds)
        self.started = psutil.Process().create_time()  # of the parent, which makes it
        found = [(name, kind) for name in inputs for kind in (MISSING, UNKNOWN, OUTSIDE)]
        self._found = {key: _FREE + number for number, key in enumerate(found)}
        self._seconds_at = _FREE + len(found)
        self._scores_at = self._seconds_at + len(self.seconds.counts)
        self.integers = self._scores_at + len(self.scores.counts)
        """How many integers it needs."""

    def attach(self, memory: Memory, place: int) -> None:
        """Count in this place of the memory from now on."""
        self._memory = memory
        self._integers, self._floats = memory.integers[place], memory.floats[place]

    def request(self, code: int, seconds: float, *, addressed: bool = False) -> None:
        """Count one answered inference request, and whether it named this version."""
        integers, floats = self._integers, self._floats
        integers[self._seconds_at + bisect_left(self.seconds.bounds, seconds)] += 1
        floats[_SECONDS] += seconds
        if code != 200:
            floats[_REFUSED] += seconds
        if addressed:
            integers[_ADDRESSED] += 1
        integers[_REQUESTS + code] += 1

    def answered(
        self, rows: int, scores: Sequence[float], findings: Mapping[str, Sequence[str]]
    ) -> None:
        """Count what was answered to one request."""
        integers, floats = self._integers, self._floats
        integers[_ROWS] += rows
        floats[_LAST] = time.time()
        first, bounds = self._scores_at, self.scores.bounds
        if len(scores) < MANY:
            for score in scores:
                integers[first + bisect_left(bounds, score)] += 1
        else:
            buckets = np.bincount(np.searchsorted(bounds, scores)).tolist()
            for bucket, count in enumerate(buckets):
                if count:
                    integers[first + bucket] += count
        floats[_SCORES] += sum(scores)
        if findings:
            for finding, names in findings.items():
                for name in names:
                    integers[self._found[name, finding]] += 1

    def judged(self, right: int, wrong: int) -> None:
        """Count what feedback showed."""
        self._integers[_RIGHT] += right
        self._integers[_WRONG] += wrong

    def explained(self, code: int) -> None:
        """Count one answered request for an explanation."""
        self._integers[_EXPLAINED + code] += 1

    def merged(self) -> Counters:
        """What all have counted."""
        integers = np.sum([np.asarray(own) for own in self._memory.integers], axis=0).tolist()
        floats = np.sum([np.asarray(own) for own in self._memory.floats], axis=0).tolist()
        merged = Counters(*self._made_of)
        merged.started = self.started
        merged.requests.update(
            {code: integers[_REQUESTS + code] for code in _CODES if integers[_REQUESTS + code]}
        )
        merged.explanations.update(
            {code: integers[_EXPLAINED + code] for code in _CODES if integers[_EXPLAINED + code]}
        )
        merged.findings.update(
            {key: integers[place] for key, place in self._found.items() if integers[place]}
        )
        merged.addressed, merged.rows = integers[_ADDRESSED], integers[_ROWS]
        merged.feedback.update({metrics.RIGHT: integers[_RIGHT], metrics.WRONG: integers[_WRONG]})
        merged.refused_seconds = floats[_REFUSED]
        merged.last = max(own[_LAST] for own in self._memory.floats)
        merged.seconds.counts = integers[self._seconds_at : self._scores_at]
        merged.seconds.sum = floats[_SECONDS]
        merged.scores.counts = integers[self._scores_at : self.integers]
        merged.scores.sum = floats[_SCORES]
        return merged

    def text(self) -> bytes:
        """What all have counted, in Prometheus's text form."""
        return self.merged().text()
