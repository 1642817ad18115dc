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
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import httpx

from contracts.errors import RolloutError
from contracts.rollout import Counters
from contracts.signals import Source, tallies
from serving.counting import Sample, metrics_read, predictions, tally
from serving.metrics import EDGE, INFINITY, MODEL, PREDICTOR, PROCESS_START, REQUEST_SECONDS, count
from serving.rollout.seldon import BACKEND

TIMEOUT = 5.0
STALE = 60.0
"""Seconds after which a series' last sample is too old; Prometheus itself looks back 300."""
RESETS = "1h"
"""How far back restarts are looked for. One leaves the window again: that costs one more look."""
Query = Callable[[str], list[Sample]]


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
    result = data["result"]
    assert isinstance(result, list)
    if data["resultType"] == "scalar":
        return [Sample(labels={}, value=float(result[1]))]
    return [Sample(labels=row["metric"], value=float(row["value"][1])) for row in result]


class PrometheusTelemetry:
    """Counters of a model's versions.

    Args:
        prometheus: where they are asked for.
        namespace: the model's.
        model: its name.
        predictors: the predictors to count.
        slow_over: seconds; a response that takes longer is slow.
        mirrored: predictors that get copies of requests: the gateway does not report on copies.
        service: gives the Service of a model's predictor, by which the gateway reports.
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
        service: Callable[[str, str], str] = BACKEND.service,
    ) -> None:
        self._prometheus = prometheus
        self._namespace = namespace
        self._model = model
        self._predictors = sorted(predictors)
        self._slow_over = slow_over
        self._mirrored = frozenset(mirrored)
        self._service = service
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
        counters = {name: self._counters(name, gateway, own) for name in self._predictors}
        return {name: known for name, known in counters.items() if known != Counters()} or None

    def _gateway_labels(self) -> str:
        services = "|".join(
            re.escape(self._service(self._model, name)) for name in self._predictors
        )
        return (
            f'reporter="source",destination_service_namespace="{self._namespace}",'
            f'destination_service_name=~"{_quoted(services)}"'
        )

    def _own_labels(self) -> str:
        names = "|".join(re.escape(name) for name in self._predictors)
        return (
            f'namespace="{self._namespace}",{MODEL}="{self._model}",{PREDICTOR}=~"{_quoted(names)}"'
        )

    def _counters(self, name: str, gateway: _Gateway | None, own: _Own | None) -> Counters:
        """One predictor's counters; what nobody reports on is left out."""
        made: dict[str, object] = {}
        servers = own.of(name, self._slow_over) if own else None
        service = self._service(self._model, name)
        if gateway:
            made |= gateway.requests(service)
        elif self._mirrored and servers:
            made |= servers.requests()
        timed = (
            gateway.times(self._service(self._model, name), self._slow_over) if gateway else None
        )
        if servers:
            made |= servers.counters()
        if own and gateway and gateway.age > own.age:
            made.pop("received", None)  # Not comparable: what the gateway counted is older.
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
        """Completed requests of a service, and those among them with certain response codes, of
        HTTP or of gRPC, whose failures have HTTP's code of success."""
        own = [
            sample for sample in self.totals if _service(sample) == service and not _left(sample)
        ]
        counts = {
            row.name: sum(
                int(sample.value)
                for sample in own
                if re.fullmatch(row.codes, sample.labels["response_code"])
                or re.fullmatch(row.calls, sample.labels.get("grpc_response_status", ""))
            )
            for row in tallies("gateway")
        }
        return {"epoch": self.epoch, **counts}

    def times(self, service: str, limit: float) -> dict[str, object] | None:
        """Timed and slow requests; None when the limit is none of the histogram's edges."""
        edges = {float(sample.labels[EDGE]) for sample in self.buckets}
        if not any(math.isclose(edge, limit * 1000) for edge in edges):
            return None
        own = [sample for sample in self.buckets if _service(sample) == service]
        timed = sum(int(sample.value) for sample in own if sample.labels[EDGE] == INFINITY)
        within = sum(
            int(sample.value)
            for sample in own
            if math.isclose(float(sample.labels[EDGE]), limit * 1000)
        )
        return {"timed": timed, "slow": timed - within}


def _service(sample: Sample) -> str:
    return sample.labels.get("destination_service_name", "")


def _left(sample: Sample) -> bool:
    """Whether the caller left before the response: neither good nor bad."""
    flags = sample.labels.get("response_flags", "-").split(",")
    return sample.labels["response_code"] == "0" and "DC" in flags


def _gateway(query: Query, labels: str) -> _Gateway | None:
    """What Istio's gateways report; None when none does, or one's last report is old."""
    total, histogram = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
    split = "instance,pod,destination_service_name"
    totals = query(
        f"sum by ({split},response_code,grpc_response_status,response_flags) ({total}{{{labels}}})",
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
    oldest = max((sample.value for sample in ages), default=math.inf)
    return oldest if oldest <= STALE else None


def _epoch(samples: Collection[Sample], resets: Collection[Sample], began: str = "") -> str:
    """Names who counted, and how often they were seen to begin again."""
    again = {sample.source: int(sample.value) for sample in resets}
    sources = sorted({sample.source for sample in samples})
    return ",".join(f"{source}#{again.get(source, 0)}" for source in sources) + began


# --- Our own servers ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Servers:
    """What the servers of one version report."""

    epoch: str
    samples: list[Sample]
    slow_over: float

    def requests(self) -> dict[str, object]:
        """What the gateway counts of others than copies, as the servers counted it themselves."""
        return {"epoch": self.epoch, **self._tallies("gateway")}

    def counters(self) -> dict[str, object]:
        """What only the servers count, and their predictions."""
        _, counts = predictions(self.samples)
        made = {"servers": self.epoch, **self._tallies("servers")}
        return {**made, "predictions": counts} if counts else made

    def _tallies(self, source: Source) -> dict[str, object]:
        numbers = {
            row.name: tally(row.name, self.samples, self.slow_over) for row in tallies(source)
        }
        return {name: number for name, number in numbers.items() if number is not None}


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
        ours = [sample for sample in self.samples if sample.labels[PREDICTOR] == predictor]
        if not ours:
            return None
        sources = {sample.source for sample in ours}
        began = sorted(
            f"{sample.source}@{sample.value:.2f}"
            for sample in self.began
            if sample.source in sources
        )
        return _Servers(
            epoch=_epoch(ours, self.resets, f";{','.join(began)}" if began else ""),
            samples=ours,
            slow_over=slow_over,
        )


def _own(query: Query, labels: str) -> _Own | None:
    """What our servers report; None when none does, or one's last report is old."""
    samples = query(f'{{__name__=~"{"|".join(metrics_read())}",{labels}}}')
    served = f"{count(REQUEST_SECONDS)}{{{labels}}}"
    age = _age(query, served)
    if not samples or age is None:
        return None
    return _Own(
        age=age,
        samples=samples,
        resets=query(f"sum by (instance,pod) (resets({served}[{RESETS}]))"),
        began=query(f"{PROCESS_START} and on (instance,pod) {served}"),
    )
