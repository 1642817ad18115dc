"""`millwright images` where nothing can build and nothing is up: it says what is missing."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import main
from contracts.images import OWN, PushedImage, PushedImages
from contracts.version import VERSION
from images.lists import CHECKOUT

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project in which nothing is up."""
    for path in CHECKOUT.glob("Pulumi*.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def images(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> Run:
    """Runs the command in this process, on a machine with none of the tools."""
    monkeypatch.setenv("PATH", str(folder / "empty"))
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(folder))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["millwright", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["build", "--image", "runtim"], 2, "did you mean 'runtime'?"),
        (["build", "--platform", "amd64"], 2, "'amd64' is no platform"),
        (["build", "--tool", "buildha"], 2, "did you mean 'buildah'?"),
        (["build"], 1, "docker: is not installed; podman: is not installed"),
        (["build"], 1, "Install one of docker, podman, buildah."),
        (["push"], 1, "the environment 'local' has not been brought up"),
        (["push", "nowhere"], 2, "nowhere"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    images: Run, words: list[str], code: int, sentence: str
) -> None:
    ended, _, stderr = images("images", *words)
    assert sentence in stderr
    assert ended == code


def test_a_list_shows_what_it_can_and_says_what_it_cannot(images: Run, folder: Path) -> None:
    old = PushedImage(repository="r", tag="0.0.1-old", digest=f"sha256:{'ab' * 32}")
    pushed = PushedImages(environment="local", version=VERSION, images={"runtime": old})
    PushedImages.path(folder, "local").write_text(pushed.text())
    code, stdout, stderr = images("--json", "images", "list")
    assert code == 0, stderr
    answer = json.loads(stdout)
    assert [row["name"] for row in answer["images"]] == list(OWN)
    assert [row["used"] is not None for row in answer["images"]] == [True, False, False]
    assert not any(row["current"] or row["lost"] for row in answer["images"])
    assert [problem.partition(":")[0] for problem in answer["problems"]] == [
        "this machine is not asked",
        "the registry is not asked",
    ]
    code, stdout, _ = images("images", "list")
    assert code == 0
    assert "other content" in stdout
    assert "0.0.1-old" in stdout
