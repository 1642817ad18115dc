"""What of the Pulumi CLI can be tested without it: that its absence is said, and what becomes of
its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pocket import pulumi_cli
from pocket.engine import Diagnostic, Event, Failed, Op, ResourceOutputs, ResourcePre, Workspace
from pocket.errors import OptionError

URN = "urn:pulumi:dev::demo::shelf:index:Thing::a"


def workspace(root: Path) -> Workspace:
    return Workspace(root=root, stack="dev", program=root, providers={})


def test_a_missing_cli_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for act in (pulumi_cli.up, pulumi_cli.preview, pulumi_cli.destroy):
        with pytest.raises(OptionError, match="not on PATH") as caught:
            act(workspace(tmp_path))
        assert "docs/install" in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_state_that_nobody_lent_needs_no_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not pulumi_cli.reclaim(workspace(tmp_path))
    marker = pulumi_cli.Home.of(workspace(tmp_path)).marker
    marker.parent.mkdir(parents=True)
    marker.touch()
    with pytest.raises(OptionError, match="not on PATH"):
        pulumi_cli.reclaim(workspace(tmp_path))
    assert marker.exists(), "it is still with the CLI"


def test_a_missing_virtual_environment_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (pulumi_cli.COMMAND, pulumi_cli.LANGUAGE_HOST):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    runtime = "{name: python, options: {virtualenv: .venv}}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: demo\nruntime: {runtime}\n")
    with pytest.raises(OptionError, match="virtual environment") as caught:
        pulumi_cli.preview(workspace(tmp_path))
    assert caught.value.where == str(tmp_path / ".venv")
    assert not (tmp_path / ".venv").exists()


def metadata(op: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": URN, "type": "shelf:index:Thing", **more}


def test_a_refresh_ends_as_what_it_found() -> None:
    log = pulumi_cli.EventLog("refresh", lambda event: None)
    for op in ("same", "update", "delete"):
        log.take({"resourcePreEvent": {"metadata": metadata("refresh")}})
        log.take({"resOutputsEvent": {"metadata": metadata(op)}})
    assert [one.op for one in log.steps] == [Op.SAME, Op.UPDATE, Op.DELETE]


def test_events_become_those_of_the_engine() -> None:
    told: list[Event] = []
    log = pulumi_cli.EventLog("up", told.append)
    differs = {"detailedDiff": {"tags.x": {"diffKind": "update", "inputDiff": True}}}
    log.take({"resourcePreEvent": {"metadata": metadata("update", **differs)}})
    log.take({"resOutputsEvent": {"metadata": metadata("update", diffs=["tags"], **differs)}})
    # A component tells its outputs after its step is over: that is no second step.
    log.take({"resOutputsEvent": {"metadata": metadata("update")}})
    log.take({"resourcePreEvent": {"metadata": metadata("import-replacement")}})
    log.take({"resOpFailedEvent": {"metadata": metadata("import-replacement")}})
    warning = f"{pulumi_cli.OWN_PLUGIN} at /somewhere"
    log.take({"diagnosticEvent": {"severity": "warning", "message": warning, "color": "never"}})
    log.take({"diagnosticEvent": {"severity": "error", "message": "no\n", "urn": URN}})
    log.take({"diagnosticEvent": {"severity": "info#err", "message": "so so"}})
    log.take({"resourcePreEvent": {"metadata": metadata("create")}})
    log.take({"summaryEvent": {"result": "succeeded"}})

    assert [type(one) for one in told] == [
        *(ResourcePre, ResourceOutputs, ResourcePre, Failed, Diagnostic, Diagnostic),
        *(ResourcePre, ResourceOutputs),
    ]
    assert [(one.op, one.keys, one.error) for one in log.steps] == [
        (Op.UPDATE, ("tags",), ""),
        (Op.CREATE_REPLACEMENT, (), "failed"),
        (Op.CREATE, (), ""),
    ]
    assert log.failure() == "so so\nno", "what the program printed goes with the failure"


def test_the_words_about_a_plugin_that_is_not_there() -> None:
    told = (
        "Traceback (most recent call last):\n  Exception: rpc error: no resource plugin "
        "'pulumi-resource-kubernetes' found in the workspace at version v4.34.2 or on your $PATH"
    )
    found = pulumi_cli.NO_PLUGIN.search(told)
    assert found is not None
    assert found.groups() == ("kubernetes", "v4.34.2")
