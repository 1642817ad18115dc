"""What AWS refuses of a change, by what stands; and each step that it takes."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.environment import Environment
from contracts.environment.changes import STEPS, Standing, impossible, without_effect

STANDS = Standing(kubernetes="1.33", postgres="16.4", disk=80, most=500, cache=("redis", "7.1.0"))


def environment(section: str, **settings: Any) -> Environment:
    """An environment that goes on from what stands, with some of a section's settings changed."""
    document: dict[str, Any] = {
        "name": "test",
        "tier": "dev",
        "account": "123456789012",
        "region": "eu-central-1",
        "cluster": {"version": "1.33"},
        "database": {"version": "16"},
        "cache": {"engine": "redis", "version": "7.1"},
    }
    document[section] = {**document[section], **settings}
    return Environment.parse(document)


TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("cluster", {}),
    ("cluster", {"version": "1.34"}),
    ("database", {"version": "17"}),
    ("database", {"version": "18"}),
    ("database", {"max_storage": 80}),
    ("database", {"max_storage": 88}),
    # A disk that has grown is more than the document began with.
    ("database", {"storage": 20}),
    ("cache", {"engine": "valkey", "version": "8.0"}),
    ("cache", {"engine": "valkey", "version": "7.2"}),
]
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("cluster", {"version": "1.32"}, "cluster.version", "no version back"),
    ("cluster", {"version": "1.35"}, "cluster.version", "1.34 is next"),
    ("cluster", {"version": "1.40"}, "cluster.version", "1.34 is next"),
    ("database", {"version": "15"}, "database.version", "16.4"),
    ("database", {"storage": 20, "max_storage": 60}, "database.max_storage", "80 GiB"),
    ("database", {"max_storage": 87}, "database.max_storage", "max_storage 88 or above"),
    ("cache", {"version": "7.0"}, "cache.version", "7.1.0"),
    ("cache", {"version": "6.2"}, "cache.version", "no version back"),
]


@pytest.mark.parametrize(("section", "settings"), TAKEN)
def test_a_step_that_aws_takes(section: str, settings: dict[str, Any]) -> None:
    assert list(impossible(environment(section, **settings), STANDS)) == []


@pytest.mark.parametrize(("section", "settings", "key", "said"), REFUSED)
def test_a_step_that_aws_refuses(
    section: str, settings: dict[str, Any], key: str, said: str
) -> None:
    ((named, why),) = impossible(environment(section, **settings), STANDS)
    assert named == key
    assert said in why


@pytest.mark.parametrize(("storage", "said"), [(79, "write 80"), (80, ""), (100, "")])
def test_a_smaller_disk_than_stands_is_said_to_have_no_effect(storage: int, said: str) -> None:
    sentences = "\n".join(without_effect(environment("database", storage=storage), STANDS))
    assert (said in sentences, bool(sentences)) == (True, bool(said))


def test_valkey_never_becomes_redis() -> None:
    stands = Standing(cache=("valkey", "8.0.1"))
    ((key, why),) = impossible(environment("cache", engine="redis", version="7.1"), stands)
    assert (key, "back to redis" in why) == ("cache.engine", True)


def test_where_nothing_stands_everything_may_be_made() -> None:
    assert list(impossible(environment("cluster", version="1.30"), Standing())) == []


@pytest.mark.parametrize("step", STEPS, ids=[step.key for step in STEPS])
def test_every_rule_says_where_aws_says_so_and_is_tried(step: Any) -> None:
    assert step.source.startswith("https://docs.aws.amazon.com/")
    assert step.key in {key for *_, key, _ in REFUSED} | {"cache.engine"}
