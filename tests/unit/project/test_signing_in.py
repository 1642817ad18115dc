"""The token by which EKS knows a caller: a signed request, made anew in time."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from project.cluster import PREFIX, RENEWED_AFTER, renewing, token


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return boto3.Session(
        aws_access_key_id="AKIATEST", aws_secret_access_key="secret", region_name="us-east-1"
    )


def test_a_token_is_a_request_signed_for_one_cluster(session: boto3.Session) -> None:
    made = token(session, "eu-central-1", "millwright-dev-cluster")
    text = made.removeprefix(PREFIX)
    assert text != made
    assert "=" not in text, "padding is not taken"
    url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc) == ("https", "sts.eu-central-1.amazonaws.com")
    assert asked["Action"] == "GetCallerIdentity"
    assert asked["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert asked["X-Amz-Expires"] == "60"
    assert asked["X-Amz-Credential"].startswith("AKIATEST/")
    assert "secret" not in url.query
    other = token(session, "eu-central-1", "another-cluster")
    assert other != made, "the cluster's name is signed"


def test_a_long_command_gets_a_new_token_before_the_old_one_ends() -> None:
    now, made = [0.0], iter(range(9))
    renew = renewing(lambda: f"token {next(made)}", clock=lambda: now[0])
    configuration = SimpleNamespace(api_key={})

    def used() -> str:
        renew(configuration)
        return str(configuration.api_key["authorization"])

    assert used() == used() == "Bearer token 0"
    now[0] = RENEWED_AFTER
    assert used() == "Bearer token 0"
    now[0] = RENEWED_AFTER + 1
    assert used() == used() == "Bearer token 1"
    assert RENEWED_AFTER < 15 * 60, "EKS takes a token for fifteen minutes"
