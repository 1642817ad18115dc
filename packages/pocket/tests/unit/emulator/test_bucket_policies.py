"""Conditions of bucket policies, evaluated as AWS does."""

from __future__ import annotations

import pytest

from pocket.emulator.s3.bucket_policies import LOOPBACK, effect

KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"


def policy(condition: dict[str, object], **changes: object) -> dict[str, object]:
    statement = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
        "Condition": condition,
    }
    return {"Statement": [statement | changes]}


OTHER_KEY = {"Null": {KEY: "false"}, "StringNotEquals": {KEY: "mine"}}


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, None),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "false"}, "Deny"),
        ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, {}, None),
        ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, {"s3:tlsversion": "1.1"}, "Deny"),
        (OTHER_KEY, {}, None),
        (OTHER_KEY, {KEY: "mine"}, None),
        (OTHER_KEY, {KEY: "another"}, "Deny"),
        ({"StringNotEquals": {KEY: "mine"}}, {}, "Deny"),
        ({"StringNotEqualsIfExists": {KEY: "mine"}}, {}, "Deny"),
        ({"StringEqualsIfExists": {KEY: "mine"}}, {}, "Deny"),
        ({"StringLike": {"s3:prefix": ["a*", "b*"]}}, {"s3:prefix": "bc"}, "Deny"),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01"}}, {}, None),
        ({}, {}, "Deny"),
    ],
)
def test_a_denial_applies_when_its_conditions_are_met(
    condition: dict[str, object], values: dict[str, str], expected: str | None
) -> None:
    found = effect(policy(condition), "s3:PutObject", "arn:aws:s3:::b/k", {**LOOPBACK, **values})
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Action": ["s3:GetObject"]}, None),
        ({"NotAction": ["s3:GetObject"]}, "Deny"),
        ({"Resource": "arn:aws:s3:::other/*"}, None),
        ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, None),
        ({"Principal": "*", "Effect": "Allow"}, "Allow"),
    ],
)
def test_a_statement_is_about_an_action_a_resource_and_a_caller(
    changes: dict[str, object], expected: str | None
) -> None:
    given = policy({}, **changes)
    assert effect(given, "s3:PutObject", "arn:aws:s3:::b/k", LOOPBACK) == expected
