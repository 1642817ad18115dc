"""IAM policies as values: statements that name who, what, on which, and when.

Written as JSON by hand, a policy's mistakes (a list where a string is meant, a wildcard that
slipped in) show when something is refused in production, or never. Here a statement without
resources or with a wildcard among its actions cannot be built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pulumi

Text: TypeAlias = pulumi.Input[str]
Condition: TypeAlias = Mapping[str, Mapping[str, Text | Sequence[Text]]]
Statement: TypeAlias = dict[str, object]

VERSION = "2012-10-17"


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Text],
    *,
    to: Mapping[str, Text | Sequence[Text]] | None = None,
    when: Condition | None = None,
) -> Statement:
    """A statement that allows; ``to`` names the principals where the policy is a resource's.

    Raises:
        ValueError: an action is a wildcard, or actions or resources are missing.
    """
    if wild := [action for action in actions if "*" in action]:
        raise ValueError(f"{sid}: list the actions instead of {', '.join(wild)}")
    return statement("Allow", sid, actions, resources, to=to, when=when)


def deny(
    sid: str, actions: Sequence[str], resources: Sequence[Text], *, when: Condition
) -> Statement:
    """A statement of a resource's policy that denies everyone under a condition."""
    return statement("Deny", sid, actions, resources, to={"AWS": "*"}, when=when)


def statement(
    effect: str,
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Text],
    *,
    to: Mapping[str, Text | Sequence[Text]] | None,
    when: Condition | None,
) -> Statement:
    """One statement, without the parts that it lacks."""
    if not actions or not resources:
        raise ValueError(f"{sid}: a statement names actions and resources")
    body: Statement = {
        "Sid": sid,
        "Effect": effect,
        "Action": list(actions),
        # AWS writes a single one bare; so does this, or a comparison would show a difference.
        "Resource": resources[0] if len(resources) == 1 else list(resources),
    }
    if to:
        body["Principal"] = dict(to)
    if when:
        body["Condition"] = {test: dict(values) for test, values in when.items()}
    return body


def document(*statements: Statement) -> pulumi.Output[str]:
    """The policy document, as JSON, once everything in it is known."""
    return pulumi.Output.json_dumps({"Version": VERSION, "Statement": list(statements)})


def trust(
    *services: str,
    actions: Sequence[str] = ("sts:AssumeRole",),
    when: Condition | None = None,
) -> pulumi.Output[str]:
    """A role's trust policy: which AWS services may take the role."""
    body: Statement = {
        "Sid": "Trust",
        "Effect": "Allow",
        "Action": list(actions),
        "Principal": {"Service": list(services)},
    }
    if when:
        body["Condition"] = {test: dict(values) for test, values in when.items()}
    return document(body)
