"""Counters of each version from Prometheus: Istio's of the requests, our server's of the rest.

The judge takes differences of raw counters itself. PromQL's `rate` and `increase` are not used:
they extrapolate to fractions of requests and hide restarts, and a look must count each response
once. What is asked for is the last sample of every series, at one moment for all, and beside it
who counted: the processes, and how often each was seen to begin again. When that changes, the
judge leaves the look out.

Zero and silence differ. A gateway that reports on the model at all and has no series of a version
has sent it nothing: zero. Where nobody reports, or the last report is old, there is no data.

Labels: Istio's standard metrics (istio.io, "Istio Standard Metrics"), reported by the source, which
for Seldon is the ingress gateway: it also counts responses of a server that did not answer.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import httpx

from contracts.errors import RolloutError
from contracts.rollout import Counters
from serving.rollout.kubernetes import service_name

TIMEOUT = 5.0
STALE = 60.0
"""Seconds after which a series' last sample is too old; Prometheus itself looks back 300."""
RESETS = "1h"
"""How far back restarts are looked for. One leaves the window again: that costs one more look."""
OWN = (
    "millwright_requests_total",
    "millwright_request_seconds_count",
    "millwright_request_seconds_bucket",
    "millwright_feedback_total",
    "millwright_predictions_bucket",
)

Query = Callable[[str], list["Sample"]]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One series and its value."""

    labels: Mapping[str, str]
    value: float

    @property
    def source(self) -> str:
        """Who counted: the scraped process."""
        return f"{self.labels.get('instance', '')}/{self.labels.get('pod', '')}"


class Prometheus:
    """Prometheus' query API, asked at one moment.

    Args:
        url: of the server, such as http://prometheus.monitoring:9090.
        client: carries the requests.
    """

    def __init__(self, url: str, client: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/")
        self._client = client or httpx.Client(timeout=TIMEOUT)

    def at_once(self) -> tuple[float, Query]:
        """This moment by Prometheus' own clock, and a query function for it."""
        moment = self._ask("time()", None)[0].value
        return moment, lambda text: self._ask(text, moment)

    def _ask(self, text: str, moment: float | None) -> list[Sample]:
        """The instant vector of a query.

        Raises:
            RolloutError: Prometheus does not answer, or answers in part or with an error.
        """
        data = {"query": text} | ({} if moment is None else {"time": repr(moment)})
        try:
            answer = self._client.post(f"{self._url}/api/v1/query", data=data)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RolloutError(
                f"Prometheus does not answer: {type(error).__name__}", where=self._url
            ) from None
        if body.get("status") != "success" or body.get("warnings"):
            said = body.get("error") or "; ".join(body.get("warnings", ())) or answer.reason_phrase
            raise RolloutError(f"Prometheus cannot answer: {said}", where=self._url)
        return _samples(body["data"])


def _samples(data: Mapping[str, object]) -> list[Sample]:
    found = data["result"]
    assert isinstance(found, list)
    if data["resultType"] == "scalar":
        return [Sample(labels={}, value=float(found[1]))]
    return [Sample(labels=one["metric"], value=float(one["value"][1])) for one in found]


