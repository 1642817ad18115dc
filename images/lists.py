"""The packages of each image, from the one lock of the project: ``python -m images.lists``.

An image holds what the extra of its name in pyproject.toml asks for, and what that asks for in
turn, each at the version and with the hashes of `requirements.lock`. The lock says which package
was asked for by which, but not by which of its extras; so the packages' own metadata is followed,
with the markers of every Python and processor that an image may be built for.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contracts.errors import ImageError

CHECKOUT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = Path("manifests/images")
HEADER: Final = (
    "# Of requirements.lock, what pyproject.toml's {extra} needs. Written by `make generate`.\n"
)
PYTHONS: Final = ("3.11", "3.12", "3.13")
PROCESSORS: Final = ("x86_64", "aarch64")


Environment = Mapping[str, str]
"""What markers are compared with, by their names."""


def target(python: str, patch: int, processor: str) -> Environment:
    """CPython on Linux."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.{patch}",
        "os_name": "posix",
        "platform_machine": processor,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.{patch}",
        "python_version": python,
        "sys_platform": "linux",
    }


# A marker may draw a line between two patch releases of a Python: the first and a late one.
TARGETS: Final = tuple(target(*chosen) for chosen in product(PYTHONS, (0, 99), PROCESSORS))


@dataclass(frozen=True)
class Entry:
    """One version of a package in the lock."""

    name: str
    text: str
    """Its lines: version, marker and hashes, without the comments."""
    marker: Marker | None
    askers: frozenset[str]
    """The packages that asked for it."""

    def holds(self, environment: Environment) -> bool:
        """Whether this version is the one there."""
        return self.marker is None or self.marker.evaluate(dict(environment))


def read_lock(text: str) -> dict[str, list[Entry]]:
    """The lock by package; one whose version depends on the Python has several entries."""
    entries: dict[str, list[Entry]] = {}
    for block in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        if not (head := re.match(r"([\w.-]+)==\S+(?: ; (.+?))? \\\n", block)):
            continue
        lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
        askers = set(re.findall(r"^    #(?: via)?\s+([\w.-]+)", block, re.MULTILINE)) - {"via"}
        entry = Entry(
            name=canonicalize_name(head[1]),
            text="\n".join(lines) + "\n",
            marker=Marker(head[2]) if head[2] else None,
            askers=frozenset(canonicalize_name(asker) for asker in askers),
        )
        entries.setdefault(entry.name, []).append(entry)
    return entries


@dataclass(frozen=True)
class Requirements:
    """What pyproject.toml asks for, and what the lock answers."""

    root: Path
    asked: Mapping[str, Iterable[str]] = field(default_factory=dict)
    """Requirements by package, in place of the metadata of what is installed: for tests."""

    @cached_property
    def lock(self) -> dict[str, list[Entry]]:
        """The lock by package."""
        return read_lock((self.root / "requirements.lock").read_text(encoding="utf-8"))

    @cached_property
    def extras(self) -> dict[str, list[str]]:
        """pyproject.toml's requirements by extra; those of all are at ""."""
        text = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)["project"]
        return {"": table["dependencies"], **table["optional-dependencies"]}

    def roots(self, extra: str) -> list[Requirement]:
        """What an extra asks for; where an image runs it, with what every part of ours needs.

        Raises:
            ImageError: there is no such extra.
        """
        if extra not in self.extras:
            raise ImageError(
                f"there is no extra {extra}",
                where="pyproject.toml: project.optional-dependencies",
                fix="Add one with what the image of that name runs.",
            )
        runs = (self.root / FOLDER / f"{extra}.Dockerfile").is_file()
        texts = [*(self.extras[""] if runs else ()), *self.extras[extra]]
        return [Requirement(text) for text in texts]

    def asked_by(self, name: str) -> list[Requirement]:
        """What a package asks for, by the metadata of its installed version.

        A version for another Python is not installed here: then what the lock says of it, which has
        no extras and so may be too much, never too little.
        """
        if name in self.asked:
            return [Requirement(text) for text in self.asked[name]]
        try:
            return [Requirement(text) for text in distribution(name).requires or ()]
        except PackageNotFoundError:
            return [
                Requirement(other)
                for other, entries in self.lock.items()
                if any(name in entry.askers for entry in entries)
            ]

    def closure(self, extra: str, environment: Environment) -> set[str]:
        """Every package that an extra needs on one kind of machine.

        Raises:
            ImageError: the lock lacks one of them.
        """
        waiting = [(requirement, frozenset({""})) for requirement in self.roots(extra)]
        seen: set[tuple[str, str]] = set()
        while waiting:
            requirement, extras = waiting.pop()
            if not applies(requirement.marker, environment, extras):
                continue
            name = canonicalize_name(requirement.name)
            if not any(entry.holds(environment) for entry in self.lock.get(name, ())):
                raise ImageError(
                    f"{name} is needed by the extra {extra} and is not in the lock",
                    where="requirements.lock",
                    fix="Run `make lock`, then `make generate`.",
                )
            new = {(name, chosen) for chosen in ("", *requirement.extras)} - seen
            seen |= new
            if new:
                wanted = frozenset(chosen for _, chosen in new)
                waiting += [(asked, wanted) for asked in self.asked_by(name)]
        return {name for name, _ in seen}


def applies(marker: Marker | None, environment: Environment, extras: Iterable[str]) -> bool:
    """Whether a requirement counts there, for a package that is wanted with these extras."""
    if marker is None:
        return True
    return any(marker.evaluate({**environment, "extra": extra}) for extra in extras)


def render(requirements: Requirements, extra: str) -> str:
    """The list of an extra, as `pip install --require-hashes` takes it.

    Raises:
        ImageError: there is no extra of that name, or the lock lacks a package.
    """
    needed = [(environment, requirements.closure(extra, environment)) for environment in TARGETS]
    lines = [
        entry.text
        for name in sorted(set().union(*(names for _, names in needed)))
        for entry in requirements.lock[name]
        if any(name in names and entry.holds(environment) for environment, names in needed)
    ]
    return HEADER.format(extra=extra) + "".join(lines)


def lists(root: Path) -> list[str]:
    """The lists that Dockerfiles install from, by the extras' names."""
    texts = [path.read_text(encoding="utf-8") for path in (root / FOLDER).glob("*.Dockerfile")]
    copied = re.compile(rf"^COPY {FOLDER}/([\w-]+)\.txt ", re.MULTILINE)
    return sorted({name for text in texts for name in copied.findall(text)})


def main() -> int:
    """Write every list."""
    requirements = Requirements(CHECKOUT)
    for name in lists(CHECKOUT):
        (CHECKOUT / FOLDER / f"{name}.txt").write_text(render(requirements, name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
