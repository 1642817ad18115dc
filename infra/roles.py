"""Roles that AWS services and pods take: who may take them, what they may do, and the boundary
above it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import iam

from infra.concern import AwsConcern
from infra.policies import Condition, Statement, document, trust


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role, and what gives it its rights: whoever uses the role waits for both."""

    role: iam.Role
    rights: list[pulumi.Resource]

    @property
    def arn(self) -> pulumi.Output[str]:
        """The role's ARN."""
        return self.role.arn

    @property
    def ready(self) -> list[pulumi.Resource]:
        """What to wait for."""
        return [self.role, *self.rights]


def own_account(concern: AwsConcern) -> Condition:
    """A service acts for this account only, whoever asks it to."""
    return {"StringEquals": {"aws:SourceAccount": concern.environment.account}}


def role(
    concern: AwsConcern,
    name: str,
    *,
    service: str,
    description: str,
    full_name: str,
    actions: Sequence[str] = ("sts:AssumeRole",),
    when: Condition | None = None,
    statements: Sequence[Statement] = (),
    managed: Sequence[str] = (),
) -> Role:
    """A role for a service.

    Args:
        concern: what the role belongs to.
        name: its name within the concern.
        service: the principal that takes it, such as ``ec2.amazonaws.com``.
        description: what it is for.
        full_name: its name in the account.
        actions: with which calls it is taken.
        when: under which condition it may be taken.
        statements: its own rights.
        managed: policies that AWS keeps, by name.
    """
    made = iam.Role(
        name,
        name=full_name,
        description=description,
        assume_role_policy=trust(service, actions=actions, when=when),
        permissions_boundary=concern.environment.identity.boundary,
        tags=concern.tags(full_name),
        opts=concern.child(),
    )
    part = pulumi.ResourceOptions(parent=made)
    rights: list[pulumi.Resource] = [
        iam.RolePolicyAttachment(
            f"{name}-{policy}",
            role=made.name,
            policy_arn=concern.names.managed_policy(policy),
            opts=part,
        )
        for policy in managed
    ]
    if statements:
        policy = document(*statements)
        rights.append(iam.RolePolicy(name, name=name, role=made.name, policy=policy, opts=part))
    return Role(role=made, rights=rights)
