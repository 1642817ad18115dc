"""Names fit the narrowest service, policies refuse what they must."""

from __future__ import annotations

import pytest

from contracts.environment import Environment
from infra.naming import Names, common_tags
from infra.policies import allow

LONGEST = Names(environment="x" * 16, account="123456789012", region="ap-southeast-1")


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        (LONGEST.name("cache"), 40),
        (LONGEST.name("warehouse", "final"), 63),
        (LONGEST.name("cluster", "control-plane"), 64),
        (LONGEST.bucket("artifacts"), 63),
    ],
)
def test_names_fit(name: str, limit: int) -> None:
    assert len(name) <= limit


def test_partitions() -> None:
    names = Names(environment="dev", account="123456789012", region="us-gov-west-1")
    assert names.arn("iam", "root", regional=False) == "arn:aws-us-gov:iam::123456789012:root"
    assert names.managed_policy("X") == "arn:aws-us-gov:iam::aws:policy/X"


def test_common_tags_cannot_be_overridden() -> None:
    environment = Environment.parse(
        {
            "name": "dev",
            "tier": "dev",
            "account": "123456789012",
            "region": "eu-central-1",
            "tags": {"team": "ml"},
        }
    )
    assert common_tags(environment) == {
        "team": "ml",
        "millwright:environment": "dev",
        "millwright:tier": "dev",
    }


def test_a_wildcard_among_actions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Read: list the actions instead of s3:Get\*"):
        allow("Read", ["s3:Get*", "s3:ListBucket"], ["arn"])


@pytest.mark.parametrize(("actions", "resources"), [([], ["arn"]), (["s3:GetObject"], [])])
def test_an_empty_statement_is_refused(actions: list[str], resources: list[str]) -> None:
    with pytest.raises(ValueError, match="names actions and resources"):
        allow("Read", actions, resources)
