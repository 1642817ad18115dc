"""What goes into the images: only what is imported, by hash, from the one lock of the project.

No image is built here: that takes minutes (`make test-images`). What can be wrong without it is
looked at: that what is copied exists and is enough, and that the lists of packages are what
pyproject.toml and `requirements.lock` make them (`make generate` writes them).
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

from images import lists
from serving.rollout.pods import PORT, USER

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "manifests" / "images"
STARTS: dict[str, list[str]] = {
    "runtime": ["serving.runtime.__main__"],
    "operator": ["serving.rollout.operator.__main__"],
    "pipelines": sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "components").rglob("*.py")
        if path.name != "__init__.py"
    ),
}
"""Each image's modules that are run."""
OPTIONAL = {"lightgbm", "pyarrow"}
"""Imported when a model or a request names it, in an image whose list somebody added it to."""
PLUGINS: dict[str, set[str]] = {
    "runtime": {"uvloop", "httptools"},
    "operator": set(),
    "pipelines": set(),
}
"""Packages that another one imports by a setting's name."""
LIMITS = {"runtime": 60, "operator": 60, "pipelines": 120, "building": 2}
"""The list of an image is shorter than this."""


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
def reached(start: str) -> tuple[frozenset[str], frozenset[str]]:
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
def closure(image: str) -> tuple[frozenset[str], frozenset[str]]:
    """Our modules that an image runs, and the other packages that they import."""
    parts = [reached(start) for start in STARTS[image]]
    return (
        frozenset().union(*(ours for ours, _ in parts)),
        frozenset().union(*(others for _, others in parts)),
    )


def listed(image: str) -> list[str]:
    """The packages in an image's list; one whose version depends on the Python twice."""
    return re.findall(r"^([\w.-]+)==.*\\$", (IMAGES / f"{image}.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", [*STARTS, "building"])
def test_packages_are_those_of_the_extra_as_locked(name: str) -> None:
    text = (IMAGES / f"{name}.txt").read_text()
    assert text == lists.render(lists.Requirements(ROOT), name), "run `make generate`"
    assert len(listed(name)) < LIMITS[name], "an image of one program, not of the project"
    assert text.count("--hash=sha256:") >= len(listed(name))


def test_every_list_belongs_to_a_dockerfile() -> None:
    assert lists.lists(ROOT) == sorted(LIMITS)
    assert {path.stem for path in IMAGES.glob("*.txt")} == set(LIMITS)


@pytest.mark.parametrize("image", STARTS)
def test_what_is_imported_is_in_the_list(image: str) -> None:
    distributions = packages_distributions()
    _, others = closure(image)
    for package in others - OPTIONAL:
        names = {name.lower().replace("_", "-") for name in distributions[package]}
        assert names & set(listed(image)), f"{package} is imported: {names}"
    assert set(listed(image)) >= PLUGINS[image]


@pytest.mark.parametrize("image", STARTS)
def test_what_is_copied_is_there_and_is_enough(image: str, tmp_path: Path) -> None:
    """The copied tree starts by itself, with nothing else of ours to be found."""
    for origin, target in copied(image).items():
        place = tmp_path / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / origin).is_dir() else shutil.copyfile
        copy(ROOT / origin, place)
    ours, _ = closure(image)
    for module in ours:
        path = source(module)
        assert path is not None
        assert (tmp_path / path.relative_to(ROOT)).is_file(), module
    start = next(row for row in instructions(image) if row[0] in ("ENTRYPOINT", "CMD"))
    words = yaml.safe_load(" ".join(start[1:]))
    done = python(tmp_path, *words[1:], "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """This Python in a folder, with none of the tests' settings."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )


def test_a_model_server_has_nothing_else_of_ours() -> None:
    ours, _ = closure("runtime")
    assert {one for one in ours if not one.startswith("serving.runtime")} == {
        "contracts",
        *(
            f"contracts.{name}"
            for name in (
                "addresses",
                "artifact",
                "document",
                "errors",
                "predictor",
                "version",
                "yaml_files",
            )
        ),
        "serving",
        "serving.bodies",
        "serving.metrics",
        "serving.protocol",
    }


@pytest.mark.parametrize("image", STARTS)
def test_it_runs_as_nobody_that_matters_from_a_pinned_base(image: str) -> None:
    rows = instructions(image)
    assert [row[1] for row in rows if row[0] == "USER"] == [f"{USER}:{USER}"]
    (base,) = [row[1] for row in rows if row[0] == "ARG"]
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.\d+\.\d+-slim-\w+", base)
    assert {row[1] for row in rows if row[0] == "FROM"} == {"${BASE}"}
    ports = [int(row[1]) for row in rows if row[0] == "EXPOSE"]
    assert ports == {"runtime": [PORT], "operator": [8080], "pipelines": []}[image]


@pytest.mark.parametrize("image", STARTS)
def test_it_is_told_what_a_user_without_an_entry_cannot_know(image: str) -> None:
    rows = [row[1:] for row in instructions(image) if row[0] == "ENV"]
    variables = dict(pair.split("=", 1) for row in rows for pair in row)
    if "onnxruntime" in listed(image):
        assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    if image != "runtime":
        assert variables["USER"], "getpass.getuser() fails without it, and kopf and MLflow ask"


def test_the_build_sees_what_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    origins = {origin for image in STARTS for origin in copied(image)}
    for origin in origins:
        assert any(origin == one or origin.startswith(f"{one}/") for one in let_in), origin
    assert let_in == {"components", "contracts", "data", "serving", "manifests/images"}
