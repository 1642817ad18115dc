"""docker, podman and buildah are told the same, and a password is seen by nobody else.

Their commands are played by a script that writes down what it was given; `tests/images` has the
real ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ImageError, UsageError
from images.pip import PipSettings
from images.recipe import Recipe
from images.tools import COMMANDS, CommandTool, Credentials, Tool, choose, digest_of, last_line

DIGEST = f"sha256:{'ab' * 32}"
TARGET = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/millwright/dev/runtime:0.1.0-abc"
CREDENTIALS = Credentials(TARGET.partition("/")[0], "AWS", "s3cret-token")
SCRIPT = """#!{python} -IS
import json, os, pathlib, sys
folder = pathlib.Path({folder!r})
words = sys.argv[1:]
kept = os.path.dirname(os.environ.get("REGISTRY_AUTH_FILE", "")) or os.environ["DOCKER_CONFIG"]
call = {{
    "words": words,
    "input": sys.stdin.read() if "--password-stdin" in words else "",
    "kept": kept,
    "files": sorted(os.listdir(kept)) if os.path.isdir(kept) else [],
    "secrets": [pathlib.Path(word.partition("src=")[2]).read_text() for word in words
                if word.startswith("--secret")],
    "buildkit": os.environ.get("DOCKER_BUILDKIT"),
}}
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
answers = json.loads((folder / "answers").read_text())
for beginning, (code, text) in answers.items():
    if " ".join(words).startswith(beginning):
        for word in words:
            if word == "--digestfile":
                pathlib.Path(words[words.index(word) + 1]).write_text(text)
        print(text, file=sys.stderr if code else sys.stdout)
        sys.exit(code)
