"""URNs: how the engine names resources, and what Pulumi's aliases say they were named before.

``urn:pulumi:<stack>::<project>::<parent types$type>::<name>`` is a resource's identity from one run
to the next, so every rule here (which types join into the qualified type, which name a child of a
renamed parent had) must be Pulumi's own: one deviation replaces somebody's database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ROOT_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


@dataclass(frozen=True)
class Urn:
    """The parts of a URN."""

    stack: str
    project: str
    qualified_type: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Urn:
        stack, project, qualified, name = text.removeprefix("urn:pulumi:").split("::", 3)
        return cls(stack, project, qualified, name)

    @property
    def type(self) -> str:
        return self.qualified_type.rsplit("$", 1)[-1]

    def __str__(self) -> str:
        return f"urn:pulumi:{self.stack}::{self.project}::{self.qualified_type}::{self.name}"


def make(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """The URN of a resource under a parent (a URN, or empty)."""
    return str(Urn(stack, project, qualify(parent, kind), name))


def qualify(parent: str, kind: str) -> str:
    """The type with its parents' types in front; the stack itself is never among them."""
    above = Urn.parse(parent).qualified_type if parent else ROOT_TYPE
    return kind if above == ROOT_TYPE else f"{above}${kind}"


def name_of(urn: str) -> str:
    return Urn.parse(urn).name


def type_of(urn: str) -> str:
    return Urn.parse(urn).type


def is_provider(kind: str) -> bool:
    return kind.startswith(PROVIDER_PREFIX)


def package_of(kind: str) -> str:
    """``aws`` of ``aws:s3/bucket:Bucket`` and of ``pulumi:providers:aws``."""
    return kind.removeprefix(PROVIDER_PREFIX) if is_provider(kind) else kind.split(":", 1)[0]


def default_provider(version: str, url: str) -> str:
    """The name of a package's default provider, by the version and the place it is asked for from.

    Two plugins of one package are two providers; their names are Pulumi's, or a state that has been
    with the CLI would replace them.
    """
    name = "default" + (f"_{re.sub(r'[.+-]', '_', version)}" if version else "")
    if not url:
        return name
    segments = [re.sub(r"[^A-Za-z0-9_.-]", "_", one) for one in url.split("/") if one]
    return f"{name}_{'/'.join(segments) or '_'}"


def split_reference(reference: str) -> tuple[str, str]:
    """A provider reference (``<urn>::<id>``) as URN and id."""
    urn, _, identity = reference.rpartition("::")
    return urn, identity


@dataclass(frozen=True)
class Alias:
    """A former identity as a program gives it: a URN, or the parts of it that differ from
    today's."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


def former_urns(
    urn: str, parent: str, aliases: Iterable[Alias], renamed: Mapping[str, str]
) -> list[str]:
    """The URNs a resource may have in the old state.

    Args:
        urn: what it is called now.
        parent: its parent's URN now, or empty.
        aliases: what the program says it was.
        renamed: URNs of this run to those the same resources had before, for parents that were
        found by an alias.
    """
    aliases = tuple(aliases)
    found = [collapse(urn, parent, alias, renamed) for alias in aliases]
    if former := renamed.get(parent):
        now = Urn.parse(urn)
        found.append(inherited(now.type, now.name, parent, former))
        for alias in aliases:
            then = Urn.parse(collapse(urn, parent, alias, renamed))
            found.append(inherited(then.type, then.name, parent, former))
    return list(dict.fromkeys(found))


def collapse(urn: str, parent: str, alias: Alias, renamed: Mapping[str, str]) -> str:
    """One alias as a URN, with today's parts where it names none."""
    if alias.urn:
        return alias.urn
    now = Urn.parse(urn)
    above = renamed.get(alias.parent, alias.parent) if alias.parent else parent
    return make(
        alias.stack or now.stack,
        alias.project or now.project,
        "" if alias.no_parent else above,
        alias.type or now.type,
        alias.name or now.name,
    )


def inherited(kind: str, name: str, parent: str, former_parent: str) -> str:
    """What a child was called under its parent's former name.

    By convention a child's name begins with its parent's; then it was renamed with it.
    """
    now, then = Urn.parse(parent), Urn.parse(former_parent)
    if name.startswith(now.name):
        name = then.name + name.removeprefix(now.name)
    return make(then.stack, then.project, former_parent, kind, name)
