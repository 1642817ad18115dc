"""Lists are taken whole: all tags of several, all objects of many pages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from pocket.errors import DeploymentError
from pocket.provider.types import TABLE
from pocket.provider.values import plain
from pocket_testing.provider_cases import CASES
from pocket_testing.provider_world import World

TAGGED = sorted(token for token, row in TABLE.items() if row.tags is not None)
BUCKET = "aws:s3/bucket:Bucket"


@pytest.mark.parametrize("token", TAGGED, ids=lambda token: token.rsplit(":", 1)[1])
def test_several_tags_come_and_go_at_once(token: str, world: World) -> None:
    inputs = CASES[token].inputs(world)
    made = world.create(token, {**inputs, "tags": {"a": "1", "bc": "2", "def": "3", "stays": "4"}})
    for tags in ({"stays": "4"}, {"a": "5", "bc": "6", "stays": "7"}, {}):
        wanted, failures = world.check(token, {**inputs, "tags": tags}, made.inputs)
        assert failures == []
        changed = world.update(made, wanted)
        world.made[:] = [changed if each is made else each for each in world.made]
        made = changed
        again = world.read(made)
        assert again is not None
        assert (plain(again.outputs).get("tags") or {}) == tags
        assert world.diff(again, wanted).changes == 1


@pytest.fixture
def s3(endpoint: str) -> object:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.mark.parametrize("versioned", [True, False], ids=["versions", "objects"])
def test_a_bucket_of_more_than_a_page_goes(world: World, s3: object, versioned: bool) -> None:
    made = world.create(BUCKET, {"bucket": "many-pages", "forceDestroy": True})
    if versioned:
        s3.put_bucket_versioning(  # type: ignore[attr-defined]
            Bucket=made.id, VersioningConfiguration={"Status": "Enabled"}
        )

    def put(number: int) -> None:
        key = "again" if versioned and number % 2 else f"rows/{number}"
        s3.put_object(Bucket=made.id, Key=key, Body=b"")  # type: ignore[attr-defined]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(1205)))
    if versioned:
        for number in range(0, 100, 2):
            s3.delete_object(Bucket=made.id, Key=f"rows/{number}")  # type: ignore[attr-defined]
    world.delete(made)
    assert world.read(made) is None


def test_an_object_that_may_not_go_is_named(world: World, s3: object) -> None:
    made = world.create(
        BUCKET, {"bucket": "locked", "forceDestroy": True, "objectLockEnabled": True}
    )
    s3.put_object(  # type: ignore[attr-defined]
        Bucket=made.id, Key="held", Body=b"", ObjectLockLegalHoldStatus="ON"
    )
    with pytest.raises(DeploymentError, match="held"):
        world.delete(made)
    s3.put_object_legal_hold(  # type: ignore[attr-defined]
        Bucket=made.id, Key="held", LegalHold={"Status": "OFF"}
    )
