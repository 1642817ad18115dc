"""Counters from Prometheus: zero is not silence, copies are counted where they arrive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from contracts.errors import RolloutError
from contracts.rollout import Counters
from serving.rollout.prometheus import Prometheus, PrometheusTelemetry
from tests.unit.rollout.cluster_world import series

GATEWAY = {"instance": "gateway:15020", "pod": "gateway-0"}


def requests(service: str, code: str, count: int, flags: str = "-") -> tuple[dict[str, str], float]:
    labels = {"destination_service_name": service, "response_code": code, "response_flags": flags}
    return {**GATEWAY, **labels}, float(count)


def bucket(service: str, edge: str, count: int) -> tuple[dict[str, str], float]:
    return {**GATEWAY, "destination_service_name": service, "le": edge}, float(count)


def own(name: str, predictor: str, count: int, **labels: str) -> tuple[dict[str, str], float]:
    pod = {"instance": f"{predictor}:9000", "pod": f"{predictor}-pod", "predictor": predictor}
    return {"__name__": name, **pod, **labels}, float(count)


def servers(predictor: str) -> list[tuple[dict[str, str], float]]:
    """What one server of a version tells."""
    return [
        own("millwright_requests_total", predictor, 90, code="200"),
        own("millwright_requests_total", predictor, 10, code="500"),
        own("millwright_request_seconds_count", predictor, 100),
        own("millwright_request_seconds_bucket", predictor, 93, le="0.05"),
        own("millwright_request_seconds_bucket", predictor, 100, le="+Inf"),
        own("millwright_feedback_total", predictor, 30, outcome="right"),
        own("millwright_feedback_total", predictor, 4, outcome="wrong"),
        own("millwright_predictions_bucket", predictor, 60, le="0.5"),
        own("millwright_predictions_bucket", predictor, 100, le="+Inf"),
    ]


TOTALS = [
    requests("churn-v1", "200", 990),
    requests("churn-v1", "503", 9),
    requests("churn-v1", "0", 1, "UC"),
    requests("churn-v1", "0", 50, "DC"),
]


def telemetry(
    answers: Mapping[str, Any] | None = None, *, mirrored: tuple[str, ...] = ()
) -> PrometheusTelemetry:
    """A Prometheus that answers by what the query contains; the first match counts."""
    usual = {
        "- max by": [(GATEWAY, 2.0)],
        "resets(": [(GATEWAY, 0.0)],
        "response_code": TOTALS,
    }
    given = {
        **(answers or {}),
        **{key: one for key, one in usual.items() if key not in (answers or {})},
    }

    def handle(request: httpx.Request) -> httpx.Response:
        query = parse_qs(request.content.decode())["query"][0]
        if query == "time()":
            scalar = {"resultType": "scalar", "result": [0, "1700000000"]}
            return httpx.Response(200, json={"status": "success", "data": scalar})
        found = next((value for key, value in given.items() if key in query), [])
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, json=series(found))

    client = httpx.Client(transport=httpx.MockTransport(handle))
    return PrometheusTelemetry(
        Prometheus("http://prometheus", client),
        "models",
        "churn",
        ("v1", "v2"),
        slow_over=0.05,
        mirrored=mirrored,
    )


def test_a_call_that_fails_is_a_failure_though_http_says_200():
    """Istio tells gRPC's status beside HTTP's; what the gateway answers itself may have both."""

    def calls(code: str, status: str, count: int) -> tuple[dict[str, str], float]:
        labels, value = requests("churn-v1", code, count)
        return {**labels, "grpc_response_status": status}, value

    totals = [
        calls("200", "0", 900),
        calls("200", "13", 7),
        calls("200", "3", 50),
        calls("503", "14", 2),
        calls("200", "", 41),
    ]
    found = telemetry({"response_code": totals}).read()
    assert found is not None
    assert (found["v1"].requests, found["v1"].errors) == (1000, 9)


def test_a_version_that_got_nothing_has_zero_requests():
    found = telemetry().read()
    assert found is not None
    assert (found["v1"].requests, found["v1"].errors) == (1000, 10), "those who left do not count"
    assert (found["v2"].requests, found["v2"].errors) == (0, 0)
    assert found["v1"].epoch == found["v2"].epoch != ""
    assert found["v1"].timed is None, "no server was asked: no data, which is not zero"


def test_where_nobody_reports_there_is_no_data():
    assert telemetry({"response_code": []}).read() is None


def test_an_old_report_is_none():
    assert telemetry({"- max by": [(GATEWAY, 61.0)]}).read() is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(422, json={"status": "error", "error": "bad query"}),
        httpx.Response(502, text="<html>"),
        httpx.Response(200, json={**series([]), "warnings": ["a store did not answer"]}),
    ],
)
def test_an_answer_in_part_is_none(answer: httpx.Response):
    with pytest.raises(RolloutError, match="Prometheus"):
        telemetry({"response_code": answer}).read()


def test_a_restart_changes_the_epoch():
    before = telemetry().read()
    after = telemetry({"resets(": [(GATEWAY, 1.0)]}).read()
    assert before is not None
    assert after is not None
    assert before["v1"].epoch != after["v1"].epoch


def test_our_servers_tell_of_feedback_and_predictions():
    found = telemetry({"__name__": [*servers("v1"), *servers("v2")]}).read()
    assert found is not None
    one = found["v2"]
    assert (one.requests, one.timed, one.slow) == (0, 100, 7)
    assert (one.feedback, one.wrong, one.predictions) == (34, 4, (60, 40))


def test_istios_times_count_where_the_limit_is_an_edge():
    times = [
        bucket("churn-v1", "50", 980),
        bucket("churn-v1", "+Inf", 1000),
        bucket("churn-v2", "50", 5),
        bucket("churn-v2", "+Inf", 9),
    ]
    given = {"istio_request_duration": times, "__name__": [*servers("v1"), *servers("v2")]}
    found = telemetry(given).read()
    assert found is not None
    assert (found["v1"].timed, found["v1"].slow) == (1000, 20)
    assert (found["v2"].timed, found["v2"].slow, found["v2"].feedback) == (9, 4, 34)
    others = [({**labels, "le": "60"}, count) for labels, count in times if labels["le"] == "50"]
    without = telemetry({**given, "istio_request_duration": others}).read()
    assert without is not None
    assert (without["v2"].timed, without["v2"].slow) == (100, 7)
    assert without["v2"].servers != found["v2"].servers, "another clock, another epoch"


def test_copies_are_counted_by_the_servers():
    given = {"__name__": [*servers("v1"), *servers("v2")]}
    found = telemetry(given, mirrored=("v2",)).read()
    assert found is not None
    assert {name: (one.requests, one.errors) for name, one in found.items()} == {
        "v1": (100, 10),
        "v2": (100, 10),
    }


def test_what_is_read_is_a_small_document():
    found = telemetry({"__name__": servers("v1")}).read()
    assert found is not None
    text = json.dumps({name: one.model_dump(mode="json") for name, one in found.items()})
    assert len(text) < 2_000
    assert all(isinstance(one, Counters) for one in found.values())
