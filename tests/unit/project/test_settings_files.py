"""An environment's settings file means the same to the commands and to the Pulumi program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.environment import Environment
from contracts.errors import DocumentError
from pocket.engine.config import load_config, load_project
from pocket.engine.secrets import Crypter
from project.folder import read_environment

SETTINGS = """
encryptionsalt: v1:FUuZYWUHK7A=:v1:xGi3jx+IoBZn96ul:zE6on7hl7mHY8duYbDpmBkWUHMpGLg==
config:
  millwright:environment:
    name: local
    tier: local
    account: {account}
    region: eu-central-1
    tags: {{on: yes, time: 12:30:45, mode: 0o755x, when: 2020-13-01}}
"""


def write(folder: Path, account: str) -> Path:
    (folder / "Pulumi.yaml").write_text("name: millwright\nruntime: python\n")
    (folder / "Pulumi.local.yaml").write_text(SETTINGS.format(account=account))
    return folder


def test_both_read_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path, "'012345670123'")
    environment = read_environment(folder, "local")
    assert environment.account == "012345670123"
    assert environment.tags == {
        "on": "yes",
        "time": "12:30:45",
        "mode": "0o755x",
        "when": "2020-13-01",
    }
    config = load_config(load_project(folder), "local", Crypter(None))
    by_the_program = json.loads(config.values["millwright:environment"])
    assert Environment.parse(by_the_program) == environment


@pytest.mark.parametrize("account", ["012345670123", "098765432109", "123456789012", "1e11", "~"])
def test_an_account_is_text_or_refused(tmp_path: Path, account: str) -> None:
    with pytest.raises(DocumentError, match=r"account: (put the twelve digits in quotes|input)"):
        read_environment(write(tmp_path, account), "local")


@pytest.mark.parametrize("text", ["config: {", "config: [1]", "- 1", "config: {a: 1, a: 2}"])
def test_a_broken_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "x") / "Pulumi.local.yaml"
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        read_environment(tmp_path, "local")
    assert "Pulumi.local.yaml" in caught.value.where
