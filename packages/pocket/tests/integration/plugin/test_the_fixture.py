"""The fixture `pocket`: programs come up, real clients see them, and nothing outlives a test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from pocket.engine import Op
from pocket.errors import DeploymentError
from pocket.testing import LeftoverError, Pocket

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a program, and give its folder."""

    def program(text: str) -> Path:
        (tmp_path / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
        (tmp_path / "__main__.py").write_text(
            f"import pulumi\nimport pulumi_aws as aws\nconfig = pulumi.Config()\n{text}\n"
        )
        return tmp_path

    return program


BUCKET = 'b = aws.s3.Bucket("rows", force_destroy=True); pulumi.export("bucket", b.bucket)'


def buckets(pocket: Pocket) -> list[str]:
    return [each["Name"] for each in pocket.client("s3").list_buckets()["Buckets"]]


def test_what_a_program_makes_is_there_and_goes(pocket: Pocket, write: Write) -> None:
    stack = pocket.up(write(BUCKET))
    assert buckets(pocket) == [stack.outputs["bucket"]]
    assert stack.resource("aws:s3/bucket:Bucket", "rows").id == stack.outputs["bucket"]
    pocket.client("s3").put_object(Bucket=stack.outputs["bucket"], Key="k", Body=b"1")
    stack.destroy()
    assert buckets(pocket) == []
    assert pocket.cloud.census() == []


def test_a_plan_makes_nothing(pocket: Pocket, write: Write) -> None:
    plan = pocket.stack(write(BUCKET)).preview()
    assert plan.counts[Op.CREATE] >= 1
    assert buckets(pocket) == []


def test_settings_of_any_kind_reach_the_program(pocket: Pocket, write: Write) -> None:
    text = 'pulumi.export("all", [config.require("a"), config.require_int("b"), '
    text += 'config.require_bool("c"), config.require_object("d")])'
    stack = pocket.up(write(text), config={"a": "x", "demo:b": 2, "c": True, "d": {"e": [1]}})
    assert stack.outputs["all"] == ["x", 2, True, {"e": [1]}]
    stack.up(config={"b": 3})
    assert stack.outputs["all"] == ["x", 3, True, {"e": [1]}]


def test_drift_shows(pocket: Pocket, write: Write) -> None:
    stack = pocket.up(write(BUCKET))
    pocket.client("s3").delete_bucket(Bucket=stack.outputs["bucket"])
    assert [step.op for step in stack.refresh().changes] == [Op.DELETE]


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_account(pocket: Pocket, turn: int) -> None:
    assert pocket.cloud.census() == []
    pocket.client("s3").create_bucket(Bucket="left-by-a-test")
    pocket.client("sqs").create_queue(QueueName="left-by-a-test")
    pocket.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")
    assert len(pocket.cloud.census()) >= 3


def test_what_is_left_is_named(pocket: Pocket, write: Write) -> None:
    kept = "pulumi.ResourceOptions(retain_on_delete=True)"
    stack = pocket.up(write(f'aws.s3.Bucket("kept", bucket="kept-here", opts={kept})'))
    with pytest.raises(LeftoverError, match="s3/aws/buckets/kept-here"):
        stack.destroy()
    pocket.client("s3").delete_bucket(Bucket="kept-here")
    stack.destroy()


def test_what_a_test_made_itself_is_not_the_stacks(pocket: Pocket, write: Write) -> None:
    stack = pocket.up(write(BUCKET))
    pocket.client("s3").create_bucket(Bucket="of-the-test")
    stack.destroy()
    assert buckets(pocket) == ["of-the-test"]


def test_a_half_made_stack_is_taken_down_as_well(pocket: Pocket, write: Write) -> None:
    text = f'{BUCKET}; aws.s3.BucketPolicy("p", bucket=b.id, policy="no policy")'
    with pytest.raises(DeploymentError):
        pocket.up(write(text))
    pocket.close()
    assert pocket.cloud.census() == []


def test_several_stacks_and_a_failure_that_hides_no_other(pocket: Pocket, write: Write) -> None:
    kept = "pulumi.ResourceOptions(retain_on_delete=True)"
    program = write(f'{BUCKET}\nif config.get("keep"): aws.sns.Topic("t", opts={kept})')
    first, second = pocket.up(program), pocket.up(program, name="second")
    assert len(buckets(pocket)) == 2
    assert first.outputs != second.outputs
    pocket.close()
    assert buckets(pocket) == []


def test_aws_fails_as_it_is_told_to(pocket: Pocket, write: Write) -> None:
    pocket.faults({"kind": "server_error", "service": "s3", "operation": "CreateBucket"})
    with pytest.raises(ClientError, match="InternalError"):
        pocket.session().client(
            "s3", config=boto3.session.Config(retries={"max_attempts": 0})
        ).create_bucket(Bucket="never")
    pocket.faults()
    pocket.client("s3").create_bucket(Bucket="now")


def test_no_client_can_reach_an_account(pocket: Pocket) -> None:
    assert pocket.url.startswith("http://127.0.0.1:")
    for client in (pocket.client("sts"), boto3.client("sts"), boto3.Session().client("sts")):
        assert client.meta.endpoint_url == pocket.url
        assert client.get_caller_identity()["Account"] == "123456789012"
    assert "AWS_PROFILE" not in os.environ
    assert os.environ["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


def test_a_kind_of_resource_that_is_not_there_is_refused_by_name(
    pocket: Pocket, write: Write
) -> None:
    with pytest.raises(DeploymentError, match="aws:sqs/queue:Queue"):
        pocket.up(write('aws.sqs.Queue("q")'))
