"""Pushing: a real tool, a real registry, and the emulator's ECR for sign-in and repositories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts.errors import ImageError
from contracts.images import PushedImages
from images.lists import CHECKOUT
from images.publish import BuiltImage, Publisher, record, standing
from images.recipe import Recipe, read_recipe
from images.registry import Registry
from images.tools import Credentials, Tool
from pocket import emulator
from tests.images import registries
from tests.images.registries import LocalRegistry
from tests.unit.project.test_where_outputs_come_from import values

REPOSITORY = "millwright/dev/runtime"
DOCKERFILE = """ARG BASE=scratch
FROM ${BASE}
COPY content content
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that send AWS clients to the emulator."""
    root = tmp_path_factory.mktemp("cloud")
    endpoints = emulator.start(root, region="eu-central-1")
    with pytest.MonkeyPatch.context() as patch:
        variables = emulator.environment(endpoints)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables
    emulator.stop(root)


@pytest.fixture(scope="module")
def ecr(cloud: dict[str, str]) -> Any:
    """ECR with the repository of an image whose tags never change."""
    client = boto3.client("ecr")
    client.create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
    return client


@pytest.fixture(scope="module")
def local_registry(tmp_path_factory: pytest.TempPathFactory, ecr: Any) -> Iterator[LocalRegistry]:
    """The registry, which the tools reach without TLS."""
    if lacking := registries.missing():
        pytest.skip(f"nothing can be pushed here: {lacking}")
    folder = tmp_path_factory.mktemp("registry")
    with registries.start(folder, ecr) as running, pytest.MonkeyPatch.context() as patch:
        # podman and buildah look there; docker needs no TLS on this machine's own addresses.
        known = folder / ".config" / "containers" / "registries.conf"
        known.parent.mkdir(parents=True)
        known.write_text(f'[[registry]]\nlocation = "{running.host}"\ninsecure = true\n')
        patch.setenv("HOME", str(folder))
        yield running


@pytest.fixture
def registry(local_registry: LocalRegistry, ecr: Any) -> Registry:
    """The environment's, whose repository is in the local registry."""
    return Registry("dev", {"runtime": f"{local_registry.host}/{REPOSITORY}"}, ecr)


@pytest.fixture
def small(tmp_path: Path) -> Callable[[str], Recipe]:
    """Makes the recipe of a tiny image with this content."""

    def make(content: str) -> Recipe:
        root = tmp_path / "checkout"
        for path, text in {
            "manifests/images/runtime.Dockerfile": DOCKERFILE,
            "content/file.txt": content,
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return read_recipe("runtime", root=root)

    return make


def never() -> Tool:
    """Where nothing may be built or pushed."""
    raise AssertionError("the registry has it: nothing is to be built or pushed")


def test_what_was_pushed_has_the_registrys_digest_and_is_pushed_once(
    small: Callable[[str], Recipe],
    tool: Tool,
    registry: Registry,
    local_registry: LocalRegistry,
    logs: Path,
    tmp_path: Path,
) -> None:
    recipe = small("first")
    pushed, new = Publisher(registry, lambda: tool, logs, print).push(recipe)
    assert new
    assert pushed.tag == recipe.tag
    assert pushed.digest == local_registry.digest(REPOSITORY, recipe.tag)
    assert pushed.reference == f"{local_registry.host}/{REPOSITORY}@{pushed.digest}"

    # ECR hears of it on its own; the second time nothing is done.
    assert local_registry.manifests.get(timeout=registries.SECONDS) == (REPOSITORY, recipe.tag)
    again, new = Publisher(registry, never, logs, print).push(recipe)
    assert (again, new) == (pushed, False)

    record(tmp_path, "dev", {"runtime": pushed})
    assert PushedImages.read(tmp_path, "dev") == record(tmp_path, "dev", {})
    row = standing(recipe, tool, registry, pushed)
    assert row.current
    assert not row.lost
    assert row.kept is not None
    assert row.kept.digest == pushed.digest
    changed = standing(small("second"), tool, registry, pushed)
    assert not changed.current
    assert changed.here is None
    assert changed.kept is None


def test_a_wrong_password_is_refused_in_a_sentence(
    small: Callable[[str], Recipe],
    tool: Tool,
    registry: Registry,
    local_registry: LocalRegistry,
    logs: Path,
) -> None:
    recipe = small("refused")
    wrong = Credentials(local_registry.host, registries.USER, "no-such-word")
    target = f"{local_registry.host}/{REPOSITORY}:{recipe.tag}"
    with pytest.raises(ImageError, match="could not sign in") as raised:
        tool.push(recipe.reference, target, wrong, logs / "log")
    assert raised.value.where == local_registry.host
    assert wrong.password not in str(raised.value)


def test_an_image_that_is_not_built_cannot_be_pushed(
    small: Callable[[str], Recipe],
    tool: Tool,
    registry: Registry,
    local_registry: LocalRegistry,
    logs: Path,
) -> None:
    recipe = small("never built")
    target = f"{local_registry.host}/{REPOSITORY}:{recipe.tag}"
    with pytest.raises(ImageError, match=f"{target} could not be pushed"):
        tool.push(recipe.reference, target, registry.credentials("runtime"), logs / "log")


def test_the_command_pushes_and_compares(
    built: Callable[[str], BuiltImage],
    tool: Tool,
    base: str,
    cloud: dict[str, str],
    local_registry: LocalRegistry,
    tmp_path: Path,
) -> None:
    """The model server's own image, by the command line, to an environment of tier dev."""
    built("runtime")
    shutil.copy(CHECKOUT / "Pulumi.yaml", tmp_path)
    document = (CHECKOUT / "Pulumi.dev.yaml").read_text()
    document = document.replace('account: "111111111111"', f'account: "{registries.ACCOUNT}"')
    (tmp_path / "Pulumi.dev.yaml").write_text(document)
    outputs = tmp_path / "outputs.json"
    repositories = {"runtime": f"{local_registry.host}/{REPOSITORY}"}
    outputs.write_text(json.dumps(values(registries=repositories)))

    def millwright(*words: str) -> Any:
        options = ["--outputs", str(outputs), "--image", "runtime", "--base", base]
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "--json", "images", *words, "dev", *options],
            cwd=CHECKOUT,
            env={**os.environ, "MILLWRIGHT_PROJECT": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (row,) = millwright("list", "--tool", tool.name)["images"]
    assert (row["used"], row["digest_in_registry"], row["current"]) == (None, None, False)
    written = millwright("push", "--tool", tool.name)
    pushed = PushedImages.read(tmp_path, "dev")
    assert pushed is not None
    assert written["images"] == pushed.model_dump(mode="json")["images"]
    digest = pushed.images["runtime"].digest
    assert digest == local_registry.digest(REPOSITORY, pushed.images["runtime"].tag)
    assert local_registry.manifests.get(timeout=registries.SECONDS)[0] == REPOSITORY
    (row,) = millwright("list", "--tool", tool.name)["images"]
    assert (row["digest_in_registry"], row["current"], row["lost"]) == (digest, True, False)
