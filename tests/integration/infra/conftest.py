"""Environments for the folder's tests, each in a project and a cloud of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.infra.standing import Standing


@contextmanager
def connected(standing: Standing) -> Iterator[Standing]:
    """As `Standing.connected`; the cloud is stopped afterwards."""
    try:
        with standing.connected():
            yield standing
    finally:
        standing.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The program of `infra/`; its cloud runs, and nothing is in it yet."""
    with connected(Standing(tmp_path_factory.mktemp("environment"))) as made:
        yield made


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A small program with one of each way in which the provider creates."""
    program = Path(__file__).parent / "reduced"
    with connected(Standing(tmp_path_factory.mktemp("reduced"), program=program)) as made:
        yield made
