"""The whole local environment, from nothing to nothing: brought up, changed, removed.

The tests of this file go through one environment's life in the order in which they stand.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from laptop.stack import Stack
from pocket.engine import Op, Result, destroy, export_state, import_state, preview, refresh, up
from pocket.engine.store import Store
from pocket.errors import DeploymentError
from pocket.supervisor import Supervisor
from project.handle import Project
from tests.forked_commands import Done, millwright
from tests.integration.infra.standing import PROJECT, Standing

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@pytest.fixture(scope="module")
def whole(standing: Standing) -> Result:
    """What brought it up."""
    return up(standing.workspace)


def command(project: Path, *words: str) -> Done:
    """``millwright …`` on a project, in a process of its own."""
    here = {**os.environ, "MILLWRIGHT_PROJECT": str(project), "COLUMNS": "200"}
    return millwright(*words, folder=PROJECT, environment=here)


@pytest.mark.parametrize("tier", ["dev", "staging", "prod"])
def test_a_preview_needs_no_credentials_and_no_cloud(
    tier: str, standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "MILLWRIGHT_"))]:
        monkeypatch.delenv(name)
    result = Stack(Project(standing.project, tier)).preview(lambda event: None)
    assert {step.op for step in result.changes} == {Op.CREATE}
    assert len(result.changes) > 150


@pytest.mark.parametrize(
    ("text", "named", "said"),
    [
        ("cache: {nodetype: cache.t4g.micro}", "cache.nodetype", "node_type"),
        ("region: mars-central-1", "region", "mars-central-1"),
        ("network: {cidr: 10.0.0.0/30}", "network.cidr", "/30"),
    ],
)
def test_a_wrong_document_starts_nothing(tmp_path: Path, text: str, named: str, said: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text())
    lines = (PROJECT / "Pulumi.local.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.strip().startswith(text.split(":")[0] + ":")]
    (tmp_path / "Pulumi.local.yaml").write_text("\n".join([*kept, f"    {text}"]) + "\n")
    done = command(tmp_path, "up", "--yes")
    shown = done.out + done.err
    assert done.code == 1, shown
    assert "Pulumi.local.yaml" in shown
    assert named in shown
    assert said in shown
    assert "Traceback" not in shown
    assert not (tmp_path / ".millwright" / "local" / "run").exists()


def test_an_unknown_environment_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.local.yaml").write_text((PROJECT / "Pulumi.local.yaml").read_text())
    done = command(tmp_path, "up", "locale")
    assert done.code == 2, done.out + done.err
    assert "locale" in done.err + done.out


def test_it_comes_up_without_a_duplicate_or_an_orphan(standing: Standing, whole: Result) -> None:
    assert whole.counts.keys() == {Op.CREATE}
    assert standing.wrong() == []


def test_one_changed_setting_changes_only_that(standing: Standing, whole: Result) -> None:
    lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    with standing.changed(lake={"lifecycle": {"versions": "11d"}}):
        result = up(standing.workspace)
        assert {(step.op, step.type, step.keys) for step in result.changes} == {
            (Op.UPDATE, lifecycle, ("rules",))
        }
        assert up(standing.workspace).changes == ()
    up(standing.workspace)
    assert up(standing.workspace).changes == ()


def test_what_is_protected_is_not_deleted(standing: Standing, whole: Result) -> None:
    with standing.changed(retention={"protect": True}):
        protected = {step.type for step in up(standing.workspace).steps if step.new.protect}
        before = standing.there()
        with pytest.raises(DeploymentError, match="protected"):
            destroy(standing.workspace)
        assert standing.there() == before
    assert {"aws:s3/bucket:Bucket", "aws:dynamodb/table:Table"} <= protected
    up(standing.workspace)


def test_what_has_the_name_already_is_never_taken_over(standing: Standing) -> None:
    """A creation refused because of its name leaves the other one alone, at the next run too."""
    import boto3

    name, iam = "taken", boto3.client("iam")
    trust = json.dumps(TRUST)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    program = standing.project / "taken"
    program.mkdir()
    (program / "Pulumi.yaml").write_text("name: taken\nruntime: python\n")
    (program / "__main__.py").write_text(
        "import pulumi_aws as aws\n"
        f"aws.iam.Role('role', name='{name}', assume_role_policy='{trust}')\n"
    )
    workspace = replace(standing.workspace, root=program, program=program)
    for _ in range(2):
        with pytest.raises(DeploymentError, match="EntityAlreadyExists"):
            up(workspace)
    destroy(workspace)
    assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name
    iam.delete_role(RoleName=name)


def lives(pid: int) -> bool:
    """Whether the process runs; one that has ended, though its parent has not asked, does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_destroy_leaves_nothing_and_says_so(
    standing: Standing, whole: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(standing.managed())
    cloud_process = Supervisor(standing.root).find("cloud")
    assert cloud_process
    before = export_state(standing.workspace)
    destroy(standing.workspace)
    assert standing.there() == []
    import_state(standing.workspace, before)
    refresh(standing.workspace)
    assert standing.managed() == [], "what went without the state's knowing is seen to be gone"
    done = command(standing.project, "destroy", "--yes")
    assert done.code == 0, done.out + done.err
    assert re.search(r"left with our tags\s+none", done.out)
    assert re.search(r"processes stopped\s+cloud", done.out)
    assert count > 120
    assert Supervisor(standing.root).status() == []
    assert not lives(cloud_process.pid)
    store = Store(standing.project / ".millwright", "local", None)
    assert store.load().deployment.resources == ()
    # The variables still name the cloud that was stopped, which would be called for half a minute.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    planned = preview(standing.workspace)
    assert planned.counts == {Op.CREATE: len(planned.steps)}
