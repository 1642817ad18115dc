"""How a new version of a model reaches its users, and how far it has come.

`RolloutSpec` is what a person asks for (the `rollout:` part of `model.yaml`); `RolloutStatus` is
all that the controller knows. The status is a small JSON document because it must survive a kill:
whoever goes on with a rollout (the laptop's loop, the operator in a cluster) has nothing but the
spec, this document and what it observes. Without both here, the loop and the operator would each
keep a memory of their own and judge differently.

Weights are integers in 1/10000 (`WHOLE`), so that they add up exactly.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, create_model, model_validator

from contracts.artifact import Version
from contracts.document import Document, Duration, Share, format_duration
from contracts.signals import SIGNALS, TALLIES, ErrorsGuard, Guard, SlowGuard

WHOLE = 10_000
"""All traffic, in the unit of weights."""


def percent(weight: int) -> str:
    """A weight as a person reads it."""
    return f"{weight / WHOLE:.2%}"


class DriftGuard(Document):
    """The candidate predicts differently from the stable version (classes or deciles)."""

    action: Literal["hold", "rollback"] = "hold"
    """What a difference does: many new versions are meant to predict differently."""


class GuardSet(Document):
    """What is watched; leave a guard out to not watch it."""

    if TYPE_CHECKING:
        drift: DriftGuard | None

        def __init__(self, **guards: object) -> None: ...

    @model_validator(mode="after")
    def some(self) -> Self:
        """Without a guard that compares outcomes there is no evidence to promote on."""
        if not self.compared():
            names = [row.name for row in SIGNALS]
            raise ValueError(
                f"at least one of {', '.join(names[:-1])} and {names[-1]} is needed: without one "
                f"there is no evidence to promote on; write {names[0]}: {{}} to watch "
                f"{SIGNALS[0].title}"
            )
        return self

    def compared(self) -> dict[str, Guard]:
        """The guards that compare outcomes, by name."""
        guards = {row.name: getattr(self, row.name) for row in SIGNALS}
        return {name: guard for name, guard in guards.items() if guard is not None}

    @property
    def slow_over(self) -> float | None:
        """Seconds beyond which a response is slow; None where that is not watched."""
        limits = [guard.over for guard in self.compared().values() if isinstance(guard, SlowGuard)]
        return limits[0] if limits else None


def _optional(title: str, settings: type[Document]) -> tuple[object, object]:
    sentence = f"{title[0].upper()}{title[1:]}."
    return settings | None, Field(default=None, description=sentence)


if TYPE_CHECKING:
    Guards = GuardSet
else:
    Guards = create_model(
        "Guards",
        __base__=GuardSet,
        __module__=__name__,
        __doc__=GuardSet.__doc__,
        **{row.name: _optional(row.title, row.settings) for row in SIGNALS},
        drift=_optional(
            "predictions distributed differently from the stable version's; off when left out",
            DriftGuard,
        ),
    )


class WeightPlan(Document):
    """How the candidate's share of the traffic may grow."""

    start: Share = 0.01
    """The first weight, at most."""
    max: Share = 0.5
    """The largest weight before promotion."""
    step: Share = 0.0001
    """The smallest step the data plane can express: 1% for Seldon with Istio, 0.01% for Envoy."""
    growth: float = Field(default=3.0, gt=1, le=10)
    """A weight is never multiplied by more than this at once."""

    @model_validator(mode="after")
    def ordered(self) -> Self:
        """The weights must be possible and in order."""
        if self.start <= 0:
            raise ValueError(
                "start: must be above 0%: a candidate without traffic gives no evidence"
            )
        if self.max >= 1:
            raise ValueError(
                f"max: {self.max:.6g} leaves the stable version nothing to be compared with; "
                "write 50%, the weight at which the comparison is the fastest"
            )
        if self.start > self.max:
            raise ValueError(
                f"start ({self.start * 100:g}%) must not be above max ({self.max * 100:g}%)"
            )
        units = self.step * WHOLE
        if units < 0.999 or abs(units - round(units)) > 1e-6:
            raise ValueError(
                f"step: {self.step * 100:g}% cannot be expressed; write a multiple of 0.01%"
            )
        if self.step > self.start + 1e-12:
            raise ValueError(
                f"start ({self.start * 100:g}%) must be at least one step ({self.step * 100:g}%)"
            )
        return self


