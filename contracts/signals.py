"""The guards of a rollout, one row each: what is bad, of what, who counts it, and how it is set.

A guard touches the plan that a person writes, the CRD, the judge, the counters that two data planes
and every model server give, the live table and the report. All of them are made from these rows, so
that a new guard is a row here and, where it counts something that nobody counts yet, its counter.
The table stands in `contracts` because the plan and the CRD are made of it, and rooms below
`serving` read those; `serving.rollout.core.signals` is what evaluates it.

Two count. The *gateway* (Envoy on a laptop, Istio's in a cluster) sees every request and every
failure, also those of a server that does not answer. The *servers* of a version know what took them
long, what they predicted and what came back as feedback. Each starts again from zero by itself, so
one guard's total and bad are always counted by the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from contracts.document import Document, Duration, Share

Source = Literal["gateway", "servers"]
"""Who counts."""

SERVED: Final = "requests"
"""The tally of all that a version answered: rates and silence are measured by it."""

FAILED_CODES: Final = "5..|0"
"""Response codes of a failure: 0 is a connection that broke before there was a response."""
FAILED_CALLS: Final = "2|4|13|14|15"
"""gRPC's status codes of a failure, whose response code is 200: UNKNOWN, DEADLINE_EXCEEDED,
INTERNAL, UNAVAILABLE and DATA_LOSS. A slow version exceeds more deadlines than a fast one, and
whoever's are too short has them with each. The others are the caller's."""


# --- What is counted ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Tally:
    """One number that is counted of each version.

    How the servers' own come out of their /metrics is in `serving.metrics.READINGS`; so is what
    stands in for the gateway's while a version gets only copies, on which no gateway reports.

    Args:
        name: its field in `Counters`.
        source: who counts it.
        meaning: what it counts, for the schema.
        envoy: of the gateway's only: the end of Envoy's counter of the cluster, such as ``5xx``.
        codes: likewise: the response codes that it counts, as a regular expression, for Istio.
        calls: likewise: gRPC's status codes that it counts besides, as a regular expression.
    """

    name: str
    source: Source
    meaning: str
    envoy: str = ""
    codes: str = ""
    calls: str = ""


TALLIES: list[Tally] = [
    Tally(
        name=SERVED,
        source="gateway",
        meaning="Completed requests.",
        envoy="completed",
        codes=".*",
        calls=".*",
    ),
    Tally(
        name="errors",
        source="gateway",
        meaning="Of the requests, those that failed.",
        envoy="5xx",
        codes=FAILED_CODES,
        calls=FAILED_CALLS,
    ),
    Tally(name="timed", source="servers", meaning="Requests whose time was measured."),
    Tally(
        name="slow",
        source="servers",
        meaning="Of the timed, responses slower than the guard's limit.",
    ),
    Tally(
        name="feedback",
        source="servers",
        meaning="Predictions with a known outcome, of requests that this version served.",
    ),
    Tally(name="wrong", source="servers", meaning="Of the feedback, predictions that were wrong."),
    Tally(
        name="received",
        source="servers",
        meaning="Requests that named no version, whichever way they came.",
    ),
]
"""What is counted of each version, in the order in which it is written down."""


# --- How a guard is set ---------------------------------------------------------------------------


class Guard(Document):
    """A stream of good and bad outcomes per version, and when a difference matters."""

    tolerate: float | None = Field(default=None, gt=1, allow_inf_nan=False)
    """The odds ratio still acceptable for this guard; the rollout's `tolerate` when left out."""
    negligible: Share = 0.01
    """A bad rate so low that the version passes with less comparison: as soon as its own rate is
    shown to be below, and what there is of a comparison does not speak against it. For outcomes
    too rare to compare. 0% always compares."""


class ErrorsGuard(Guard):
    """Failed responses."""


class SlowGuard(Guard):
    """Responses slower than a limit."""

    over: Duration
    """A response that takes longer is slow. The model servers count by it, so an edit midway starts
    those of both versions anew, one after the other, and looks are left out until they count again.
    The evidence stays valid: at each look both versions are measured by the same limit."""

    @model_validator(mode="after")
    def positive(self) -> Self:
        """Every response takes longer than nothing."""
        if self.over <= 0:
            raise ValueError("over: must be longer than 0ms, or every response would be slow")
        return self


class WrongGuard(Guard):
    """Predictions that feedback says were wrong."""

    min_feedback: int = Field(default=200, ge=0)
    """No promotion before the candidate has this much feedback."""


# --- The guards -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One guard: a stream of outcomes of which some are bad.

    Args:
        name: its key among a plan's guards, and its column in tables.
        title: what is bad, for people: the report and the schema.
        total: the tally of all outcomes.
        bad: the tally of the bad ones among them, counted by the same.
        settings: how a person sets it; its defaults are the guard's.
        minimum: the setting that says how many outcomes the candidate needs before it may pass;
            empty for none.
        due: for outcomes that come later than the responses, the tally of the responses that they
            are about: what is still to come counts as possible harm. Empty for outcomes that are
            known at once.
    """

    name: str
    title: str
    total: str
    bad: str
    settings: type[Guard] = Guard
    minimum: str = ""
    due: str = ""

    def least(self, guard: Guard) -> int:
        """How many outcomes the candidate needs before it may pass."""
        return int(getattr(guard, self.minimum)) if self.minimum else 0


SIGNALS: list[Signal] = [
    Signal(
        name="errors",
        title="failed responses",
        total=SERVED,
        bad="errors",
        settings=ErrorsGuard,
    ),
    Signal(
        name="slow",
        title="responses slower than `over`",
        total="timed",
        bad="slow",
        settings=SlowGuard,
    ),
    Signal(
        name="wrong",
        title="predictions that feedback says were wrong",
        total="feedback",
        bad="wrong",
        settings=WrongGuard,
        minimum="min_feedback",
        due="timed",
    ),
]
"""The guards that compare good and bad outcomes. An extension adds its rows before anything that is
made from them is imported."""


def signal(name: str) -> Signal:
    """The row of a guard.

    Raises:
        KeyError: there is no guard of that name.
    """
    return {row.name: row for row in SIGNALS}[name]


def tallies(source: Source) -> tuple[Tally, ...]:
    """What one of the two counts."""
    return tuple(tally for tally in TALLIES if tally.source == source)


def problems(signals: Iterable[Signal], counted: Iterable[Tally]) -> list[str]:
    """What is wrong with the rows themselves, as sentences; for the test that keeps them right."""
    by_name = {tally.name: tally for tally in counted}
    sentences = []
    for row in signals:
        missing = [name for name in (row.total, row.bad, row.due) if name and name not in by_name]
        sentences += [f"{row.name}: nobody counts {name!r}" for name in missing]
        if not missing and by_name[row.total].source != by_name[row.bad].source:
            sentences.append(f"{row.name}: {row.total} and {row.bad} are counted by two")
        if row.minimum and row.minimum not in row.settings.model_fields:
            sentences.append(f"{row.name}: {row.minimum!r} is no setting of it")
    return sentences
