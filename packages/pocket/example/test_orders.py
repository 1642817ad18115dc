"""The program is brought up for real, and asked by the clients that its users use."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent


def test_an_order_is_kept_and_found(pocket):
    stack = pocket.up(PROGRAM)
    table = pocket.session().resource("dynamodb").Table(stack.outputs["table"])
    table.put_item(Item={"customer": "ada", "number": 1, "total": 7})
    assert table.get_item(Key={"customer": "ada", "number": 1})["Item"]["total"] == 7


def test_receipts_expire_as_configured(pocket):
    stack = pocket.up(PROGRAM, config={"days_kept": 90})
    rules = pocket.client("s3").get_bucket_lifecycle_configuration(Bucket=stack.outputs["bucket"])
    assert rules["Rules"][0]["Expiration"]["Days"] == 90
    assert not stack.up().changed
    stack.up(config={"days_kept": 7})
    rules = pocket.client("s3").get_bucket_lifecycle_configuration(Bucket=stack.outputs["bucket"])
    assert rules["Rules"][0]["Expiration"]["Days"] == 7


def test_a_table_that_somebody_deleted_is_found_out_and_made_again(pocket):
    stack = pocket.up(PROGRAM)
    pocket.client("dynamodb").delete_table(TableName=stack.outputs["table"])
    assert [str(step.op) for step in stack.refresh().changes] == ["delete"]
    stack.up()
    assert stack.resource("aws:dynamodb/table:Table").outputs["name"] == stack.outputs["table"]


def test_a_day_on_which_aws_fails_leaves_nothing_behind(pocket):
    pocket.faults({"kind": "server_error", "service": "dynamodb", "operation": "CreateTable"})
    stack = pocket.stack(PROGRAM)
    with pytest.raises(Exception, match="internal error"):
        stack.up()
    pocket.faults()
    assert stack.up().changed