class RolloutSpec(Document):
    """The plan of a rollout: what is watched, how sure to be, and how much harm is acceptable."""

    interval: Duration = 10.0
    """The time between two looks."""
    confidence: float = Field(default=0.99, gt=0.5, lt=1)
    """A version that is no worse is rolled back with at most 1 - confidence, over the whole rollout
    and all its guards; one that is worse than tolerated is promoted with at most that."""
    harm_budget: float = Field(default=50, gt=0, allow_inf_nan=False)
    """How many responses may turn bad because of the candidate, as expected."""
    weight: WeightPlan = WeightPlan()
    tolerate: float = Field(default=1.5, gt=1, le=100)
    """The odds ratio of bad outcomes, candidate to stable, that is still acceptable."""
    guards: Guards = Guards(errors=ErrorsGuard())
    deadline: Duration = 1800.0
    """After this long without a verdict, `on_deadline` decides. Time paused by a person is free."""
    on_deadline: Literal["rollback", "hold"] = "hold"
    """What becomes of a candidate that the evidence neither condemns nor clears. `hold`: a person
    decides, who may promote it, abort it or lengthen the deadline; meanwhile its weight does not
    grow, shrinks with what is left of the harm budget, and evidence of harm still rolls it back.
    `rollback`: it goes back and counts as rejected, which on thin traffic good versions do too."""
    startup: Duration = 300.0
    """How long a candidate may take to become ready, at the start or after a failure."""
    watch: Duration = 300.0
    """How long the old version stays warm after the promotion, to return to."""
    superiority: bool = False
    """Promote only a candidate shown to be better than the stable version, in every guard."""
    shadow: Duration | None = None
    """For this long the candidate first gets copies of requests, whose responses nobody sees."""

    @model_validator(mode="after")
    def possible(self) -> Self:
        """A rollout needs the time for some looks."""
        if self.interval <= 0:
            raise ValueError("interval: must be longer than 0s")
        if self.interval >= self.deadline:
            raise ValueError(
                f"interval ({format_duration(self.interval)}) must be shorter than "
                f"deadline ({format_duration(self.deadline)}): there must be time for looks"
            )
        if self.startup <= 0:
            raise ValueError("startup: must be longer than 0s: a model server takes time to start")
        return self

    def tolerated(self, guard: str) -> float:
        """The odds ratio that is acceptable for one guard."""
        own = self.guards.compared()[guard].tolerate
        return self.tolerate if own is None else own


class Phase(StrEnum):
    """Where a rollout stands."""

    PENDING = "Pending"
    """The candidate starts; it has no traffic."""
    SHADOW = "Shadow"
    """The candidate gets copies of requests."""
    RAMPING = "Ramping"
    """The candidate has a part of the traffic, and is judged at each look."""
    PROMOTING = "Promoting"
    """All traffic goes over to the candidate."""
    WATCHING = "Watching"
    """The candidate has all traffic; the old version is warm."""
    PROMOTED = "Promoted"
    """The candidate is the stable version now."""
    ROLLING_BACK = "RollingBack"
    """All traffic goes back to the stable version, then the candidate is removed."""
    ROLLED_BACK = "RolledBack"
    """The stable version serves alone again."""
    HELD = "Held"
    """Nothing goes on, for the reason given; evidence of harm still rolls it back."""
    REJECTED = "Rejected"
    """A version that was rolled back before was asked for again; a person has to say so."""


JUDGED_KEPT = 10
"""Versions that may be returned to at once; an older one is judged again."""
TERMINAL = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK, Phase.REJECTED})
"""Phases in which nothing more happens by itself."""

Count = Annotated[int, Field(ge=0)]
Weight = Annotated[int, Field(ge=0, le=WHOLE)]


class Target(Document):
    """A version and where its artifact is."""

    version: Version
    uri: str
    """The artifact's folder: a path or an `s3://` prefix."""

    @property
    def predictor(self) -> str:
        """The name of its predictor."""
        return predictor_name(self.version)


def predictor_name(version: str) -> str:
    """The predictor of a version: version 3 is served by `v3`."""
    return f"v{version}"


