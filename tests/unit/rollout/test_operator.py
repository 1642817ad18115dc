"""The operator saves before it acts, writes only what it read, and owns one SeldonDeployment."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest

from contracts.custom_resource import DECISION
from contracts.errors import DocumentError
from contracts.rollout import Decision
from serving.rollout.kubernetes import ConflictError
from serving.rollout.mlflow import MlflowServer
from serving.rollout.operator.stepper import AT_REST, look_time
from tests.unit.rollout.cluster_world import ROUTES, SELDON, Cluster, Refused


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


def test_the_first_version_is_served_and_owned(cluster: Cluster):
    cluster.want(1)
    cluster.step()
    assert cluster.status["phase"] == "Pending"
    assert cluster.server.writes() == [
        ("PUT", f"{cluster.path}/status"),
        ("POST", SELDON),
    ], "the status is saved before anything is done"
    owner = cluster.seldon["metadata"]["ownerReferences"][0]
    assert owner["uid"] == cluster.resource["metadata"]["uid"]
    assert "finalizers" not in cluster.resource["metadata"]
    cluster.seldon_acts(ready=False)
    cluster.step()
    assert cluster.status["phase"] == "Pending", "a written weight is not one in use"
    cluster.seldon_acts()
    assert cluster.step() == AT_REST
    assert cluster.status["stable"]["version"] == "1"
    assert cluster.status["observedGeneration"] == 1
    conditions = {one["type"]: one["status"] for one in cluster.status["conditions"]}
    assert conditions == {"Accepted": "True", "Serving": "True", "Settled": "True"}


def test_at_rest_nothing_is_written(cluster: Cluster):
    cluster.serve_first()
    cluster.step()
    before = len(cluster.server.writes())
    for _ in range(5):
        cluster.now += 60
        cluster.step()
    assert len(cluster.server.writes()) == before


def test_a_good_version_is_promoted_and_each_decision_is_an_event(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Promoted")
    assert cluster.status["promoted_by"] == "evidence"
    assert [one["name"] for one in cluster.seldon["spec"]["predictors"]] == ["v2"]
    reasons = {one["reason"] for one in cluster.events}
    assert {"Pending", "Ramping", "Promoting", "Watching", "Promoted"} <= reasons
    told = [one["metadata"]["annotations"][DECISION] for one in cluster.events]
    looks = [Decision.model_validate_json(one).look for one in told]
    assert max(looks) == cluster.status["look"]
    assert len(json.dumps(cluster.status)) < 100_000


def test_a_bad_version_is_rolled_back(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("RolledBack", bad=0.3)
    assert cluster.status["rejected"] == ["2"]
    predictors = cluster.seldon["spec"]["predictors"]
    assert [(one["name"], one["traffic"]) for one in predictors] == [("v1", 100)]
    assert any(one["type"] == "Warning" for one in cluster.events)


def test_weights_are_whole_percents(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    while cluster.until("Ramping", "Promoting") == "Ramping":
        assert all(weight % 100 == 0 for weight in cluster.status["wanted"].values())


def test_who_read_an_old_status_does_nothing(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    answer = cluster.server.answer

    def overtaken(method: str, path: str, body: object) -> object:
        if method == "PUT" and path.endswith("/status"):
            cluster.server.put(cluster.path, cluster.resource)
        return answer(method, path, body)

    cluster.server.answer = overtaken  # type: ignore[method-assign, assignment]
    before = copy.deepcopy(cluster.seldon)
    with pytest.raises(ConflictError):
        cluster.step()
    assert cluster.seldon == before


def test_a_sleeper_cannot_undo_what_was_decided_since(cluster: Cluster):
    """Between saving and acting the process sleeps; meanwhile another one rolls back."""
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    answer = cluster.server.answer

    def overtaken(method: str, path: str, body: object) -> object:
        if method == "PUT" and path.startswith(SELDON):
            cluster.server.answer = answer  # type: ignore[method-assign]
            rolled_back = copy.deepcopy(cluster.seldon)
            rolled_back["spec"]["predictors"] = rolled_back["spec"]["predictors"][:1]
            rolled_back["spec"]["predictors"][0]["traffic"] = 100
            cluster.server.put(f"{SELDON}/churn", rolled_back)
        return answer(method, path, body)

    cluster.server.answer = overtaken  # type: ignore[method-assign, assignment]
    with pytest.raises(ConflictError):
        cluster.until("Promoted", bad=0.0)
    predictors = cluster.seldon["spec"]["predictors"]
    assert [(one["name"], one["traffic"]) for one in predictors] == [("v1", 100)]


def test_seldons_own_status_is_no_conflict(cluster: Cluster):
    cluster.serve_first()
    answer = cluster.server.answer

    def overtaken(method: str, path: str, body: object) -> object:
        if method == "PUT" and path.startswith(SELDON):
            cluster.server.answer = answer  # type: ignore[method-assign]
            cluster.seldon_acts()
        return answer(method, path, body)

    cluster.server.answer = overtaken  # type: ignore[method-assign, assignment]
    cluster.want(2)
    cluster.step()
    assert [one["name"] for one in cluster.seldon["spec"]["predictors"]] == ["v1", "v2"]


def test_killed_between_saving_and_acting_it_goes_on(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    answer = cluster.server.answer

    def lost(method: str, path: str, body: object) -> object:
        if path.startswith(SELDON) and method != "GET":
            raise Refused(500, "lost")
        return answer(method, path, body)

    cluster.server.answer = lost  # type: ignore[method-assign, assignment]
    cluster.step()
    assert cluster.status["phase"] == "Pending"
    assert len(cluster.seldon["spec"]["predictors"]) == 1
    cluster.server.answer = answer  # type: ignore[method-assign]
    cluster.step()
    assert len(cluster.seldon["spec"]["predictors"]) == 2


def test_what_somebody_else_made_is_not_touched(cluster: Cluster):
    foreign = {"metadata": {"name": "churn"}, "spec": {"predictors": []}}
    cluster.server.put(f"{SELDON}/churn", foreign)
    cluster.want(1)
    for _ in range(3):
        cluster.step()
    assert cluster.seldon["spec"] == {"predictors": []}
    assert cluster.status["phase"] == "Held"


def test_changes_made_by_hand_are_put_right(cluster: Cluster):
    cluster.serve_first()
    by_hand = copy.deepcopy(cluster.seldon)
    container = by_hand["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    container["image"] = "mine:latest"
    cluster.server.put(f"{SELDON}/churn", by_hand)
    cluster.step()
    predictor = cluster.seldon["spec"]["predictors"][0]
    assert predictor["componentSpecs"][0]["spec"]["containers"][0]["image"] != "mine:latest"
    assert "PutRight" in {one["reason"] for one in cluster.events}


def test_what_seldons_webhook_adds_stays(cluster: Cluster):
    cluster.serve_first()
    defaulted = copy.deepcopy(cluster.seldon)
    predictor = defaulted["spec"]["predictors"][0]
    predictor["graph"]["endpoint"] = {"type": "REST", "httpPort": 9000}
    container = predictor["componentSpecs"][0]["spec"]["containers"][0]
    container["ports"].append({"name": "grpc", "containerPort": 9500})
    cluster.server.put(f"{SELDON}/churn", defaulted)
    writes = len(cluster.server.writes())
    cluster.step()
    assert len(cluster.server.writes()) == writes
    cluster.want(2)
    cluster.step()
    assert cluster.seldon["spec"]["predictors"][0] == predictor


def test_an_order_is_obeyed_once_and_taken_away(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    cluster.order("pause")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["paused"]) == ("Held", True)
    assert cluster.resource["metadata"]["annotations"] == {}
    cluster.order("resume 7")
    cluster.step()
    assert cluster.status["paused"], "said to version 7"
    cluster.order("resume 2")
    cluster.step()
    assert not cluster.status["paused"]
    cluster.order("explode")
    cluster.step()
    assert "NotUnderstood" in {one["reason"] for one in cluster.events}
    cluster.order("abort")
    assert cluster.until("RolledBack")


def test_an_order_given_with_a_new_version_is_about_that(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.order("pause")
    cluster.step()
    assert not cluster.status["paused"]
    cluster.step()
    assert cluster.status["paused"]
    assert cluster.resource["metadata"]["annotations"] == {}


def test_a_spec_that_cannot_be_followed_does_not_stop_the_judge(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    cluster.want(2, weight={"start": "0.1%"})
    cluster.until("RolledBack", bad=0.4)
    accepted = next(one for one in cluster.status["conditions"] if one["type"] == "Accepted")
    assert accepted["status"] == "False"
    assert "step" in accepted["message"]


def test_without_telemetry_or_with_an_old_one_nothing_moves(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    for change in ({"down": True}, {"age": 400.0}):
        for name, value in change.items():
            setattr(cluster.counted, name, value)
        before = cluster.status["wanted"], cluster.status["look"]
        for _ in range(5):
            cluster.pass_time(10, bad=0.5)
            cluster.step()
            assert cluster.status["phase"] == "Held"
        assert (cluster.status["wanted"], cluster.status["look"]) == before
        cluster.counted.down, cluster.counted.age = False, 1.0


def test_a_restarted_gateway_costs_one_look_and_no_verdict(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    cluster.counted.gateway = "10.0.0.2:15020"
    cluster.counted.totals = {"churn-v1": [3, 3], "churn-v2": [3, 3]}
    cluster.now += 10
    cluster.step()
    assert "not counted" in cluster.status["decisions"][-1]["reason"]
    assert cluster.until("Promoted", "RolledBack") == "Promoted"


def test_deleted_it_is_left_alone(cluster: Cluster):
    cluster.serve_first()
    body = copy.deepcopy(cluster.resource)
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.server.put(cluster.path, body)
    writes = len(cluster.server.writes())
    assert cluster.step() is None
    del cluster.server.objects[cluster.path]
    assert cluster.step() is None
    assert len(cluster.server.writes()) == writes


def test_a_status_of_the_future_is_not_decided_on(cluster: Cluster):
    cluster.serve_first()
    cluster.server.put(cluster.path, {"status": {"phase": "Levitating"}}, status=True)
    with pytest.raises(DocumentError, match="status"):
        cluster.step()


def test_hand_made_routes_are_not_confirmed(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    routes = copy.deepcopy(cluster.server.objects[f"{ROUTES}/churn-http"])
    routes["spec"]["http"][0]["route"][1]["weight"] = 90
    cluster.server.put(f"{ROUTES}/churn-http", routes)
    cluster.pass_time(10)
    cluster.step()
    assert cluster.status["confirmed"]["v2"] == 9000
    assert "confirm" in cluster.status["reason"]


def test_between_two_scrapes_there_is_no_look(cluster: Cluster):
    cluster.serve_first()
    cluster.want(2)
    cluster.until("Ramping")
    cluster.pass_time(10)
    cluster.step()
    before = cluster.status["look"]
    cluster.scrapes = False
    for _ in range(2):
        cluster.now += 10
        cluster.step()
        assert (cluster.status["phase"], cluster.status["look"]) == ("Ramping", before)
    cluster.scrapes = True
    cluster.pass_time(10)
    cluster.step()
    assert cluster.status["look"] == before + 1
    assert cluster.status["rate"] < 100, "of all the time since the last scrape"


@pytest.mark.parametrize(
    ("sampled", "updated", "time"),
    [(None, 90.0, 100.0), (95.0, None, 95.0), (95.0, 90.0, 95.0), (85.0, 90.0, 90.0)],
)
def test_a_look_is_of_the_time_of_its_counters(
    sampled: float | None, updated: float | None, time: float
):
    assert look_time(sampled, updated, 100.0) == time


def test_a_clock_far_ahead_does_not_stop_the_looks():
    assert look_time(95.0, 400.0, 400.0) == 95.0


def test_a_registry_that_does_not_answer_costs_an_event_and_no_verdict(cluster: Cluster):
    mlflow = MlflowServer("http://127.0.0.1:9", clock=lambda: cluster.now)
    stepper = cluster.stepper(mlflow)
    cluster.want(1)
    for _ in range(3):
        cluster.step(stepper)
        cluster.seldon_acts()
    assert cluster.status["stable"]["version"] == "1"
    told = [one for one in cluster.events if one["reason"] == "AliasesNotSet"]
    assert [one["type"] for one in told] == ["Warning"], "once, not at each step"
    assert "MLflow does not answer" in told[0]["message"]
    cluster.now += 120  # It is asked again, and there is nothing new to say.
    cluster.step(stepper)
    assert len([one for one in cluster.events if one["reason"] == "AliasesNotSet"]) == 1
