"""What of an environment still exists, asked of AWS itself.

`destroy` must prove that nothing is left, and a state file cannot prove that: it knows what was
made, not what is. So this asks the Resource Groups Tagging API for everything with the
environment's tag and, since that API neither knows every service nor forgets at once what was
deleted, every service for itself. Only AWS's own calls are used, so the same proof holds on the
laptop, on LocalStack and on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from account.inventory.asking import ENVIRONMENT_TAG, Leftover, Seen, Survey, without_defaults
from account.inventory.listings import LISTINGS

__all__ = ["CLUSTER_TAGS", "ENVIRONMENT_TAG", "Leftover", "Seen", "inventory", "kinds", "survey"]

CLUSTER_TAGS = (
    *("elbv2.k8s.aws/cluster", "KubernetesCluster", "cluster.k8s.amazonaws.com/name"),
    *("karpenter.k8s.aws/cluster", "eks:cluster-name", "aws:eks:cluster-name"),
)
"""Tags by which controllers and EKS say for which cluster they made something."""


def kinds() -> frozenset[tuple[str, str]]:
    """Service and kind of everything that is looked for."""
    return frozenset((listing.service, listing.kind) for listing in LISTINGS)


def inventory(session: Any, environment: str | None) -> list[Leftover]:
    """Everything that exists with the tag `millwright:environment=<environment>`.

    With None instead of a name: everything in the account that is not there from the beginning.

    Args:
        session: a boto3 session whose environment says where the APIs are (AWS_ENDPOINT_URL).
        environment: the environment's name.

    Raises:
        InfrastructureError: a service could not be asked, so nothing is proven.
    """
    if environment is not None:
        return sorted(
            one.leftover
            for one in survey(session, {ENVIRONMENT_TAG: environment})
            if one.tags.get(ENVIRONMENT_TAG) == environment
        )
    with Survey(session, kinds()) as asking:
        present = without_defaults(asking.listed())
        known = {leftover.arn for leftover in present}
        tagged = asking.tagged({ENVIRONMENT_TAG: ""})
    return sorted({*present, *(one.leftover for one in tagged if one.leftover.arn not in known)})


def survey(
    session: Any,
    tags: Mapping[str, str] | None = None,
    only: frozenset[tuple[str, str]] | None = None,
) -> list[Seen]:
    """Everything in the account with its tags, of some kinds or of all.

    What cannot have tags is shown with the environment's tag where its name says whose it is.

    Args:
        session: as of `inventory`.
        tags: what the Tagging API is asked for beside: the value of a tag, or "" for any; each by
            itself. Without, it is not asked.
        only: service and kind of what is looked for; all of `kinds()` by default.

    Raises:
        InfrastructureError: a service could not be asked.
    """
    environment = (tags or {}).get(ENVIRONMENT_TAG, "")
    with Survey(session, only or kinds()) as asking:
        seen = asking.tagged_by_service(asking.listed(), environment)
        known = {one.leftover.arn for one in seen}
        others = asking.tagged(tags or {})
    return [*seen, *(one for one in others if one.leftover.arn not in known)]
