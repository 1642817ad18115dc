"""An entry is put into a kubeconfig beside what people have there, and holds no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.errors import DocumentError
from project.kubeconfig import VARIABLE, Entry, default_file, document, merge

ARN = "arn:aws:eks:eu-central-1:111111111111:cluster/millwright-dev-cluster"
ENTRY = Entry(
    name=ARN,
    cluster={"certificate-authority-data": "Y2E=", "server": "https://eks.example"},
    user={"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws"}},
)
THEIRS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "current-context": "work",
    "clusters": [{"name": "work", "cluster": {"server": "https://work.example"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
    "users": [{"name": "me", "user": {"token": "mine"}}],
}


def test_the_entry_is_what_the_aws_cli_would_write() -> None:
    assert document(ENTRY) == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": ARN,
        "clusters": [{"name": ARN, "cluster": ENTRY.cluster}],
        "contexts": [{"name": ARN, "context": {"cluster": ARN, "user": ARN}}],
        "users": [{"name": ARN, "user": ENTRY.user}],
    }


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(THEIRS))
    path.chmod(0o644)
    for _ in range(2):
        merge(path, ENTRY)
    written = yaml.safe_load(path.read_text())
    for section in ("clusters", "contexts", "users"):
        assert written[section] == [*THEIRS[section], ENTRY.section(section)]
    assert written["preferences"] == {"colors": True}
    assert written["current-context"] == ARN
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_older_entry_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config"
    merge(path, Entry(name=ARN, cluster={"server": "https://gone.example"}, user={}))
    merge(path, ENTRY)
    assert yaml.safe_load(path.read_text()) == document(ENTRY)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(yaml.safe_dump(THEIRS))
    path = tmp_path / "config"
    path.symlink_to(kept)
    merge(path, ENTRY)
    assert path.is_symlink()
    assert yaml.safe_load(kept.read_text())["current-context"] == ARN


@pytest.mark.parametrize("text", ["clusters: [", "- 1", "clusters: [work]"])
def test_what_is_no_kubeconfig_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(DocumentError, match="no kubeconfig") as refused:
        merge(path, ENTRY)
    assert "--file" in refused.value.fix
    assert path.read_text() == text


def test_of_several_files_the_one_with_the_entry_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv(VARIABLE, f"{first}:{second}")
    assert default_file(ARN) == first
    first.write_text(yaml.safe_dump(THEIRS))
    merge(second, ENTRY)
    assert default_file(ARN) == second
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_file(ARN) == tmp_path / ".kube" / "config"
