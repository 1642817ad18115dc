"""What a server says of itself, and whom it lets read it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest

from contracts.environment.on_cluster import OnClusterSettings
from serving.rollout.operator.stepper import Stepper
from serving.runtime.__main__ import arguments
from serving.runtime.app import App
from serving.runtime.limits import Limits
from serving.runtime.model import Model
from serving.runtime.served import Served
from tests.unit.rollout.cluster_world import Cluster
from tests.unit.runtime.conftest import Reply, call
from tests.unit.runtime.test_protocol import BASE, request

Infer = Callable[..., Reply]
PAGE = "https://app.example.com"


def test_health_has_the_protocols_words(app: App) -> None:
    assert call(app, "GET", "/v2/health/live").json == {"live": True}
    assert call(app, "GET", "/v2/health/ready").json == {"ready": True}
    app.draining = True
    unready = call(app, "GET", "/v2/health/ready")
    assert (unready.status, unready.json) == (503, {"ready": False})


def test_the_configuration_is_the_signature(app: App) -> None:
    config = call(app, "GET", f"{BASE}/config").json
    assert config["name"] == "flight-delay"
    kinds = [(own["name"], own["data_type"], own["dims"]) for own in config["input"]]
    assert kinds == [
        ("distance", "TYPE_FP32", [-1, 1]),
        ("hour", "TYPE_FP32", [-1, 1]),
        ("carrier", "TYPE_STRING", [-1, 1]),
    ]
    assert [own["optional"] for own in config["input"]] == [True, False, True]


def test_statistics_are_what_was_counted(app: App, infer: Infer) -> None:
    for rows in (2, 3):
        infer(request(rows=rows))
    infer(b"{")
    (own,) = call(app, "GET", f"{BASE}/stats").json["model_stats"]
    assert (own["inference_count"], own["execution_count"]) == (5, 2)
    assert own["inference_stats"]["success"]["count"] == 2
    assert own["inference_stats"]["fail"]["count"] == 1
    assert own["inference_stats"]["success"]["ns"] > own["inference_stats"]["fail"]["ns"] > 0
    assert own["last_inference"] > 1.7e12


def test_the_index_is_the_one_model(app: App) -> None:
    entry = {"name": "flight-delay", "version": "7", "state": "READY", "reason": ""}
    for body in (b"", b"{}", b'{"ready": true}'):
        assert call(app, "POST", "/v2/repository/index", body).json == [entry]
    assert call(app, "POST", "/v2/repository/index", b"[]").status == 400
    app.draining = True
    assert call(app, "POST", "/v2/repository/index", b'{"ready": true}').json == []


def test_pages_of_named_origins_may_ask(model: Model) -> None:
    app = App(Served(model, predictor="v7"), origins=[PAGE])
    asked = {"origin": PAGE, "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "content-type,x-request-id"
    reply = call(app, "OPTIONS", f"{BASE}/infer", headers=asked)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-allow-headers"] == "content-type,x-request-id"
    body = json.dumps(request()).encode()
    for content, status in ((body, 200), (b"{", 400)):
        reply = call(app, "POST", f"{BASE}/infer", content, {"origin": PAGE})
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert "x-millwright-version" in reply.headers["access-control-expose-headers"]
        assert "access-control-allow-methods" not in reply.headers


@pytest.mark.parametrize(
    ("origins", "allowed"), [([], None), ([PAGE], None), (["*"], "https://evil.example")]
)
def test_pages_of_other_origins_may_not(
    origins: list[str], allowed: str | None, model: Model
) -> None:
    app = App(Served(model), origins=origins)
    for method in ("OPTIONS", "GET"):
        reply = call(app, method, BASE, headers={"origin": "https://evil.example"})
        assert reply.status in (200, 204)
        assert reply.headers.get("access-control-allow-origin") == allowed


EVIL = "https://evil.example"


@pytest.mark.parametrize("path", [f"{BASE}/infer", f"{BASE}/feedback", "/v2/repository/index"])
def test_a_post_of_another_origin_is_refused(path: str, model: Model) -> None:
    body = json.dumps(request(id="r1", outcome=[1])).encode()
    for names, origin, allowed in (
        ([], EVIL, False),
        ([PAGE], EVIL, False),
        ([PAGE], "null", False),
        ([PAGE], "", False),
        ([PAGE], PAGE, True),
        (["*"], EVIL, True),
        ([], None, True),
    ):
        app = App(Served(model), origins=names)
        headers = {"content-type": "text/plain"} | ({} if origin is None else {"origin": origin})
        reply = call(app, "POST", path, body, headers)
        assert (reply.status != 403) == allowed, (names, origin)
        assert allowed or "may not ask here" in reply.json["error"]
        assert app.active == 0


@pytest.mark.parametrize(
    ("path", "most"), [(f"{BASE}/feedback", 300), ("/v2/repository/index", 200)]
)
def test_other_bodies_are_small(path: str, most: int, model: Model) -> None:
    app = App(Served(model), limits=Limits(feedback=300, other=200))
    assert call(app, "POST", path, b" " * most).status in (200, 400)
    assert call(app, "POST", path, b" " * (most + 1)).status == 413
    # Unpacked, and by its length alone, before any of it has come.
    zipped = call(app, "POST", path, gzip.compress(b" " * 5000), {"content-encoding": "gzip"})
    assert zipped.status == 413
    reply = call(app, "POST", path, b"", {"content-length": str(most + 1)})
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    reply = call(App(Served(model), limits=Limits(active=0)), "POST", path, b"{}")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_a_repeated_header_is_a_list(model: Model) -> None:
    app = App(Served(model), origins=[PAGE])
    for name, value, status in (
        ("Content-Encoding", "identity", 415),
        ("Origin", EVIL, 403),
        ("Accept-Encoding", "identity", 200),
    ):
        other = {"Content-Encoding": "gzip", "Origin": PAGE}.get(name, "gzip")
        for first, last in ((value, other), (other, value)):
            body = json.dumps(request()).encode()
            reply = call(app, "POST", f"{BASE}/infer", body, {name: first, name.lower(): last})
            assert reply.status == status, (name, first)


def test_the_environment_names_origins_too(monkeypatch: pytest.MonkeyPatch) -> None:
    least = ["--artifact", "x", "--port", "1"]
    monkeypatch.setenv("MILLWRIGHT_ORIGINS", f"{PAGE} http://localhost:3000")
    assert arguments(least).origin == [PAGE, "http://localhost:3000"]
    monkeypatch.delenv("MILLWRIGHT_ORIGINS")
    assert arguments([*least, "--origin", PAGE]).origin == [PAGE]


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000", "*"])
def test_an_origin_reaches_the_servers_of_a_cluster(origin: str) -> None:
    assert OnClusterSettings(origins=(origin,)).origins == (origin,)
    cluster = Cluster()
    try:
        cluster.want(1)
        Stepper(
            cluster.server.api, cluster.stepper()._prometheus, origins=origin, clock=lambda: 1.0
        ).step("models", "churn")
        assert {"name": "MILLWRIGHT_ORIGINS", "value": origin} in [
            one
            for predictor in cluster.seldon["spec"]["predictors"]
            for one in predictor["componentSpecs"][0]["spec"]["containers"][0]["env"]
        ]
    finally:
        cluster.close()


@pytest.mark.parametrize(
    "origin", [f"{PAGE}/", f"{PAGE}/page", "app.example.com", "https://A b", ""]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="an origin such as"):
        OnClusterSettings(origins=(origin,))