class CounterSet(Document):
    """A version's counters since those who count started. None is *no data*, which is not zero.

    Two count: the data plane sees every request and every failure, also those of a server that does
    not answer; the model servers know what took them long and what came back as feedback. Each
    starts again from zero by itself, so each has its own epoch.
    """

    epoch: str = ""
    """Changes when the data plane's counters start again; empty when that cannot be known."""
    servers: str = ""
    """Changes when a server's counters start again; empty when that cannot be known."""
    predictions: tuple[Count, ...] | None = None
    """Predictions by class or decile, for the drift guard."""

    if TYPE_CHECKING:

        def __init__(self, **counts: object) -> None: ...

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """A part cannot be more than the whole."""
        for row in SIGNALS:
            bad, total = self.count(row.bad), self.count(row.total)
            if bad is not None and (total is None or bad > total):
                raise ValueError(
                    f"{row.bad} ({bad}) is more than {row.total} "
                    f"({'none' if total is None else total}); "
                    "the counters were not read together"
                )
        return self

    def count(self, tally: str) -> int | None:
        """One of what is counted, by its name in `contracts.signals.TALLIES`."""
        value: int | None = getattr(self, tally)
        return value


if TYPE_CHECKING:
    Counters = CounterSet
else:
    Counters = create_model(
        "Counters",
        __base__=CounterSet,
        __module__=__name__,
        __doc__=CounterSet.__doc__,
        **{
            tally.name: (Count | None, Field(default=None, description=tally.meaning))
            for tally in TALLIES
        },
    )


class Outcomes(Document):
    """How many, and how many of them bad."""

    total: Count = 0
    bad: Count = 0

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """A part cannot be more than the whole."""
        if self.bad > self.total:
            raise ValueError(f"bad ({self.bad}) is more than total ({self.total})")
        return self


class GuardState(Document):
    """The evidence of one guard: all that the judge needs to go on."""

    likelihoods: tuple[float, ...]
    """Log likelihood of all looks at each odds ratio of the judge's grid, less that at 1."""
    tolerate: float
    """The tolerated odds ratio that the following two belong to."""
    tolerated: float = 0.0
    """Log likelihood of the looks since `offset` at the tolerated odds ratio, less that at 1."""
    offset: tuple[float, ...] = ()
    """`likelihoods` when the tolerated odds ratio was last changed; empty for never."""
    candidate: Outcomes = Outcomes()
    stable: Outcomes = Outcomes()
    excess: float = 0.0
    """Estimated bad outcomes of the candidate above what the stable version's rate would have
    given, added up look by look."""
    variance: float = 0.0
    """The variance of that estimate if both versions were alike."""
    watched: Outcomes = Outcomes()
    """The candidate's outcomes after its promotion."""


class DriftState(Document):
    """The evidence of the drift guard: one comparison of two for each class but the last."""

    stages: tuple[tuple[float, ...], ...] = ()
    candidate: tuple[Count, ...] = ()
    stable: tuple[Count, ...] = ()


class GuardNumbers(Document):
    """The numbers of one guard behind one decision."""

    candidate: Outcomes
    """In this look."""
    stable: Outcomes
    """In this look."""
    harm: float
    """Log evidence that the candidate is worse; it is, when this passes `harm_limit`."""
    harm_limit: float
    safe: float
    """Log evidence that it is not worse than tolerated (or better, where that is asked)."""
    rare: float
    """Log evidence that its bad rate is below what is negligible."""
    safe_limit: float
    rare_limit: float = 0.0
    """0 in what was written before the two limits differed."""
    odds_ratio: tuple[float, float | None]
    """Anytime-valid interval for the odds ratio; None is *no upper bound yet*."""
    candidate_rate: tuple[float, float]
    stable_rate: tuple[float, float]
    difference: tuple[float, float]
    """Anytime-valid intervals for both bad rates and for their difference."""
    passed: bool
    """Whether this guard lets the candidate be promoted: by `safe` at its limit, or by `rare` at
    its limit after ten times a negative `safe` was taken off, without strong evidence of harm."""

    @property
    def share_against(self) -> float:
        """The evidence of harm, as a share of what a verdict takes."""
        return self.harm / self.harm_limit

    @property
    def share_for(self) -> float:
        """The evidence of no harm likewise, by comparison or by rarity, whichever is nearer."""
        by_rarity = self.rare / (self.rare_limit or self.safe_limit)
        return max(self.safe / self.safe_limit, by_rarity)


class Harm(Document):
    """What the rollout has cost: bad responses because of the candidate, over all guards."""

    estimate: float = 0.0
    low: float = 0.0
    high: float = 0.0
    """Two standard errors either side."""
    charged: float = 0.0
    """What counts against the budget: of each guard what exceeds three standard errors."""


