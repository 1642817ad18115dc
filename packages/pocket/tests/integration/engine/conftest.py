"""A stack of things on a shelf, and the passphrase of its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocket_testing.stacks import PASSPHRASE, Stack


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)
