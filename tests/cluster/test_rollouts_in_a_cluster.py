"""Rollouts by the operator on a real Kubernetes API, from a version's first request to the last.

Weights are those of the VirtualService, failures those that users saw, and the verdicts are the
judge's, from what Prometheus scraped.
"""

from __future__ import annotations

import time

import pytest
from kubernetes.client.exceptions import ApiException

from contracts.custom_resource import API_VERSION, KIND
from tests.cluster.api import Api, Json, eventually
from tests.cluster.rollouts import World
from tests.cluster.seldon_documents import APPS, SCALING, SELDON


def quota(namespace: str, pods: int) -> Json:
    """So many pods and no more: what comes after that never gets ready."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods", "namespace": namespace},
        "spec": {"hard": {"pods": str(pods)}},
    }


def test_a_good_version_is_promoted(world: World, api: Api) -> None:
    model = world.model()
    model.users()
    model.serve_first()
    model.want(2)
    model.until("Ramping")
    judged = model.pods("v2")
    status = model.until("Promoted", stable=2)
    assert status["promoted_by"] == "evidence"
    assert status.get("candidate") is None
    model.until_weights({"v2": 100})
    assert model.served("v2") > 100
    eventually(lambda: len(api.list(APPS, "Deployment", world.namespace)) == 1, "v1 removed")
    eventually(lambda: not model.pods("v1"), "no server of v1")
    assert model.pods("v2") == judged, "what was judged goes on serving: nothing is restarted"
    reasons = {one["reason"] for one in eventually(model.events, "events")}
    assert {"Ramping", "Promoted"} <= reasons, reasons


def test_no_request_meets_a_version_that_is_not_ready(world: World) -> None:
    """A healthy rollout is unnoticed: without failing versions nobody sees a failure."""
    model = world.model()
    none = {f"v{number}": 0.0 for number in range(1, 6)}
    model.users(errors=none)
    model.serve_first()
    model.want(2)
    model.until("Promoted", stable=2)
    model.until_weights({"v2": 100})
    failed = {key: n for key, n in world.traffic.failed.items() if key[0] == world.namespace and n}
    assert failed == {}


def test_a_bad_version_is_rolled_back_and_not_tried_again(world: World) -> None:
    model = world.model()
    model.users(errors={"v2": 0.3})
    model.serve_first()
    model.want(2)
    status = model.until("RolledBack")
    assert status["rejected"] == ["2"]
    assert status["stable"]["version"] == "1"
    assert 0 < status["harm"]["estimate"] < 4 * 50, "about the harm budget, not the whole traffic"
    model.until_weights({"v1": 100})
    served = model.served("v2")
    model.want(3)
    model.until("Promoted", stable=3)
    model.want(2)
    model.until("Rejected")
    model.until_weights({"v3": 100})
    assert model.served("v2") == served


def test_slow_responses_and_wrong_predictions_count_too(world: World) -> None:
    slow, wrong = world.model("slow"), world.model("wrong")
    slow.users(slow={"v1": 0.01, "v2": 0.3})
    wrong.users(feedback=0.5, wrong={"v1": 0.1, "v2": 0.6})
    guards = {"slow": {"slow": {"over": "200ms"}}, "wrong": {"wrong": {"min_feedback": 100}}}
    for one in (slow, wrong):
        one.serve_first(guards=guards[one.name])
        one.want(2, guards=guards[one.name])
    for one in (slow, wrong):
        status = one.until("RolledBack")
        assert one.name in status["reason"]


def test_a_candidate_that_never_gets_ready_gets_no_traffic(world: World, api: Api) -> None:
    model = world.model()
    model.users()
    api.apply(quota(world.namespace, 1))
    model.serve_first()
    model.want(2, startup="4s")
    model.until("Pending", candidate={"version": "2", "uri": "s3://artifacts/churn/2"})
    model.until("RolledBack")
    assert model.served("v2") == 0
    model.until_weights({"v1": 100})
    names = [one["name"] for one in model.seldon()["spec"]["predictors"]]
    assert names == ["v1"], "Seldon writes no weights while a predictor is unready: remove it"


def test_a_candidate_that_gets_ready_late_goes_on(world: World, api: Api) -> None:
    model = world.model()
    model.users()
    api.apply(quota(world.namespace, 1))
    model.serve_first()
    model.want(2, startup="60s")
    model.until("Pending")
    api.apply(quota(world.namespace, 5))
    # The Deployment's controller waits ever longer after each refusal: ask it to look.
    for one in api.list(APPS, "Deployment", world.namespace):
        whole = {**one, "apiVersion": APPS, "kind": "Deployment"}
        api.merge(whole, {"metadata": {"annotations": {"touched": "yes"}}})
    model.until("Promoted", stable=2)


def test_weights_changed_by_hand_are_put_right(world: World, api: Api) -> None:
    model = world.model()
    model.users(rate=5)
    model.serve_first()
    model.want(2, deadline="10m")
    status = model.until("Ramping")
    weights = {name: weight // 100 for name, weight in status["wanted"].items()}
    model.until_weights(weights)
    seldon = model.seldon()
    predictors = [
        {**one, "traffic": 90 if one["name"] == "v2" else 10}
        for one in seldon["spec"]["predictors"]
    ]
    whole = {**seldon, "apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment"}
    changed = api.merge(whole, {"spec": {"predictors": predictors}})
    by_hand = changed["metadata"]["generation"]
    eventually(lambda: model.seldon()["metadata"]["generation"] > by_hand, "written again")

    def right() -> bool:
        wanted = {name: weight // 100 for name, weight in model.status["wanted"].items()}
        return world.traffic.weights(world.namespace, model.name) == wanted and wanted["v2"] <= 50

    eventually(right, "the weights that are wanted")


def test_an_edit_of_the_plan_counts_from_the_next_look(world: World) -> None:
    model = world.model()
    model.users(rate=20)
    model.serve_first()
    model.want(2, deadline="30m")
    model.until("Ramping")
    model.edit(weight={"start": "2%", "max": "3%"})
    model.until("Ramping", wanted={"v1": 9700, "v2": 300})
    model.edit(deadline="2s", on_deadline="rollback")
    status = model.until("RolledBack")
    assert status["stable"]["version"] == "1"
    assert status["observedGeneration"] >= 4


def test_another_version_midway_rolls_the_first_one_back(world: World) -> None:
    model = world.model()
    model.users(rate=50)
    model.serve_first()
    model.want(2, deadline="30m")
    model.until("Ramping")
    model.users()
    model.want(3)
    status = model.until("Promoted", stable=3)
    assert status["rejected"] == [], "version 2 was not judged, so it may be tried again"


def test_a_person_can_hold_and_end_it(world: World) -> None:
    model = world.model()
    model.users(rate=20)
    model.serve_first()
    # At a weight that does not grow: only a candidate whose weight is confirmed can be promoted.
    model.want(2, deadline="30m", weight={"start": "10%", "max": "10%"})
    model.until("Ramping", confirmed={"v1": 9000, "v2": 1000})
    model.order("pause")
    held = model.until("Held", paused=True)
    model.order("resume")
    model.until("Ramping", paused=False, confirmed={"v1": 9000, "v2": 1000})
    model.order("promote")
    status = model.until("Promoted", stable=2)
    assert status["promoted_by"] == "a person"
    assert held["stable"]["version"] == "1"


def test_a_shadow_gets_copies_first(world: World) -> None:
    model = world.model()
    model.users(rate=500)
    model.serve_first()
    model.want(2, shadow="3s", deadline="30m")
    model.until("Shadow")
    eventually(lambda: world.traffic.mirrored(world.namespace, model.name) == "v2", "a mirror")
    assert world.traffic.weights(world.namespace, model.name) == {"v1": 100}
    assert model.served("v2") == 0
    model.until("Ramping")
    model.users()
    model.until("Promoted", stable=2)
    model.until_weights({"v2": 100})


def test_servers_follow_their_load_where_asked(world: World, api: Api) -> None:
    model = world.model()
    model.users()
    model.want(1, serving={"replicas": 2, "autoscaling": {"max_replicas": 4, "cpu": 60}})
    model.until("Promoted", stable=1)
    (scaler,) = eventually(
        lambda: api.list(SCALING, "HorizontalPodAutoscaler", world.namespace), "a scaler"
    )
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)
    assert scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    eventually(lambda: len(model.pods("v1")) == 2, "two servers")
    written = model.seldon()["metadata"]["generation"]
    time.sleep(4)
    assert model.seldon()["metadata"]["generation"] == written, "nothing is written again and again"


def test_a_server_is_the_container_that_was_asked_for(world: World, api: Api) -> None:
    """Seldon adds ports and variables, but nothing that runs: the namespace would refuse it."""
    model = world.model()
    model.serve_first()
    (made,) = api.list(APPS, "Deployment", world.namespace)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (asked,) = model.seldon()["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    assert "initContainers" not in pod
    for key in ("image", "args", "resources", "securityContext"):
        assert container[key] == asked[key]
    assert pod["securityContext"]["runAsNonRoot"] is True
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": 9000, "metrics": 6000, "grpc": 9500}


@pytest.mark.parametrize("shares", [(90, 20), (50, 0)])
def test_weights_that_are_no_shares_are_refused(
    api: Api, seldon: None, namespace: str, shares: tuple[int, int]
) -> None:
    wanted = {
        "apiVersion": SELDON,
        "kind": "SeldonDeployment",
        "metadata": {"name": "churn", "namespace": namespace},
        "spec": {"predictors": [predictor("a", shares[0]), predictor("b", shares[1])]},
    }
    with pytest.raises(ApiException) as refused:
        api.apply(wanted)
    assert "Traffic must sum to 100" in refused.value.body


def predictor(name: str, traffic: int) -> Json:
    container = {"name": "model", "image": "theirs"}
    return {
        "name": name,
        "traffic": traffic,
        "annotations": {"seldon.io/no-engine": "true"},
        "graph": {"name": "model", "type": "MODEL"},
        "componentSpecs": [{"spec": {"containers": [container]}}],
    }


def test_without_telemetry_nothing_moves(world: World) -> None:
    model = world.model()
    model.users(rate=20)
    model.serve_first()
    model.want(2, deadline="30m")
    model.until("Ramping")
    world.traffic.silent = True
    try:
        held = model.until("Held")
        assert held["phase"] != "Promoted"
        model.users()
    finally:
        world.traffic.silent = False
    model.until("Promoted", stable=2)


def test_what_people_see(world: World, api: Api) -> None:
    """`kubectl get mro`, by the API server's own table."""
    model = world.model()
    model.users()
    model.serve_first()
    (row,) = api.table(api.path(API_VERSION, KIND, world.namespace))
    assert row["Phase"] == "Promoted"
    assert row["Stable"] == "1"