class Decision(Document):
    """One decision with its numbers, so that a person can recompute it."""

    at: float
    """Seconds since 1970."""
    look: Count
    phase: Phase
    """The phase after the decision."""
    weight: Weight
    """The candidate's weight after the decision."""
    reason: str
    candidate: Version | None = None
    harm: Harm = Harm()
    guards: dict[str, GuardNumbers] = Field(default_factory=dict)
    drift: float | None = None
    """Log evidence that the versions predict differently."""

    @property
    def key(self) -> tuple[float, int, str, str]:
        """What tells it from all other decisions about its model."""
        return self.at, self.look, self.phase.value, self.reason


HISTORY = 100
"""How many decisions a status keeps; the whole history is beside it."""


class RolloutStatus(Document):
    """All that the controller knows of a rollout; small, and enough to go on after a kill."""

    model: str
    phase: Phase = Phase.PROMOTED
    reason: str = ""
    """Why it is in this phase."""
    resume: Phase | None = None
    """The phase to go on in when what held it is over."""
    paused: bool = False
    """A person asked for it to be held."""
    promotion_asked: bool = False
    """A person asked for the promotion: it is done as soon as the candidate is ready and the data
    plane has confirmed the weights. Lapses when it is paused or rolled back."""
    stable: Target | None = None
    candidate: Target | None = None
    promoted_by: Literal["", "evidence", "first version", "a person", "an earlier verdict"] = ""
    """On what ground the candidate was promoted."""
    judged: tuple[Target, ...] = ()
    """Versions that had all traffic, each after the one before it: what can be returned to without
    being judged again. Who is returned from is in it no more."""
    returning: bool = False
    """The candidate was judged before: it takes all traffic as soon as it is ready."""
    rejected: tuple[Version, ...] = ()
    """Versions that were rolled back by a verdict or by a person."""
    returned_from: Version | None = None
    """The version that was rolled back last, for whatever reason."""
    wanted: dict[str, Weight] = Field(default_factory=dict)
    """The weight that each predictor should have."""
    confirmed: dict[str, Weight] | None = None
    """The weights that the data plane last said it uses."""
    guards: dict[str, GuardState] = Field(default_factory=dict)
    drift: DriftState = DriftState()
    harm: Harm = Harm()
    counters: dict[str, Counters] = Field(default_factory=dict)
    """The counters of each predictor at the last look, to take differences from."""
    mirroring: bool = False
    """Whether the candidate may still get copies of requests."""
    mirrored: Counters = Counters()
    """The candidate's counters when that ended: nobody tells what came of copies."""
    look: Count = 0
    looked: float | None = None
    """When the last look was, in seconds since 1970."""
    updated: float | None = None
    """When this status was last decided on, in seconds since 1970."""
    started: float | None = None
    """When this rollout began, in seconds since 1970."""
    clock: float = 0.0
    """Seconds this has run for, as far as can be known: a jump of the wall clock, or the time for
    which nobody ran it, adds little. `ramping_since`, `phase_since`, `unready_since` are on it."""
    ramping_since: float | None = None
    """When the candidate first could get traffic; moved on while a person holds the rollout."""
    phase_since: float = 0.0
    unready_since: float | None = None
    rate: float | None = None
    """Requests per second, of all versions, in the last look."""
    quiet: float = 0.0
    """Requests that the candidate should have had, by its weight, since it last had one."""
    uncounted: tuple[Count, ...] = ()
    """Requests that the candidate's servers answered at looks in a row at which the data plane
    counted none of them: before the last of those looks, and in it. Nobody judges what they got."""
    blind: Count = 0
    """Looks in a row that gave no outcomes of some guard, or of any request."""
    missing: tuple[str, ...] = ()
    """The guards that the last look gave no outcomes of."""
    condemned: bool = False
    """Whether the rollback under way is a verdict on the version: it is not tried again."""
    decisions: tuple[Decision, ...] = ()
    """The last decisions."""

    def returns_to(self, target: Target) -> bool:
        """Whether a version, by the same artifact, was judged before and not gone back from."""
        return target in self.judged and target.version not in self.rejected

    @property
    def weight(self) -> int:
        """The candidate's wanted weight."""
        return self.wanted.get(self.candidate.predictor, 0) if self.candidate else 0
