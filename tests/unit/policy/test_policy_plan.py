"""Our plan as Terraform's, and what counts as an accepted finding."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy.check import EXCEPTIONS, accepted, excepted, main, verdict
from policy.terraform import plan_of, snake, terraform_type

STACK = "urn:pulumi:prod::millwright::millwright:aws:Lake$aws:s3"


@dataclass(frozen=True)
class Planned:
    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    dependencies: dict[str, tuple[str, ...]] = field(default_factory=dict)


BUCKET = Planned(f"{STACK}/bucket:Bucket::raw", "aws:s3/bucket:Bucket", "raw", {"bucket": "b"})
ENCRYPTION = Planned(
    f"{STACK}/bucketServerSideEncryptionConfiguration:X::raw",
    "aws:s3/bucketServerSideEncryptionConfiguration:X",
    "raw",
    {
        "bucket": "b",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}],
        "tags": {"camelCase": "stays"},
        "enabled": "true",
    },
    {"bucket": (BUCKET.urn,)},
)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("aws:ec2/vpc:Vpc", "aws_vpc"),
        ("aws:rds/instance:Instance", "aws_db_instance"),
        ("aws:s3/bucketPolicy:BucketPolicy", "aws_s3_bucket_policy"),
        ("aws:iam/openIdConnectProvider:X", "aws_iam_openid_connect_provider"),
    ],
)
def test_types(token: str, kind: str) -> None:
    assert terraform_type(token) == kind


def test_names_blocks_and_references() -> None:
    assert snake("kmsKeyId") == "kms_key_id"
    plan = plan_of([BUCKET, ENCRYPTION, Planned("u::p::t::n", "pulumi:providers:aws", "aws", {})])
    bucket, encryption = plan["planned_values"]["root_module"]["resources"]
    assert bucket["address"] == "aws_s3_bucket.lake_raw"
    by_default = {"apply_server_side_encryption_by_default": [{"sse_algorithm": "aws:kms"}]}
    assert encryption["values"]["rule"] == [by_default]
    assert encryption["values"]["tags"] == {"camelCase": "stays"}
    assert encryption["values"]["enabled"] is True
    expressions = plan["configuration"]["root_module"]["resources"][1]["expressions"]
    assert expressions["bucket"]["references"][-1] == "aws_s3_bucket.lake_raw"


def report(passed: int, *failed: tuple[str, str]) -> dict[str, Any]:
    checks = [{"check_id": one, "check_name": "name", "resource": on} for one, on in failed]
    return {
        "summary": {"passed": passed, "failed": len(failed)},
        "results": {"failed_checks": checks},
    }


def test_every_finding_has_a_reason_and_every_reason_a_finding() -> None:
    known = {("CKV_1", "aws_x.a")}
    assert verdict(report(99, ("CKV_1", "aws_x.a")), known) == []
    assert verdict(report(99, ("CKV_2", "aws_x.a")), known) == [
        "CKV_2 on aws_x.a: name",
        "CKV_1 on aws_x.a has a reason but is no finding: remove it",
    ]
    assert verdict(report(10, ("CKV_1", "aws_x.a")), known) == []
    assert verdict(report(10, ("CKV_1", "aws_x.a")), known, least=0.98) == [
        "10 of 11 checks pass, fewer than 98%"
    ]


def test_what_is_accepted_says_why_and_where() -> None:
    document = yaml.safe_load(EXCEPTIONS.read_text())
    assert "CKV_AWS_293" in accepted(document, "staging")
    assert "CKV_AWS_293" not in accepted(document, "prod"), "prod's database is protected"
    assert ("CKV_AWS_145", "aws_s3_bucket.lake_logs") in excepted(accepted(document, "prod"))
    with pytest.raises(SystemExit, match="CKV_1 has no reason"):
        accepted({"CKV_1": {"resources": []}}, "prod")


@pytest.mark.parametrize(("new", "code"), [(False, 0), (True, 1)])
def test_a_new_finding_fails_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    new: bool,
    code: int,
) -> None:
    """The whole command on prod's plan, with a checker that answers as checkov does."""
    failed = sorted(excepted(accepted(yaml.safe_load(EXCEPTIONS.read_text()), "prod")))
    answer = report(600, *failed, *([("CKV_NEW", "aws_vpc.network_vpc")] if new else []))
    answer["summary"].update(resource_count=1, checkov_version="0")
    checker = tmp_path / "checkov"
    checker.write_text(
        f"#!/bin/sh\ngrep -q network_vpc $2 && cat <<'END'\n{json.dumps(answer)}\nEND\n"
    )
    checker.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert main("prod", str(checker)) == code
    assert ("WRONG CKV_NEW on aws_vpc.network_vpc" in capsys.readouterr().out) is new
