"""How every resource of one kind is listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How to find every resource of one kind, and its tags.

    Args:
        call: the listing operation, with `given` parameters.
        items: JMESPath to the resources in its answer; `id` and `arn` are JMESPaths in one of them
            (`@` where it is a plain string), or `arn` is a template with {id}, {account} and such.
        tags: JMESPath to the tags in the resource, unless `tags_call` asks for them: operation,
            parameter, value (`id` or `arn`) and JMESPath in the answer.
        alive: JMESPath that is false for what is only remembered (a terminated instance).
        given: the call's parameters; texts may name {account} and such.
        named: where AWS gives a kind no tags: how ours are called, as a pattern with {environment}.
        signs: how the ARNs of this kind begin after the account.
    """

    service: str
    kind: str
    call: str
    items: str
    id: str = "@"
    arn: str = ""
    tags: str = "Tags"
    tags_call: tuple[str, str, str, str] | None = None
    alive: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    named: str = ""
    signs: str = ""
