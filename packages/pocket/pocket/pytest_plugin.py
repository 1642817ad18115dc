"""Fixtures for tests of Pulumi programs; pytest finds them by the entry point ``pocket``.

One emulator runs for a session (under pytest-xdist: for each worker), started when a test first
asks for it. Each test begins with an empty account, and at its end every stack is destroyed and
the account is looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pocket.testing import Emulator, Pocket


def pytest_addoption(parser: pytest.Parser) -> None:
    """The region of what names none."""
    parser.addini("pocket_region", "the region of clients and programs that name none", "string")


@pytest.fixture(scope="session")
def pocket_emulator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    """The AWS APIs, for the whole session."""
    from pocket.testing import Emulator

    region = request.config.getini("pocket_region") or "us-east-1"
    emulator = Emulator(tmp_path_factory.mktemp("pocket"), region=region)
    try:
        yield emulator
    finally:
        emulator.close()


@pytest.fixture
def pocket(pocket_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pocket]:
    """Programs are brought up in an account of this test's own, and are gone after it."""
    from pocket.testing import Pocket

    pocket_emulator.reset()
    with pocket_emulator.connected():
        pocket = Pocket(pocket_emulator, tmp_path_factory.mktemp("stacks"))
        yield pocket
        pocket.close()
