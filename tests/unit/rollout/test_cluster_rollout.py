"""The laptop's verbs on a ModelRollout: what they write, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.errors import RolloutError
from contracts.model import ServingSpec
from contracts.rollout import RolloutSpec, Target
from serving.rollout.cluster import ClusterRollout
from tests.unit.rollout.cluster_world import Cluster

PLAN = RolloutSpec.parse({"interval": "10s", "guards": {"errors": {}}})


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


def rollout(cluster: Cluster) -> ClusterRollout:
    return ClusterRollout(cluster.server.api, "models", "churn")


def target(version: int) -> Target:
    return Target(version=str(version), uri=f"s3://artifacts/churn/{version}")


def test_a_rollout_from_the_first_word_to_the_last(cluster: Cluster):
    person = rollout(cluster)
    person.start(target(1), plan=PLAN, serving=ServingSpec(replicas=2))
    cluster.step()
    cluster.seldon_acts()
    cluster.step()
    assert person.status().stable == target(1)
    assert person.over(person.status())
    person.start(target(2), plan=PLAN)
    assert not person.over(person.status())
    assert cluster.resource["spec"]["serving"]["replicas"] == 2, "what is not said stays"
    cluster.until("Ramping")
    person.say("pause")
    cluster.step()
    assert person.status().paused
    person.say("resume")
    person.say("abort")
    cluster.until("RolledBack")
    assert person.over(person.status())
    reasons = [one.reason for one in person.history()]
    assert reasons[0] == "version 1 starts"
    assert "a person aborted it" in " ".join(reasons)
    with pytest.raises(RolloutError, match="rolled back before"):
        person.start(target(2), plan=PLAN)
    person.start(target(2), plan=PLAN, retry=True)
    cluster.until("Promoted")
    with pytest.raises(RolloutError, match="stable version already"):
        person.start(target(2), plan=PLAN)


def test_what_is_not_there_is_said(cluster: Cluster):
    with pytest.raises(RolloutError, match="no ModelRollout"):
        rollout(cluster).status()
    cluster.serve_first()
    with pytest.raises(RolloutError, match="no rollout is under way"):
        rollout(cluster).say("pause")


def test_a_plan_of_a_laptop_becomes_whole_percents(cluster: Cluster):
    cluster.serve_first()
    finer = RolloutSpec.parse({"interval": "10s", "weight": {"start": "0.1%", "max": "20%"}})
    rollout(cluster).change(finer)
    assert cluster.resource["spec"]["plan"]["weight"]["start"] == "1%"
    assert rollout(cluster).plan().weight.max == 0.2