"""
HELP: Mapping[str, Any] = {"build --help": (0, "  --secret   a secret")}


@dataclass
class Player:
    """A command that plays a tool."""

    folder: Path
    tool: CommandTool

    def calls(self, verb: str) -> list[dict[str, Any]]:
        """What it was given where its first words were these."""
        lines = (self.folder / "calls").read_text().splitlines()
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if " ".join(call["words"]).startswith(verb)]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Player]:
    """Makes a command of a name that answers by the beginning of its words."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "own"))

    def make(name: str, answers: Mapping[str, Any]) -> Player:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        command = folder / name
        command.write_text(SCRIPT.format(python=sys.executable, folder=str(folder)))
        command.chmod(0o755)
        (folder / "answers").write_text(json.dumps({**HELP, **answers}))
        return Player(folder, CommandTool(name, str(command)))

    return make


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\n")
    return Recipe(
        name="runtime",
        base="localhost/base:1",
        platform="linux/amd64",
        files={"manifests/images/runtime.Dockerfile": dockerfile},
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_build_is_told_base_platform_label_and_secrets(
    play: Callable[..., Player], recipe: Recipe, tmp_path: Path, name: str
) -> None:
    player = play(name, {})
    settings = PipSettings(options={"index-url": "https://user:pass@mirror.example"})
    player.tool.build(recipe, settings, tmp_path / "logs" / "runtime.log")
    (call,) = [call for call in player.calls("build") if "--help" not in call["words"]]
    words = call["words"]
    assert f"--tag={recipe.reference}" in words
    assert "--build-arg=BASE=localhost/base:1" in words
    assert "--platform=linux/amd64" in words
    assert f"--label=dev.millwright.content=sha256:{recipe.digest}" in words
    assert words[1].endswith("/manifests/images/runtime.Dockerfile")
    assert "user:pass" not in " ".join(words)
    assert "user:pass" in call["secrets"][0]
    assert call["buildkit"] == ("1" if name == "docker" else None)
    assert not Path(words[-1]).exists(), "the build's folder is gone"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_failed_build_says_why_and_where_its_log_is(
    play: Callable[..., Player], recipe: Recipe, tmp_path: Path, name: str
) -> None:
    why = "ERROR: No matching distribution found for numpy==1\nError: building at STEP 'RUN pip'"
    player = play(name, {"build": (1, why)})
    log = tmp_path / "runtime.log"
    with pytest.raises(ImageError, match="No matching distribution found") as raised:
        player.tool.build(recipe, PipSettings(options={}), log)
    assert str(log) in raised.value.fix
    assert why in log.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_password_goes_through_standard_input_and_is_kept_nowhere(
    play: Callable[..., Player], tmp_path: Path, name: str
) -> None:
    repository = TARGET.rpartition(":")[0]
    inspected = json.dumps(["localhost/other@sha256:00", f"{repository}@{DIGEST}"])
    player = play(name, {"push": (0, DIGEST), "image inspect": (0, inspected)})
    own = tmp_path / "own"
    (own / "contexts").mkdir(parents=True)
    (own / "config.json").write_text(
        json.dumps({"auths": {"x": {}}, "credsStore": "desktop", "currentContext": "colima"})
    )
    digest = player.tool.push("millwright/runtime:1", TARGET, CREDENTIALS, tmp_path / "log")
    assert digest == DIGEST
    (login,) = player.calls("login")
    assert login["input"] == CREDENTIALS.password
    assert login["words"] == ["login", "--username", "AWS", "--password-stdin", CREDENTIALS.host]
    everything = (player.folder / "calls").read_text().replace(json.dumps(login), "")
    assert CREDENTIALS.password not in everything
    assert not Path(login["kept"]).exists()
    assert login["kept"] != str(own)
    assert login["files"] == (["config.json", "contexts"] if name == "docker" else [])
    assert json.loads((own / "config.json").read_text())["credsStore"] == "desktop"
    assert CREDENTIALS.password not in repr(CREDENTIALS)
    assert player.calls("push")[0]["words"][-1].removeprefix("docker://") == TARGET


@pytest.mark.parametrize("name", COMMANDS)
def test_refusals_are_sentences(play: Callable[..., Player], tmp_path: Path, name: str) -> None:
    player = play(name, {"login": (1, "Error: logging in: unauthorized")})
    with pytest.raises(ImageError, match="could not sign in: Error: logging in: unauthorized"):
        player.tool.push("millwright/runtime:1", TARGET, CREDENTIALS, tmp_path / "log")
    player = play(name, {"push": (1, "tag invalid: the tag is immutable")})
    with pytest.raises(ImageError, match="could not be pushed: tag invalid: the tag is immutable"):
        player.tool.push("millwright/runtime:1", TARGET, CREDENTIALS, tmp_path / "log")
    player = play(name, {"push": (0, ""), "image inspect": (0, "[]")})
    with pytest.raises(ImageError, match="the registry gave no digest"):
        player.tool.push("millwright/runtime:1", TARGET, CREDENTIALS, tmp_path / "log")


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_size_is_asked_for(play: Callable[..., Player], name: str) -> None:
    player = play(name, {"image inspect": (0, "445000000")})
    assert player.tool.size("millwright/runtime:1") == 445_000_000
    assert play(name, {"image inspect": (1, "no such image")}).tool.size("x:1") is None


def test_buildahs_size_is_its_layers(play: Callable[..., Player]) -> None:
    manifest = json.dumps({"layers": [{"size": 200}, {"size": 45}]})
    assert play("buildah", {"inspect": (0, manifest)}).tool.size("x:1") == 245


def test_the_first_that_works_is_chosen(play: Callable[..., Player]) -> None:
    stopped = play("docker", {"version": (1, "Cannot connect to the Docker daemon")}).tool
    absent, works = CommandTool("no-such-tool"), play("buildah", {}).tool
    assert choose("", [stopped, works]) is works
    with pytest.raises(ImageError, match="docker: Cannot connect to the Docker daemon") as raised:
        choose("docker", [stopped, works])
    assert "Start Docker" in raised.value.fix
    with pytest.raises(ImageError, match="no-such-tool: is not installed") as raised:
        choose("", [absent])
    assert "Install one of" in raised.value.fix


def test_a_tool_without_build_secrets_cannot_be_used(play: Callable[..., Player]) -> None:
    old: Tool = play("docker", {"build --help": (0, "Usage: docker build")}).tool
    assert old.problem() == "cannot build with --secret"
    with pytest.raises(ImageError, match="docker: cannot build with --secret") as raised:
        choose("", [old])
    assert "buildx" in raised.value.fix


def test_an_unknown_tool_is_refused() -> None:
    with pytest.raises(UsageError, match="'buildha' builds no images") as raised:
        choose("buildha")
    assert "buildah" in raised.value.fix


def test_a_digest_is_its_own_repositorys() -> None:
    other = f"{TARGET.rpartition(':')[0]}2@sha256:{'cd' * 32}"
    with pytest.raises(ImageError, match="no digest"):
        digest_of(other, TARGET)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("#9 12.3 ERROR: no wheel\n#9 done\n------\nERROR: failed to solve: x", "ERROR: no wheel"),
        ("Error: pinging: refused\nsubprocess exited with status 1", "Error: pinging: refused"),
    ],
)
def test_the_line_that_says_why(text: str, line: str) -> None:
    assert last_line(text) == line
