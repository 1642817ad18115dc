"""A deletion has ended when the resource is gone, also where it goes between two questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pocket.provider import machine, reading
from pocket.provider.aws import Aws, Settings
from pocket.provider.resource import Subject
from pocket.provider.types import TABLE

STREAM = TABLE["aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"]


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "-"}}, "DescribeDeliveryStream")


def looks(*answers: Any) -> Iterator[Any]:
    yield from answers


@pytest.fixture
def subject() -> Subject:
    return Subject(STREAM, Aws(Settings()), id="arn:aws:firehose:::deliverystream/events")


def test_what_goes_between_two_questions_is_asked_for_again(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = looks({"DeliveryStreamStatus": "DELETING"}, error("ResourceNotFoundException"), None)

    def there(asked: Subject) -> Any:
        answer = next(answers)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    monkeypatch.setattr(reading, "described", there)
    machine._await_gone(subject, timeout=5)
    assert next(answers, "none") == "none", "it looked once more, and no oftener"


def test_another_error_is_told(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def there(asked: Subject) -> Any:
        raise error("AccessDeniedException")

    monkeypatch.setattr(reading, "described", there)
    with pytest.raises(ClientError, match="AccessDenied"):
        machine._await_gone(subject, timeout=5)
