"""Bucket policies mean what they say: their conditions are evaluated.

moto takes every statement whose condition it cannot check for a denial, so that a bucket with the
usual "deny what does not come by TLS" denies everything. Here a statement applies exactly when
AWS would apply it. The channel counts as TLS 1.3: what a TLS-only policy guards against is a
listener on the way, and on the loopback interface there is no way.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_ope
rators.html
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace

LOOPBACK = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
log = structlog.get_logger()

Test = Callable[[str, str], bool]
TESTS: dict[str, Test] = {
    "StringEquals": lambda have, want: have == want,
    "StringEqualsIgnoreCase": lambda have, want: have.lower() == want.lower(),
    "StringLike": fnmatch.fnmatchcase,
    "ArnEquals": fnmatch.fnmatchcase,
    "ArnLike": fnmatch.fnmatchcase,
    "Bool": lambda have, want: have.lower() == want.lower(),
    "NumericEquals": lambda have, want: float(have) == float(want),
    "NumericLessThan": lambda have, want: float(have) < float(want),
    "NumericLessThanEquals": lambda have, want: float(have) <= float(want),
    "NumericGreaterThan": lambda have, want: float(have) > float(want),
    "NumericGreaterThanEquals": lambda have, want: float(have) >= float(want),
}
"""Each operator on one value of the request and one of the policy; any of the policy's may match.
"""
NEGATIONS = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def effect(
    policy: Mapping[str, Any], action: str, resource: str, values: Mapping[str, str]
) -> str | None:
    """``Deny``, ``Allow``, or None where no statement is about this request.

    Args:
        policy: the bucket policy.
        action: such as ``s3:GetObject``.
        resource: the object's or the bucket's ARN.
        values: condition keys in lower case, with what the request has.
    """
    found = {
        statement["Effect"]
        for statement in as_list(policy.get("Statement", []))
        if names_the_account(statement)
        and matches(statement, "Action", action)
        and matches(statement, "Resource", resource)
        and holds(statement.get("Condition", {}), values)
    }
    return "Deny" if "Deny" in found else next(iter(found), None)


def names_the_account(statement: Mapping[str, Any]) -> bool:
    """Whether the principal may be a caller of this account; a service never calls here."""
    principal = statement.get("Principal", "*")
    return principal == "*" or (isinstance(principal, dict) and "AWS" in principal)


def matches(statement: Mapping[str, Any], element: str, value: str) -> bool:
    """Whether an action or a resource is one of the statement's."""
    if f"Not{element}" in statement:
        return not any(
            fnmatch.fnmatchcase(value, one) for one in as_list(statement[f"Not{element}"])
        )
    return any(fnmatch.fnmatchcase(value, one) for one in as_list(statement.get(element, [])))


def holds(condition: Mapping[str, Mapping[str, Any]], values: Mapping[str, str]) -> bool:
    """Whether all of a statement's conditions are met."""
    return all(
        met(operator, values.get(key.lower()), [str(one) for one in as_list(wanted)])
        for operator, tests in condition.items()
        for key, wanted in tests.items()
    )


def met(operator: str, have: str | None, wanted: list[str]) -> bool:
    """One condition on one key.

    A key that the request lacks fails every test, and so meets every negated one.
    """
    name = operator.removesuffix("IfExists")
    if name == "Null":
        return (have is None) == (wanted[0].lower() == "true")
    if have is None and name != operator:
        return True
    test = TESTS.get(NEGATIONS.get(name, name))
    if test is None:
        log.warning(
            "condition operator is not known; the statement is passed over", operator=operator
        )
        return False
    found = have is not None and any(test(have, want) for want in wanted)
    return not found if name in NEGATIONS else found


def as_list(value: Any) -> list[Any]:
    """IAM writes a list of one without the list."""
    return value if isinstance(value, list) else [value]


def request_values() -> dict[str, str]:
    """The condition keys of the request that is being answered."""
    from flask import has_request_context, request

    headers = dict(request.headers) if has_request_context() else {}
    own = {f"s3:{name.lower()}": value for name, value in headers.items()}
    return {**own, **LOOPBACK}


def install(context: Context) -> None:
    """Replace moto's evaluation of bucket policies."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    results = {"Deny": PermissionResult.DENIED, "Allow": PermissionResult.PERMITTED}

    @replace(FakeBucket, "get_permission")
    def get_permission(original: Any, bucket: Any, action: str, resource: str) -> Any:
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        found = effect(json.loads(bucket.policy), action, resource, request_values())
        return results.get(found or "", PermissionResult.NEUTRAL)
