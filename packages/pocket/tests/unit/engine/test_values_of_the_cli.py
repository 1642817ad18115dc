"""What a value in a settings file means: the Pulumi CLI's answer for each.

``values_of_the_cli.json`` holds YAML texts, each with what ``pulumi config`` of version 3.259 gives
for it as a key's value; null where the CLI refuses the file.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocket import documents
from pocket.engine.config import load_config, load_project
from pocket.engine.secrets import Crypter
from pocket.errors import DeploymentError

VALUES: dict[str, str | None] = json.loads(
    (Path(__file__).parent / "values_of_the_cli.json").read_text(encoding="utf-8")
)


def settings(folder: Path, value: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
    indented = value.replace("\n", "\n  ")
    (folder / "Pulumi.dev.yaml").write_text(f"config:\n  k: {indented}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("value", [key for key, text in VALUES.items() if text is not None])
def test_a_program_gets_what_the_cli_gives_it(tmp_path: Path, value: str) -> None:
    project = load_project(settings(tmp_path, value))
    assert load_config(project, "dev", Crypter(None)).values == {"demo:k": VALUES[value]}


@pytest.mark.parametrize("value", [key for key, text in VALUES.items() if text is None])
def test_what_the_cli_refuses_is_refused_with_its_place(tmp_path: Path, value: str) -> None:
    project = load_project(settings(tmp_path, value))
    with pytest.raises(DeploymentError, match="not YAML") as caught:
        load_config(project, "dev", Crypter(None))
    assert "Pulumi.dev.yaml:" in caught.value.where


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20))
def test_a_text_in_quotes_is_that_text(text: str) -> None:
    assert documents.parse(f"k: {json.dumps(text, ensure_ascii=False)}") == {"k": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "mapping"),
        ("text", "mapping"),
        ("config: [1]", "mapping"),
        ("config: x", "mapping"),
        ("{1.5: x}", "put this one in quotes"),
        ("a: b: c", "not YAML"),
        (f"config: {'[' * 60}{']' * 60}", "nested too deep"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    project = load_project(settings(tmp_path, "1"))
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(DeploymentError, match=message):
        load_config(project, "dev", Crypter(None))


@pytest.mark.parametrize("part", ["config: [1]", "runtime: [python]", "backend: file", "main: 1"])
def test_a_project_of_another_form_is_refused(tmp_path: Path, part: str) -> None:
    settings(tmp_path, "1")
    (tmp_path / "Pulumi.yaml").write_text(f"name: demo\n{part}\n")
    with pytest.raises(DeploymentError, match="was expected"):
        load_project(tmp_path)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    project = load_project(settings(tmp_path, "1"))
    (tmp_path / "Pulumi.dev.yaml").write_bytes(b"config: {k: \xff}")
    with pytest.raises(DeploymentError, match="UTF-8"):
        load_config(project, "dev", Crypter(None))
