"""What stands: values that AWS moves are never set back, nor in the way of what changes beside; and
what AWS would refuse of a change is refused before anything begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from pocket.engine import preview, up
from pocket.errors import DeploymentError
from tests.integration.infra.conftest import connected
from tests.integration.infra.standing import Standing

PROGRAM = """
from infra.cache import Cache
from infra.cluster import Cluster
from infra.keys import Keys
from infra.network import Network
from infra.online_store import OnlineStore
from infra.stack import build, read_environment

build(read_environment(), concerns=(Keys, Network, Cache, Cluster, OnlineStore))
"""
"""Of the environment what has such values, and what that uses: each test brings it up thrice."""
GROUP = {"clusterName": "millwright-local-cluster", "nodegroupName": "millwright-local-workers"}
TABLE = "millwright-local-features"


def settings(least: int, most: int, capacity: dict[str, int] | None = None) -> dict[str, Any]:
    workers = {"instance_types": ["m7i.large"], "min": least, "max": most}
    table: dict[str, Any] = {"key": "entity_id"}
    return {
        "cluster": {"node_groups": {"workers": workers}},
        "online_store": {
            "tables": {"features": {**table, **({"capacity": capacity} if capacity else {})}}
        },
    }


def sizes() -> tuple[int, int, int]:
    eks = boto3.client("eks", region_name="eu-central-1")
    found = eks.describe_nodegroup(**GROUP)["nodegroup"]["scalingConfig"]
    return found["minSize"], found["desiredSize"], found["maxSize"]


def autoscale(desired: int) -> None:
    """What the cluster's autoscaler does."""
    eks = boto3.client("eks", region_name="eu-central-1")
    eks.update_nodegroup_config(**GROUP, scalingConfig={"desiredSize": desired})
    assert sizes()[1] == desired


def throughput() -> int:
    found = boto3.client("dynamodb", region_name="eu-central-1").describe_table(TableName=TABLE)
    units: int = found["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"]
    return units


def scale_table(units: int) -> None:
    """What Application Auto Scaling does."""
    boto3.client("dynamodb", region_name="eu-central-1").update_table(
        TableName=TABLE,
        ProvisionedThroughput={"ReadCapacityUnits": units, "WriteCapacityUnits": units},
    )


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    program = tmp_path_factory.mktemp("program")
    (program / "__main__.py").write_text(PROGRAM)
    with connected(Standing(tmp_path_factory.mktemp("moved"), program=program)) as made:
        with made.changed(**settings(1, 3)):
            up(made.workspace)
        yield made


@pytest.mark.parametrize(
    ("least", "moved", "most", "desired"),
    [
        (2, None, 3, 2),  # the bound passes the size that stands
        (2, 3, 3, 3),  # nothing changes beside the moved size
        (2, 3, 5, 3),  # what changes beside does not set it back
        (1, 5, 5, 5),
        (1, None, 4, 4),
        (1, 4, 2, 2),
        (3, None, 3, 3),
        (1, None, 2, 2),
    ],
)
def test_a_group_keeps_its_size_within_its_bounds(
    least: int, moved: int | None, most: int, desired: int, standing: Standing
) -> None:
    bounds = sizes()
    if moved is not None:
        autoscale(moved)
    with standing.changed(**settings(least, most)):
        planned = preview(standing.workspace).changes
        assert bool(planned) == ((least, most) != (bounds[0], bounds[2]))
        up(standing.workspace)
        assert sizes() == (least, desired, most)
        assert up(standing.workspace).changes == ()


def test_what_was_changed_by_hand_can_be_written_down(standing: Standing) -> None:
    boto3.client("eks", region_name="eu-central-1").update_nodegroup_config(
        **GROUP, scalingConfig={"minSize": 4, "desiredSize": 5, "maxSize": 6}
    )
    with standing.changed(**settings(4, 6)):
        up(standing.workspace)
        assert sizes() == (4, 5, 6)
    with standing.changed(**settings(6, 7)):
        up(standing.workspace)
        assert sizes() == (6, 6, 7)


def test_a_table_is_given_capacity_and_keeps_what_it_scales_to(standing: Standing) -> None:
    with standing.changed(**settings(6, 7, {"min": 5, "max": 50})):
        up(standing.workspace)
        assert throughput() == 5
        scale_table(20)
        assert preview(standing.workspace).changes == ()
    with standing.changed(**settings(6, 7, {"min": 7, "max": 60})):
        up(standing.workspace)
        assert throughput() == 20
    with standing.changed(**settings(6, 7)):
        up(standing.workspace)
    with standing.changed(**settings(6, 7, {"min": 9, "max": 50})):
        up(standing.workspace)
        assert throughput() == 9


@pytest.mark.parametrize("run", [preview, up])
@pytest.mark.parametrize(
    ("section", "changed", "said"),
    [
        ("cluster", {"version": "1.33"}, "runs 1.35"),
        ("cluster", {"version": "1.37"}, "1.36 is next"),
        ("cache", {"version": "7.2"}, "runs 8.0"),
        ("cache", {"engine": "redis", "version": "7.1"}, "back to redis"),
    ],
)
def test_what_cannot_follow_what_stands_is_refused_first(
    section: str, changed: dict[str, Any], said: str, run: Any, standing: Standing
) -> None:
    before = standing.managed()
    document = settings(6, 7, {"min": 9, "max": 50})
    local = {"replicas": 0, "tls": False} if section == "cache" else {}
    document[section] = {**document.get(section, {}), **local, **changed}
    with standing.changed(**document), pytest.raises(DeploymentError) as refusal:
        run(standing.workspace)
    assert said in str(refusal.value)
    named = next(key for key in ("engine", "version") if key in changed)
    assert f"Pulumi.local.yaml: config.millwright:environment: {section}.{named}" in str(
        refusal.value
    )
    assert standing.managed() == before