class PrometheusTelemetry:
    """Counters of a model's versions.

    Args:
        prometheus: where they are asked for.
        namespace: the model's.
        model: its name.
        predictors: the predictors to count.
        slow_over: seconds; a response that takes longer is slow.
        mirrored: predictors that get copies of requests: the gateway does not report on copies.
    """

    def __init__(
        self,
        prometheus: Prometheus,
        namespace: str,
        model: str,
        predictors: Collection[str],
        *,
        slow_over: float,
        mirrored: Collection[str] = (),
    ) -> None:
        self._prometheus = prometheus
        self._namespace = namespace
        self._model = model
        self._predictors = sorted(predictors)
        self._slow_over = slow_over
        self._mirrored = frozenset(mirrored)
        self.sampled: float | None = None
        """When what was read last had been counted, in seconds since 1970; None for no data."""

    def read(self) -> Mapping[str, Counters] | None:
        """Counters by predictor; None when nobody reports on the model.

        Raises:
            RolloutError: Prometheus cannot be asked.
        """
        self.sampled = None
        if not self._predictors:
            return None
        moment, query = self._prometheus.at_once()
        own = _own(query, self._own_labels())
        gateway = None if self._mirrored else _gateway(query, self._gateway_labels())
        if reported := own if self._mirrored else gateway:
            self.sampled = moment - reported.age
        found = {name: self._counters(name, gateway, own) for name in self._predictors}
        known = {name: one for name, one in found.items() if one != Counters()}
        return known or None

    def _gateway_labels(self) -> str:
        services = "|".join(re.escape(service_name(self._model, name)) for name in self._predictors)
        return (
            f'reporter="source",destination_service_namespace="{self._namespace}",'
            f'destination_service_name=~"{_quoted(services)}"'
        )

    def _own_labels(self) -> str:
        names = "|".join(re.escape(name) for name in self._predictors)
        return f'namespace="{self._namespace}",model="{self._model}",predictor=~"{_quoted(names)}"'

    def _counters(self, name: str, gateway: _Gateway | None, own: _Own | None) -> Counters:
        """One predictor's counters; what nobody reports on is left out."""
        made: dict[str, object] = {}
        servers = own.of(name, self._slow_over) if own else None
        if gateway:
            made |= gateway.requests(service_name(self._model, name))
        elif self._mirrored and servers:
            made |= servers.requests()
        timed = gateway.times(service_name(self._model, name), self._slow_over) if gateway else None
        if servers:
            made |= servers.counters()
        if timed and gateway:
            epoch = f"{gateway.epoch}+{servers.epoch if servers else ''}"
            made |= timed | {"servers": epoch}
        return Counters.model_validate(made)


def _quoted(text: str) -> str:
    """Inside a PromQL string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


# --- Istio's gateway ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Gateway:
    """What the gateways report on a model."""

    age: float
    """Seconds since the oldest of their last reports."""
    epoch: str
    totals: list[Sample]
    buckets: list[Sample]

    def requests(self, service: str) -> dict[str, object]:
        """Completed requests of a service, and the failed ones among them."""
        ours = [one for one in self.totals if _service(one) == service and not _left(one)]
        failed = sum(int(one.value) for one in ours if _failed(one.labels["response_code"]))
        total = sum(int(one.value) for one in ours)
        return {"epoch": self.epoch, "requests": total, "errors": failed}

    def times(self, service: str, limit: float) -> dict[str, object] | None:
        """Timed and slow requests; None when the limit is none of the histogram's edges."""
        edges = {float(one.labels["le"]) for one in self.buckets}
        if not any(math.isclose(edge, limit * 1000) for edge in edges):
            return None
        ours = [one for one in self.buckets if _service(one) == service]
        timed = sum(int(one.value) for one in ours if one.labels["le"] == "+Inf")
        within = sum(
            int(one.value) for one in ours if math.isclose(float(one.labels["le"]), limit * 1000)
        )
        return {"timed": timed, "slow": timed - within}


def _service(sample: Sample) -> str:
    return sample.labels.get("destination_service_name", "")


def _failed(code: str) -> bool:
    return code.startswith("5") or code == "0"


def _left(sample: Sample) -> bool:
    """Whether the caller left before the response: neither good nor bad."""
    flags = sample.labels.get("response_flags", "-").split(",")
    return sample.labels["response_code"] == "0" and "DC" in flags


def _gateway(query: Query, labels: str) -> _Gateway | None:
    """What Istio's gateways report; None when none does, or one's last report is old."""
    total, histogram = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
    split = "instance,pod,destination_service_name"
    totals = query(
        f"sum by ({split},response_code,response_flags) ({total}{{{labels}}})",
    )
    age = _age(query, f"{total}{{{labels}}}")
    if not totals or age is None:
        return None
    return _Gateway(
        age=age,
        epoch=_epoch(
            totals, query(f"sum by (instance,pod) (resets({total}{{{labels}}}[{RESETS}]))")
        ),
        totals=totals,
        buckets=query(f"sum by ({split},le) ({histogram}{{{labels}}})"),
    )


