"""What goes into the images: only what is imported, by hash, from the one lock of the project.

No image is built here: that takes Docker. What can be wrong without it is looked at: that what is
copied exists and is enough, and that the lists of packages are what `requirements.lock` says. They
are golden files: `UPDATE_GOLDEN=1` writes them after the lock or an import has changed.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from serving.rollout.seldon import PORT, USER

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "manifests" / "images"
STARTS = {"runtime": "serving.runtime.__main__", "operator": "serving.rollout.operator"}
"""Each image's module that is run."""
PLUGINS = {"runtime": {"uvloop", "httptools"}, "operator": set()}
"""Packages that another one imports by a setting's name."""
HEADER = "# Of requirements.lock, what this image needs: UPDATE_GOLDEN=1 pytest tests/unit/images\n"
Entry = tuple[str, set[str]]
"""A package's lines in the lock, and the packages that asked for it."""


def instructions(image: str) -> list[list[str]]:
    """The Dockerfile's instructions, each as its words."""
    text = (IMAGES / f"{image}.Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split() for line in lines]


def copied(image: str) -> dict[str, str]:
    """What is copied from the checkout, and where to."""
    rows = [row[1:] for row in instructions(image) if row[0] == "COPY"]
    return {row[0]: row[1] for row in rows if not row[0].startswith("--from")}


def source(module: str) -> Path | None:
    """The file of a module of ours."""
    path = ROOT / module.replace(".", "/")
    found = [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()]
    return found[0] if found else None


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, also within its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


@cache
def closure(start: str) -> tuple[frozenset[str], frozenset[str]]:
    """Our modules that one needs, and the other packages that they import."""
    ours: set[str] = set()
    others: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        path = source(module)
        if path is None or module in ours:
            continue
        ours.add(module)
        for name in imported(path):
            if source(name):
                parts = name.split(".")
                waiting += [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
            elif not source(name.rpartition(".")[0]):
                others.add(name.partition(".")[0])
    return frozenset(ours), frozenset(others - sys.stdlib_module_names)


@cache
def locked() -> dict[str, list[Entry]]:
    """The lock by package; one with a version for each Python has several entries."""
    found: dict[str, list[Entry]] = {}
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    for block in re.split(r"\n(?=\S)", text):
        if match := re.match(r"([A-Za-z0-9_.-]+)==", block):
            lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
            asked = set(re.findall(r"^    #(?: via)?\s+([\w.-]+)", block, re.MULTILINE)) - {"via"}
            found.setdefault(match[1], []).append(("\n".join(lines) + "\n", asked))
    return found


def packages(image: str) -> str:
    """The lines of the lock that an image needs: what it imports, and what that asks for."""
    named = packages_distributions()
    _, others = closure(STARTS[image])
    wanted = {named[one][0].lower().replace("_", "-") for one in others} | PLUGINS[image]
    while True:
        more = {
            name
            for name, entries in locked().items()
            if any(asked & wanted for _, asked in entries)
        }
        if more <= wanted:
            break
        wanted |= more
    return HEADER + "".join(lines for name in sorted(wanted) for lines, _ in locked()[name])


@pytest.mark.parametrize("image", STARTS)
def test_packages_are_those_that_are_imported_as_locked(image: str) -> None:
    path = IMAGES / f"{image}.txt"
    wanted = packages(image)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(wanted)
    assert path.read_text() == wanted
    pinned = re.findall(r"^([\w.-]+)==.*\\$", wanted, re.MULTILINE)
    assert len(pinned) < 60, "an image of one program, not of the project"
    assert wanted.count("--hash=sha256:") >= len(pinned)


@pytest.mark.parametrize("image", STARTS)
def test_what_is_copied_is_there_and_is_enough(image: str, tmp_path: Path) -> None:
    """The copied tree starts by itself, with nothing else of ours to be found."""
    for origin, target in copied(image).items():
        place = tmp_path / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / origin).is_dir() else shutil.copyfile
        copy(ROOT / origin, place)
    ours, _ = closure(STARTS[image])
    for module in ours:
        path = source(module)
        assert path is not None
        assert (tmp_path / path.relative_to(ROOT)).is_file(), module
    entry = next(row for row in instructions(image) if row[0] == "ENTRYPOINT")
    words = yaml.safe_load(" ".join(entry[1:]))
    done = subprocess.run(
        [sys.executable, *words[1:], "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_a_model_server_has_nothing_else_of_ours() -> None:
    ours, _ = closure(STARTS["runtime"])
    assert {one for one in ours if not one.startswith("serving.runtime")} == {
        "contracts",
        *(f"contracts.{name}" for name in ("artifact", "document", "errors", "version")),
        "serving",
        "serving.metrics",
    }


@pytest.mark.parametrize("image", STARTS)
def test_it_runs_as_nobody_that_matters_from_a_pinned_base(image: str) -> None:
    rows = instructions(image)
    assert [row[1] for row in rows if row[0] == "USER"] == [f"{USER}:{USER}"]
    (base,) = [row[1] for row in rows if row[0] == "ARG"]
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", base)
    assert {row[1] for row in rows if row[0] == "FROM"} == {"python:${PYTHON}"}
    (port,) = [row[1] for row in rows if row[0] == "EXPOSE"]
    assert int(port) == {"runtime": PORT, "operator": 8080}[image]


def test_the_build_sees_what_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    origins = {origin for image in STARTS for origin in copied(image)}
    for origin in origins:
        assert any(origin == one or origin.startswith(f"{one}/") for one in let_in), origin
    assert let_in == {"contracts", "serving", "manifests/images"}
