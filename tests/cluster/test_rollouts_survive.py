"""What may happen to the operator and to the cluster while a rollout is under way."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from contracts.custom_resource import API_VERSION, KIND
from tests.cluster.api import Api, Json, eventually
from tests.cluster.clusters import Cluster
from tests.cluster.rollouts import Model, Operator, World, watch_phases
from tests.cluster.seldon_documents import SELDON

OUTAGE = 10.0
"""Seconds without an API server."""


def kill_at_every_phase(world: World, model: Model, last: str) -> list[str]:
    """SIGKILL at the first sight of each phase, then start again; the phases that were seen."""

    def kill(_: str) -> None:
        world.operator.kill()
        world.operator.start()

    return watch_phases(model, kill, until=(last,))


def test_killed_at_each_phase_of_a_promotion_it_goes_on(world: World) -> None:
    model = world.model()
    model.users()
    model.serve_first()
    model.want(2, watch="3s")
    model.until("Pending", "Ramping")
    phases = kill_at_every_phase(world, model, "Promoted")
    assert {"Ramping", "Watching"} <= set(phases), phases
    status = model.until("Promoted", stable=2)
    assert status["promoted_by"] == "evidence"
    model.until_weights({"v2": 100})


def test_killed_at_each_phase_of_a_rollback_it_goes_on(world: World) -> None:
    model = world.model()
    model.users(errors={"v2": 0.3})
    model.serve_first()
    model.want(2)
    model.until("Pending", "Ramping")
    phases = kill_at_every_phase(world, model, "RolledBack")
    assert "RollingBack" in phases, phases
    status = model.until("RolledBack")
    assert status["rejected"] == ["2"]
    model.until_weights({"v1": 100})


def test_an_outage_of_the_api_server_loses_nothing(world: World, cluster: Cluster) -> None:
    if cluster.plane is None:
        pytest.skip("only an API server that these tests started can be stopped by them")
    model = world.model()
    model.users(rate=50)
    model.serve_first()
    model.want(2, deadline="30m")
    before = model.until("Ramping")
    cluster.plane.apiserver.kill()
    try:
        time.sleep(OUTAGE)
    finally:
        cluster.plane.apiserver.start()
        cluster.plane.apiserver.wait_ready()
    model.users()
    status = model.until("Promoted", stable=2)
    assert status["started"] == before["started"], "the same rollout went on"


def test_a_second_operator_does_no_harm(world: World, new_operator: Callable[[], Operator]) -> None:
    other = new_operator()
    other.start()
    try:
        good, bad = world.model("good"), world.model("bad")
        good.users()
        bad.users(errors={"v2": 0.3})
        for one in (good, bad):
            one.serve_first()
            one.want(2)
        status = good.until("Promoted", stable=2)
        bad.until("RolledBack")
        good.until_weights({"v2": 100})
        bad.until_weights({"v1": 100})
        # Evidence of one request must not be counted by both.
        judged = sum(one["candidate"]["total"] for one in status["guards"].values())
        assert judged <= good.served("v2")
        assert other.program.running
    finally:
        other.stop()


def test_deleted_in_every_phase_it_leaves_nothing(world: World, api: Api) -> None:
    bystander = config_map(world.namespace)
    api.apply(bystander)
    cases: dict[str, Json] = {
        "pending": {"phases": ("Pending",)},
        "ramping": {"phases": ("Ramping",), "rate": 20},
        "held": {"phases": ("Held",), "rate": 20, "order": "pause"},
        "watching": {"phases": ("Watching",), "plan": {"watch": "60s"}},
        "rolling-back": {"phases": ("RollingBack", "RolledBack"), "errors": {"v2": 0.5}},
        "promoted": {"phases": ("Promoted",), "stable": 2},
    }
    models = {name: world.model(name) for name in cases}
    for name, case in cases.items():
        models[name].users(case.get("rate", 400), errors=case.get("errors", {}))
        models[name].want(1)
    for model in models.values():
        model.until("Promoted", stable=1)
    for name, case in cases.items():
        models[name].want(2, **case.get("plan", {}))
        if "order" in case:
            models[name].order(case["order"])
    for name, case in cases.items():
        models[name].until(*case["phases"], stable=case.get("stable"))
        models[name].delete()
    eventually(lambda: not world.owned(), f"nothing of {world.owned()} left")
    assert api.get("v1", "ConfigMap", world.namespace, "bystander")


def config_map(namespace: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "bystander", "namespace": namespace},
        "data": {"a": "b"},
    }


def test_without_an_operator_a_namespace_can_go(world: World, api: Api) -> None:
    model = world.model()
    model.users()
    model.serve_first()
    world.operator.kill()
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}}
    api.delete(place)
    gone = lambda: api.get("v1", "Namespace", None, world.namespace) is None  # noqa: E731
    eventually(gone, "the namespace is gone")


def test_an_object_of_somebody_else_is_not_taken_over(world: World, api: Api) -> None:
    """A SeldonDeployment of the same name that a person made stays as it is."""
    model = world.model()
    foreign: Json = {
        "apiVersion": SELDON,
        "kind": "SeldonDeployment",
        "metadata": {"name": model.name, "namespace": world.namespace},
        "spec": {"predictors": [predictor()]},
    }
    made = api.apply(foreign)
    model.want(1)
    eventually(lambda: model.events() or model.status, "the operator looked at it")
    time.sleep(3)
    now = model.seldon()
    assert now["spec"] == made["spec"]
    model.delete()
    eventually(
        lambda: api.get(API_VERSION, KIND, world.namespace, model.name) is None, "it is gone"
    )
    assert model.seldon()["metadata"]["uid"] == made["metadata"]["uid"]


def predictor() -> Json:
    container = {"name": "theirs", "image": "theirs"}
    return {
        "name": "theirs",
        "traffic": 100,
        "graph": {"name": "theirs", "type": "MODEL"},
        "componentSpecs": [{"spec": {"containers": [container]}}],
    }
