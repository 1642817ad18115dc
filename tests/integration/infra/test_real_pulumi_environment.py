"""The whole local environment, made by the embedded engine and by the real Pulumi CLI: the two
states must agree field by field, and either engine finds nothing to do in what the other made.

Skipped where there is no ``pulumi`` on PATH. The tests of this file go through one pair of
environments in the order in which they stand.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from pocket import engine, pulumi_cli
from pocket.engine import Op, Result
from pocket_testing.exports import comparable, differences
from pocket_testing.stacks import PASSPHRASE
from tests.integration.infra.standing import Standing

pytestmark = pytest.mark.skipif(
    not (shutil.which("pulumi") and shutil.which("pulumi-language-python")),
    reason="the Pulumi CLI is not on PATH",
)

TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:?\d\d)?")
RANDOM = re.compile(
    r"""
    127\.0\.0\.1:\d+                              # where the cloud listens
    | \b127\.\d+\.\d+\.\d+ | \bec2-127(?:-\d+){3}  # addresses from its pool
    | \b(?!\w+-123456789012)[a-z]+-[0-9a-f]{8,17}(?![0-9a-z])   # EC2's and EFS's ids
    | (?<![0-9a-zA-Z])[0-9a-f]{32,64}\b             # digests, keys
    | \bA[A-Z0-9]{15,20}\b                         # IAM's ids
    | (?<=https://)\w+\.\w{3}(?=\.[-\w]+\.eks\.) | (?<=/id/)\w{10}   # a cluster's host, its issuer
    | (?<=-warehouse\.)[0-9a-f]{12}                # a warehouse's host
    | (?<=:secret:)(\S+)-\w{6}\b                   # a secret's name ends at random
    | (?<=-)[0-9a-f]{7}\b                          # the end of a name that the provider makes
    """,
    re.VERBOSE,
)
"""What AWS or the provider generates."""
ANY = {"data": "a certificate", "privateIp": "an address", "port": "a port"}
"""Outputs that are random as a whole."""


def nameless(document: dict[str, Any]) -> dict[str, Any]:
    """An export with each generated identifier replaced by the place where it stands first: so two
    that agree also refer to the same things."""
    first: dict[str, str] = {}

    def of(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: of(value[key], f"{path}/{key}") for key in sorted(value)}
        if isinstance(value, list):
            return [of(inner, f"{path}/{at}") for at, inner in enumerate(value)]
        if value and (known := ANY.get(path.rpartition("/")[2])):
            return known
        if not isinstance(value, str):
            return value
        text = TIMES.sub("then", value)
        return RANDOM.sub(lambda found: first.setdefault(found[0], f"<{path}>"), text)

    made: dict[str, Any] = of(document, "")
    return made


@pytest.fixture(scope="module")
def passphrase() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
        yield


@pytest.fixture(scope="module")
def pair(passphrase: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two environments, each brought up by its own engine."""
    made = Pair(*(lay(tmp_path_factory.mktemp(name)) for name in ("ours", "theirs")))
    try:
        with made.ours.connected():
            made.first.append(engine.up(made.ours.workspace))
        with made.theirs.connected():
            made.first.append(pulumi_cli.up(made.theirs.workspace))
        yield made
    finally:
        made.ours.close()
        made.theirs.close()


@dataclass
class Pair:
    """Two environments of one program.

    Args:
        ours: brought up by the embedded engine.
        theirs: brought up by the CLI.
        first: what each said of that.
    """

    ours: Standing
    theirs: Standing
    first: list[Result] = field(default_factory=list)

    def sides(self) -> Iterator[tuple[Standing, ModuleType, ModuleType]]:
        """Each environment while it is connected, with the engine that made it and the other."""
        for standing, own, other in (
            (self.ours, engine, pulumi_cli),
            (self.theirs, pulumi_cli, engine),
        ):
            with standing.connected():
                yield standing, own, other

    def disagreements(self) -> list[str]:
        """Where the two states differ."""
        ours, theirs = (
            nameless(comparable(engine.export_state(one.workspace), PASSPHRASE))
            for one in (self.ours, self.theirs)
        )
        # Without a secret in the state, ours needs no key.
        del ours["secrets provider"], theirs["secrets provider"]
        return list(differences(ours, theirs))


def lay(folder: Path) -> Standing:
    made = Standing(folder / "project")
    # Where Pulumi.yaml tells the CLI to look for Python.
    (made.project / ".venv").symlink_to(sys.prefix)
    return made


def told(result: Result) -> Counter[tuple[str, Op]]:
    return Counter((step.urn, step.op) for step in result.steps)


def test_the_states_agree_field_by_field(pair: Pair) -> None:
    assert pair.disagreements() == []
    ours, theirs = map(told, pair.first)
    assert ours == theirs
    assert len(ours) > 200


def test_neither_engine_would_change_what_the_other_made(pair: Pair) -> None:
    for standing, _, other in pair.sides():
        assert other.preview(standing.workspace).changed is False


def test_a_change_is_the_same_to_both(pair: Pair) -> None:
    """Each made by the engine that did not make the environment."""
    changed = []
    for standing, _, other in pair.sides():
        with standing.changed(retention={"logs": "3d"}, online_store={"recovery": False}):
            changed.append(told(other.up(standing.workspace)))
    assert changed[0] == changed[1]
    assert {op for _, op in changed[0]} == {Op.SAME, Op.UPDATE}
    assert pair.disagreements() == []


def test_drift_is_seen_and_mended_alike(pair: Pair) -> None:
    """The document is as it was, and somebody has been at the resources by hand."""
    seen, mended = [], []
    for standing, own, _ in pair.sides():
        meddle(standing)
        drift = own.refresh(standing.workspace)
        seen.append({(step.urn.rpartition("::")[2], step.op) for step in drift.changes})
        mended.append(told(own.up(standing.workspace)))
        assert not own.preview(standing.workspace).changed
    assert seen[0] == seen[1] == {("alarms", Op.UPDATE), ("predictions", Op.DELETE)}
    assert mended[0] == mended[1]
    assert pair.disagreements() == []


def meddle(standing: Standing) -> None:
    """Change a topic and delete a table."""
    region = standing.endpoints.region
    (topic,) = (one for one in standing.managed() if one.type == "aws:sns/topic:Topic")
    boto3.client("sns", region).set_topic_attributes(
        TopicArn=topic.id, AttributeName="DisplayName", AttributeValue="by hand"
    )
    (table,) = (
        one
        for one in standing.managed()
        if one.type == "aws:dynamodb/table:Table" and one.name == "predictions"
    )
    tables = boto3.client("dynamodb", region)
    tables.update_table(TableName=table.id, DeletionProtectionEnabled=False)
    tables.delete_table(TableName=table.id)


def test_each_engine_removes_what_the_other_made(pair: Pair) -> None:
    for standing, _, other in pair.sides():
        other.destroy(standing.workspace)
        assert engine.resources(standing.workspace) == ()
        assert standing.there() == []