def _age(query: Query, series: str) -> float | None:
    """Seconds since the oldest last report; None when there is none, or it is too old."""
    ages = query(f"time() - max by (instance,pod) (timestamp({series}))")
    oldest = max((one.value for one in ages), default=math.inf)
    return oldest if oldest <= STALE else None


def _epoch(samples: Collection[Sample], resets: Collection[Sample], began: str = "") -> str:
    """Names who counted, and how often they were seen to begin again."""
    again = {one.source: int(one.value) for one in resets}
    parts = sorted({one.source for one in samples})
    return ",".join(f"{one}#{again.get(one, 0)}" for one in parts) + began


# --- Our own servers ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Servers:
    """What the servers of one version report."""

    epoch: str
    samples: list[Sample]
    slow_over: float

    def _sum(self, metric: str, **labels: str) -> int:
        return sum(
            int(one.value)
            for one in self.samples
            if one.labels["__name__"] == metric
            and all(one.labels.get(name) == value for name, value in labels.items())
        )

    def requests(self) -> dict[str, object]:
        """Requests that the servers themselves counted."""
        codes = {one.labels["code"] for one in self.samples if "code" in one.labels}
        failed = sum(
            self._sum("millwright_requests_total", code=code) for code in codes if _failed(code)
        )
        total = self._sum("millwright_requests_total")
        return {"epoch": self.epoch, "requests": total, "errors": failed}

    def counters(self) -> dict[str, object]:
        """Times, feedback and predictions."""
        timed = self._sum("millwright_request_seconds_count")
        edge = f"{self.slow_over:g}"
        within = self._sum("millwright_request_seconds_bucket", le=edge)
        wrong = self._sum("millwright_feedback_total", outcome="wrong")
        right = self._sum("millwright_feedback_total", outcome="right")
        made: dict[str, object] = {"servers": self.epoch, "timed": timed}
        if any(one.labels.get("le") == edge for one in self.samples):
            made["slow"] = timed - within
        made |= {"feedback": right + wrong, "wrong": wrong}
        return made | ({"predictions": self._predictions()} if self._predictions() else {})

    def _predictions(self) -> tuple[int, ...]:
        """Predictions by bucket, each on its own."""
        below: dict[float, int] = defaultdict(int)
        for one in self.samples:
            if one.labels["__name__"] == "millwright_predictions_bucket":
                below[float(one.labels["le"])] += int(one.value)
        counts = [below[edge] for edge in sorted(below)]
        return tuple(count - before for count, before in zip(counts, [0, *counts], strict=False))


@dataclass(frozen=True, kw_only=True)
class _Own:
    """What the model's servers report."""

    age: float
    """Seconds since the oldest of their last reports."""
    samples: list[Sample]
    resets: list[Sample]
    began: list[Sample]

    def of(self, predictor: str, slow_over: float) -> _Servers | None:
        """One version's part; None when none of its servers reports."""
        ours = [one for one in self.samples if one.labels["predictor"] == predictor]
        if not ours:
            return None
        sources = {one.source for one in ours}
        began = sorted(
            f"{one.source}@{one.value:.2f}" for one in self.began if one.source in sources
        )
        return _Servers(
            epoch=_epoch(ours, self.resets, f";{','.join(began)}" if began else ""),
            samples=ours,
            slow_over=slow_over,
        )


def _own(query: Query, labels: str) -> _Own | None:
    """What our servers report; None when none does, or one's last report is old."""
    samples = query(f'{{__name__=~"{"|".join(OWN)}",{labels}}}')
    one = f"millwright_request_seconds_count{{{labels}}}"
    age = _age(query, one)
    if not samples or age is None:
        return None
    return _Own(
        age=age,
        samples=samples,
        resets=query(f"sum by (instance,pod) (resets({one}[{RESETS}]))"),
        began=query(f"process_start_time_seconds and on (instance,pod) {one}"),
    )
