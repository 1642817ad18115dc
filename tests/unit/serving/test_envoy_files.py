"""What is written for Envoy can be read back, and changes only when it says something new."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laptop.serving import envoy, routes
from laptop.serving.telemetry import PredictorCounters, ReplicaCounters, parse_metrics
from pocket.supervisor.spec import Running, written
from serving.runtime.counters import Counters


def front(weights: dict[str, int]) -> routes.Front:
    backends = tuple(
        routes.Backend(deployment="m", name=name, version=name[1:], model="m", ports=(1, 2))
        for name in weights
    )
    return routes.Front(name="m", namespace="default", backends=backends, weights=weights)


@given(first=st.integers(0, 10_000))
def test_weights_can_be_read_back_and_are_the_whole(
    first: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("envoy")
    weights = {"v1": first, "v2": 10_000 - first}
    envoy.write_routes(folder, [front(weights)])
    written = envoy.written_weights(folder)["m"]
    assert written == {name: weight for name, weight in weights.items() if weight}
    assert sum(written.values()) == 10_000


def test_nothing_is_routed_before_something_is_ready(tmp_path: Path) -> None:
    assert envoy.written_weights(tmp_path) == {}
    envoy.write_routes(tmp_path, [front({})])
    assert envoy.written_weights(tmp_path) == {}
    assert "no predictor of m is ready yet" in (tmp_path / "rds.json").read_text()


def test_files_change_only_when_they_say_something_new(tmp_path: Path) -> None:
    backends = front({"v1": 10_000}).backends
    envoy.write_endpoints(tmp_path, backends)
    envoy.write_clusters(tmp_path, backends)
    files = sorted(tmp_path.rglob("*.json"))
    endpoints = {f"m.v1{kind}.json" for kind in ("", ".grpc", ".direct")}
    assert {path.name for path in files} == {"cds.json", *endpoints}
    before = [path.stat().st_ino for path in files]
    envoy.write_endpoints(tmp_path, backends)
    envoy.write_clusters(tmp_path, backends)
    assert [path.stat().st_ino for path in files] == before
    envoy.write_clusters(tmp_path, [])
    assert [path.name for path in tmp_path.rglob("*.json")] == ["cds.json"]
    assert not list(tmp_path.parent.glob(".*.tmp"))


def test_the_bootstrap_leaves_its_ports_to_the_supervisor(tmp_path: Path) -> None:
    folder = tmp_path / "{port}<admin>"
    filled = json.loads(written(envoy.process(folder).argv[2], {"port": 1, "admin": 2}))
    watched = filled["dynamic_resources"]["cds_config"]["path_config_source"]
    assert watched["path"] == str(folder / "cds.json")
    assert filled["static_resources"]["listeners"][0]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": 1,
    }
    assert filled["admin"]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": 2,
    }


def test_a_servers_metrics_are_read_as_counted() -> None:
    labels = {"model": "m", "version": "1", "predictor": "v1"}
    counters = Counters(labels, 0.02, [tenth / 10 for tenth in range(1, 11)])
    for code, seconds in ((200, 0.02), (200, 0.0201), (400, 0.001), (500, 3.0)):
        counters.request(code, seconds)
    counters.answered(4, [0.1, 0.11, 0.95, 1.0], {})
    counters.feedback["wrong"] += 3
    seen = parse_metrics(counters.text().decode(), process="p", slow_over="20ms")
    assert seen.counts == {
        "requests": 4,
        "errors": 1,
        "timed": 4,
        "slow": 2,
        "feedback": 3,
        "wrong": 3,
        "received": 4,
    }
    assert seen.predictions == (1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0)
    assert len(seen.bounds) == 10
    assert seen.replica.startswith("p:")


def test_what_is_not_our_metrics_is_no_count() -> None:
    with pytest.raises(KeyError):
        parse_metrics("", process="p", slow_over="20ms")


def test_replicas_add_up() -> None:
    one = ReplicaCounters(
        replica="a",
        counts={"requests": 1, "errors": 0, "timed": 1, "slow": 2, "feedback": 7, "wrong": 4},
        predictions=(5, 6),
        bounds=(0.5,),
    )
    both = PredictorCounters(
        name="v1",
        version="1",
        source="e",
        gateway={"requests": 1, "errors": 0},
        replicas=(one, one),
        silent=0,
    )
    assert [both.count(name) for name in ("slow", "feedback", "wrong")] == [4, 14, 8]
    assert both.count("requests") == 1
    assert both.predictions == (10, 12)


def test_a_server_is_ready_when_all_clusters_of_its_predictor_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a request and its feedback may come to different servers."""
    seen = {"m.v1": (1, 2), "m.v1.grpc": (1, 2), "m.v1.direct": (1,), "m.v2": (3,)}
    statuses = [
        {
            "name": cluster,
            "host_statuses": [
                {
                    "address": {"socket_address": {"port_value": port}},
                    "health_status": {"eds_health_status": "HEALTHY"},
                }
                for port in ports
            ],
        }
        for cluster, ports in seen.items()
    ]
    answers = {"/config_dump": {}, "/clusters": {"cluster_statuses": statuses}, "/stats": {}}
    monkeypatch.setattr(
        envoy, "get", lambda port, path, **_: json.dumps(answers[path.partition("?")[0]]).encode()
    )
    running = Running(
        name="envoy", pid=1, ports={"admin": 9}, argv=(), log=Path("log"), started=0.0
    )
    view = envoy.look(running)
    assert view.ready["m.v1"] == {1}
    assert view.hosts["m.v1"] == {1, 2}
    assert view.ready["m.v2"] == {3}
