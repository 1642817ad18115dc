"""Rules that AWS enforces and botocore's models do not hold, as small functions that make them.

Each maker returns a rule: known inputs -> problems, each with a sentence. A property that is not
known yet is simply absent and refused by nobody.
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pocket.provider.resource import Rule
from pocket.provider.shapes import Problem, did_you_mean
from pocket.provider.values import UNKNOWN, Properties, has_unknown


def text(name: str, pattern: str, sentence: str) -> Rule:
    """The whole text matches a pattern; ``sentence`` says which form it must have."""
    compiled = re.compile(pattern)

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if isinstance(value, str) and not compiled.fullmatch(value):
            yield Problem(name, f'"{value}" is refused: {sentence}')

    return rule


def at_most(name: str, longest: int) -> Rule:
    """No more characters than a service takes."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if isinstance(value, str) and len(value) > longest:
            yield Problem(
                name, f'"{value}" has {len(value)} characters; at most {longest} are allowed'
            )

    return rule


def one_of(name: str, choices: Iterable[str]) -> Rule:
    """One of a set of words."""
    words = tuple(choices)

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if isinstance(value, str) and value not in words:
            yield Problem(
                name, f'"{value}" is not one of {", ".join(words)}{did_you_mean(value, words)}'
            )

    return rule


def number(name: str, low: int, high: int) -> Rule:
    """A number within a range."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if isinstance(value, int | float) and not low <= value <= high:
            yield Problem(name, f"{value} is outside {low} to {high}")

    return rule


def at_least_items(name: str, least: int, why: str) -> Rule:
    """A list with enough distinct members."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if (
            isinstance(value, list) and UNKNOWN not in value and len(set(map(str, value))) < least
        ) or (isinstance(value, list) and len(value) < least):
            yield Problem(name, f"has {len(value)} members; at least {least} are needed: {why}")

    return rule


def exactly_one(*names: str) -> Rule:
    """One property of several, and no two."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        given = [name for name in names if inputs.get(name) is not None]
        if len(given) > 1:
            yield Problem(
                given[1], f"only one of {', '.join(names)} may be given, not {' and '.join(given)}"
            )

    return rule


def needs(name: str, other: str, why: str) -> Rule:
    """A property that makes no sense without another."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        if inputs.get(name) and inputs.get(other) is None:
            yield Problem(other, f"{name} needs {other}: {why}")

    return rule


def json_document(name: str) -> Rule:
    """Well-formed JSON, an object."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        yield from (Problem(name, reason) for _, reason in [_parsed(inputs.get(name))] if reason)

    return rule


def _parsed(value: Any) -> tuple[Any, str]:
    if not isinstance(value, str) or UNKNOWN in value:
        return None, ""
    try:
        document = json.loads(value)
    except ValueError as error:
        return None, f"is not well-formed JSON: {error}"
    return (document, "") if isinstance(document, dict) else (None, "must be a JSON object")


def policy(name: str, *, trust: bool = False, resource: bool = False) -> Rule:
    """An IAM policy document.

    ``trust`` and ``resource`` policies name principals; a trust policy has no resource, and a
    policy of an identity has no principal.
    """

    def rule(inputs: Properties) -> Iterator[Problem]:
        document, reason = _parsed(inputs.get(name))
        if reason:
            yield Problem(name, reason)
        elif document is not None:
            for sentence in _policy_problems(document, trust=trust, principals=trust or resource):
                yield Problem(name, sentence)

    return rule


_POLICY_KEYS = ("Version", "Id", "Statement")
_STATEMENT_KEYS = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
]


def _policy_problems(document: dict[str, Any], *, trust: bool, principals: bool) -> Iterator[str]:
    for key in document:
        if key not in _POLICY_KEYS:
            yield f"a policy has no element {key}{did_you_mean(key, _POLICY_KEYS)}"
    if document.get("Version") not in (None, "2012-10-17", "2008-10-17"):
        yield f'Version "{document["Version"]}" is not 2012-10-17 or 2008-10-17'
    statements = document.get("Statement")
    if not statements:
        yield "a policy needs at least one Statement"
        return
    for index, statement in enumerate(statements if isinstance(statements, list) else [statements]):
        for sentence in _statement_problems(statement, trust=trust, principals=principals):
            yield f"Statement[{index}]: {sentence}"


def _statement_problems(statement: Any, *, trust: bool, principals: bool) -> Iterator[str]:
    if not isinstance(statement, dict):
        yield "is not an object"
        return
    for key in statement:
        if key not in _STATEMENT_KEYS:
            yield f"a statement has no element {key}{did_you_mean(key, _STATEMENT_KEYS)}"
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield f"Effect must be Allow or Deny, not {statement.get('Effect')!r}"
    if not {"Action", "NotAction"} & set(statement):
        yield "needs Action or NotAction"
    has_principal = bool({"Principal", "NotPrincipal"} & set(statement))
    if principals and not has_principal:
        yield "needs a Principal"
    if not principals and has_principal:
        yield "a policy of an identity names no Principal"
    has_resource = bool({"Resource", "NotResource"} & set(statement))
    if trust and has_resource:
        yield "a trust policy names no Resource"
    if not trust and not has_resource:
        yield "needs Resource or NotResource"


def cidr(name: str, shortest: int = 0, longest: int = 32) -> Rule:
    """An IPv4 block whose address is its network's, with a prefix within the service's limits."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if not isinstance(value, str):
            return
        try:
            block = ipaddress.IPv4Network(value, strict=True)
        except ValueError as error:
            yield Problem(name, f'"{value}" is not a CIDR block: {error}')
            return
        if not shortest <= block.prefixlen <= longest:
            yield Problem(
                name, f'"{value}" is refused: the block size must be /{shortest} to /{longest}'
            )

    return rule


def password(name: str, shortest: int = 8, longest: int = 64) -> Rule:
    """Upper and lower case letters and a digit, and no character that databases refuse."""

    def rule(inputs: Properties) -> Iterator[Problem]:
        value = inputs.get(name)
        if not isinstance(value, str) or has_unknown(value):
            return
        lacking = [
            words
            for pattern, words in (
                (r"[A-Z]", "an upper-case letter"),
                (r"[a-z]", "a lower-case letter"),
                (r"[0-9]", "a digit"),
            )
            if not re.search(pattern, value)
        ]
        if not shortest <= len(value) <= longest:
            lacking.append(f"{shortest} to {longest} characters")
        if lacking:
            yield Problem(name, f"the password needs {', '.join(lacking)}")
        if re.search(r"[/@\"' \\]|[^\x20-\x7e]", value):
            yield Problem(name, "the password must not hold / @ \" ' \\ or a space")

    return rule
