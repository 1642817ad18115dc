"""The names of what model servers count, once.

A model server writes these series, Prometheus scrapes them, and the judge reads them back, on the
laptop from the server itself and in a cluster from Prometheus. A name that one side spelled
differently would read as silence, and silence holds a rollout for ever; so all sides take the
names, the labels' names and the spelling of an edge from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

REQUESTS: Final = "millwright_requests_total"
"""Counter: inference requests answered, by ``CODE``."""
ADDRESSED: Final = "millwright_addressed_requests_total"
"""Counter: of the requests, those that named a version, and so were not shared out by weight."""
FINDINGS: Final = "millwright_input_findings_total"
"""Counter: inference requests by what was odd about an ``INPUT`` of theirs, a ``FINDING``."""
REQUEST_SECONDS: Final = "millwright_request_seconds"
"""Histogram: seconds to answer one."""
PREDICTIONS: Final = "millwright_predictions"
"""Histogram: predicted scores, one a row."""
EXPLANATIONS: Final = "millwright_explanations_total"
"""Counter: explanations answered, by ``CODE``; they are no inferences."""
FEEDBACK: Final = "millwright_feedback_total"
"""Counter: predictions judged by what came true, by ``OUTCOME``."""
PROCESS_START: Final = "process_start_time_seconds"
"""Gauge: when the process started, in seconds since 1970; another value is another count."""

MODEL: Final = "model"
VERSION: Final = "version"
PREDICTOR: Final = "predictor"
"""Labels of every series: the model, its version, and the name that traffic is sent to it by."""
INPUT: Final = "input"
FINDING: Final = "finding"
"""Labels of ``FINDINGS``: the input's name; ``missing``, ``unknown`` or ``outside``."""
CODE: Final = "code"
"""Label of ``REQUESTS`` and ``EXPLANATIONS``: the answer's HTTP status."""
OUTCOME: Final = "outcome"
"""Label of ``FEEDBACK``: ``RIGHT`` or ``WRONG``."""
RIGHT: Final = "right"
WRONG: Final = "wrong"
EDGE: Final = "le"
"""Label of a histogram's bucket: the largest value in it, in ``edge``'s spelling."""
INFINITY: Final = "+Inf"
"""The edge of the last bucket."""

HELP: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        REQUESTS: ("counter", "Inference requests by status."),
        ADDRESSED: ("counter", "Inference requests that named a version."),
        FINDINGS: (
            "counter",
            "Requests whose input was left out, an unknown text, or out of range.",
        ),
        REQUEST_SECONDS: ("histogram", "Time to answer a request."),
        PREDICTIONS: ("histogram", "Predicted scores, one a row."),
        EXPLANATIONS: ("counter", "Explanations by status."),
        FEEDBACK: ("counter", "Predictions judged by outcomes."),
        PROCESS_START: ("gauge", "When this process started."),
    }
)
"""Each metric's type and its help text."""


def bucket(histogram: str) -> str:
    """The series with a histogram's buckets, each with those below it."""
    return f"{histogram}_bucket"


def count(histogram: str) -> str:
    """The series with how many values a histogram holds."""
    return f"{histogram}_count"


def total(histogram: str) -> str:
    """The series with the sum of a histogram's values."""
    return f"{histogram}_sum"


def edge(value: float) -> str:
    """A bucket's edge as our servers write it: the shortest text that reads back as the number,
    so that two edges never share a text.

    Who reads an edge compares numbers, never texts: a scraper may spell it anew (Prometheus 3
    writes ``2.0`` for what was scraped as ``2``).
    """
    text = repr(float(value))
    return text.removesuffix(".0")


# --- What the judge reads -------------------------------------------------------------------------

LIMIT: Final = "{limit}"
"""Stands for the latency limit in seconds where a series is named by an edge."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Some series of a metric, added up, or taken off where `sign` is -1.

    Args:
        metric: the series' name.
        labels: label → a regular expression that its whole value matches; an edge is compared as a
            number, and may be `LIMIT`.
        sign: 1 or -1.
    """

    metric: str
    labels: Mapping[str, str] = field(default_factory=dict)
    sign: Literal[1, -1] = 1


READINGS: Final[dict[str, tuple[Series, ...]]] = {
    "requests": (Series(metric=REQUESTS),),
    "errors": (Series(metric=REQUESTS, labels={CODE: "5.."}),),
    "received": (Series(metric=REQUESTS), Series(metric=ADDRESSED, sign=-1)),
    "timed": (Series(metric=count(REQUEST_SECONDS)),),
    "slow": (
        Series(metric=count(REQUEST_SECONDS)),
        Series(metric=bucket(REQUEST_SECONDS), labels={EDGE: LIMIT}, sign=-1),
    ),
    "feedback": (Series(metric=FEEDBACK),),
    "wrong": (Series(metric=FEEDBACK, labels={OUTCOME: WRONG}),),
}
"""How each tally of `contracts.signals` comes out of a server's series. Those of the gateway's
stand in for it while a version gets only copies of requests, on which no gateway reports."""
