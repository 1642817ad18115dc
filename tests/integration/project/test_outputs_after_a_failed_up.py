"""What other commands know of an environment whose last `up` failed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InfrastructureError
from laptop.stack import Stack
from project.handle import Project
from tests.unit.project.test_where_outputs_come_from import values

ROOT = Path(__file__).parents[3]
PROGRAM = """
import pulumi
from pulumi import CustomResource

class Refused(CustomResource):
    def __init__(self, name):
        super().__init__("aws:nosuch/thing:Thing", name, {{}})

told = {told!r}
for name, value in told.items():
    pulumi.export(name, value)
{trouble}
"""
TROUBLES = {"program": "1 / 0", "resource": 'Refused("a")'}


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """Brings up an environment whose program tells these outputs, and may fail."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "x")
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "infra").mkdir()

    def bring_up(trouble: str = "", **told: Any) -> Project:
        text = PROGRAM.format(told=told, trouble=trouble)
        (tmp_path / "infra" / "__main__.py").write_text(text)
        project = Project(tmp_path, "local")
        Stack(project).up(lambda event: None)
        return project

    return bring_up


def named(bucket: str) -> dict[str, str]:
    return {"raw": bucket, "curated": "c", "artifacts": "a", "key_arn": "arn:k"}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
def test_what_was_told_is_used_and_the_rest_is_as_it_was(
    up: Callable[..., Project], trouble: str
) -> None:
    project = up(**values("local"))
    before = project.outputs()
    with pytest.raises(InfrastructureError, match="outputs that this run came to"):
        up(trouble, lake=named("another"))
    assert project.outputs() == before.model_copy(
        update={"lake": before.lake.model_copy(update=named("another"))}
    )
    again = up(**values("local"))
    assert again.outputs() == before


def test_outputs_of_what_failed_hold_back_all_of_a_run(up: Callable[..., Project]) -> None:
    """As with the Pulumi CLI: a program tells its outputs at once, or not at all."""
    project = up(**values("local"))
    before = project.outputs()
    with pytest.raises(InfrastructureError, match="outputs that this run came to"):
        up('pulumi.export("cache", Refused("a").urn)', lake=named("another"))
    assert project.outputs() == before


def test_what_is_no_output_leaves_the_former_ones(up: Callable[..., Project]) -> None:
    project = up(**values("local"))
    before = project.outputs()
    with pytest.raises(InfrastructureError, match=r"outputs of the last `up` that succeeded"):
        up(TROUBLES["program"], lake={"raw": 1})
    assert project.outputs() == before


def test_an_environment_that_was_never_up_has_none(
    up: Callable[..., Project], tmp_path: Path
) -> None:
    with pytest.raises(InfrastructureError) as failure:
        up(TROUBLES["program"], **values("local"))
    assert "other commands" not in failure.value.fix
    with pytest.raises(InfrastructureError, match="has not been brought up"):
        Project(tmp_path, "local").outputs()
