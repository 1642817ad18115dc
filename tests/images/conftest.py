"""Images that are really built, once for all tests: `make test-images`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.errors import MillwrightError
from contracts.images import OWN
from images.publish import BuiltImage
from images.publish import build as build_image
from images.recipe import read_recipe
from images.tools import Tool, choose
from tests.images import base as bases
from tests.images import containers
from tests.images.containers import Runner


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a person may choose."""
    group = parser.getgroup("images")
    group.addoption("--images-tool", default="", help="docker, podman or buildah")
    group.addoption("--images-base", default="", help="build on this image, not on one made here")


@pytest.fixture(scope="session")
def tool(request: pytest.FixtureRequest) -> Tool:
    """What builds here."""
    # Without a container runtime's isolation: as root in a sandbox, there is no other.
    os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
    try:
        return choose(request.config.getoption("--images-tool", ""))
    except MillwrightError as error:
        pytest.skip(f"images cannot be built here: {error}")


@pytest.fixture(scope="session")
def base(request: pytest.FixtureRequest, tool: Tool) -> str:
    """What the images are built on."""
    given: str = request.config.getoption("--images-base", "")
    if given:
        return given
    if lacking := bases.missing():
        pytest.skip(f"images cannot be built here: {lacking}")
    return bases.make(tool.name)


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where builds and containers write."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def built(tool: Tool, base: str, logs: Path) -> Callable[[str], BuiltImage]:
    """Builds an image of ours."""
    assert set(OWN) == {"runtime", "operator", "pipelines"}
    return lambda name: build_image(read_recipe(name, base=base), tool, logs, print)


@pytest.fixture(scope="session")
def runner(tool: Tool, logs: Path) -> Iterator[Runner]:
    """Starts what was built."""
    if lacking := containers.missing(tool.name):
        pytest.skip(f"images cannot be started here: {lacking}")
    made = Runner(tool.name, logs)
    yield made
    made.close()
