"""Every command with values that nobody should give: what a person reads is our own sentence.

The commands and their parameters are read from the command line itself, so that a new one is tried
without being named here.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.app import app
from cli.main import main

ROOT = Path(__file__).parents[3]
VALID = {"environment": "local", "model": "flight-delay", "dataset": "flights", "file": "-"}
"""What stands beside the hostile value: nothing of it is up."""
FILES = {
    "empty": b"",
    "bytes": b"\xff\xfe\x00\x80",
    "list.yaml": b"- 1\n",
    "tab.yaml": b"a:\n\tb: 1\n",
    "date.yaml": b"a: 2020-13-01\n",
    "open.json": b'{"a": [',
    "deep.json": b"[" * 100_000,
    "number.json": b"1e999",
}
WORDS = (
    *("nosuch", "..", "../../etc/passwd", "-", "{}", "%s %(a)s {0}", "ünï✓", "\udcff", "\x1b[31m"),
    *("x" * 5000, "http://[", "1e999"),
)
SHORT = ("nosuch", "http://[", "\udcff", "x" * 5000, "bytes", "deep.json")
SHARED = ("environment", "named", "outputs", "context", "namespace", "mlflow", "kfp", "gateway")
"""Options of many commands, which read them by the same code."""
NUMBERS = ("", "x", "-1", "0", "1e999", "nan", "9" * 30, "٣")
READS = {
    *(("data", "list"), ("data", "show"), ("images", "list"), ("runs", "list"), ("status",)),
    *(("state", "export"), ("versions",)),
}
"""What may say something where nothing can be written."""
MAY_SUCCEED: dict[tuple[str, ...], set[str]] = {
    ("data", "show"): {"outputs"},  # what is loaded cannot be asked, and is said to be nothing
    ("images", "list"): {"base", "platform", "outputs"},  # any name may be one
    **{words: {"outputs", "namespace"} for words in [("status",), ("runs", "list"), ("versions",)]},
    **{("rollout", word): {"outputs", "namespace"} for word in ("status", "history")},
}
"""Options that may be given any value there, because they say nothing on this machine; a file that
is not there is refused all the same."""


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, and the words that name it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*words, name))


COMMAND = typer.main.get_command(app)
COMMANDS = dict(leaves(COMMAND))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing is up, with files that are nothing."""
    # In a folder of its own, for ".." is a value: with other tests' artifacts it could be served.
    folder = tmp_path_factory.mktemp("around") / "place"
    folder.mkdir()
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copy(path, folder)
    for kind in ("datasets", "models"):
        (folder / kind).symlink_to(ROOT / kind)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def millwright(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs the command line in this process; nothing beyond this machine answers."""
    monkeypatch.setattr("typer.main.get_command", lambda _: COMMAND)  # made once
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", str(tmp_path))  # neither the Pulumi CLI nor a builder of images
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("MILLWRIGHT_PROJECT", raising=False)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["millwright", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return run


def check(code: int, said: str, words: tuple[str, ...], *, may_succeed: bool) -> None:
    """No trace, no fault of our own, a sentence, and a code that says so."""
    shown = " ".join(words)[:200]
    assert "Traceback" not in said, shown
    assert "Millwright's own fault" not in said, f"{shown}: {said[:500]}"
    if code == 0:
        assert may_succeed, f"{shown}: accepted"
        return
    assert code in (1, 2, 3), shown
    sentences = [line for line in said.splitlines() if line.startswith("error ")]
    assert len(sentences) == 1, f"{shown}: {said!r}"
    assert len(sentences[0]) > len("error x: y"), shown


def given(command: Any, hostile: Any, value: str) -> list[str]:
    """A command's words with one hostile value, the others as usual."""
    words, options = [], []
    for parameter in command.params:
        if parameter is hostile and parameter.param_type_name == "option":
            options += [parameter.opts[0], value]
        elif parameter.param_type_name == "argument":
            usual = VALID.get(parameter.name, "x") if parameter.required else None
            chosen = value if parameter is hostile else usual
            words += [] if chosen is None else [chosen]
    return [*options, "--", *words]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_hostile_values(
    millwright: Run, place: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    command = COMMANDS[words]
    if words == ("ui",):  # it would show the registry of the emulator that is named
        monkeypatch.delenv("AWS_ENDPOINT_URL")
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "is_flag", False):
            continue
        argument = parameter.param_type_name == "argument"
        numeric = isinstance(parameter.default, (int, float))
        shared = parameter.name in SHARED and not argument
        values = NUMBERS if numeric else SHORT if shared else (*WORDS, *FILES, str(place))
        if parameter.name == "file" and words in (("kubeconfig",), ("state", "export")):
            continue  # any name may be a new file's
        ignored = MAY_SUCCEED.get(words, set())
        for value in values:
            code, said = millwright(*words, *given(command, parameter, value))
            there = parameter.name != "outputs" or value in FILES
            may_succeed = parameter.name in ignored and there
            check(code, said, (*words, parameter.name, repr(value)), may_succeed=may_succeed)


@pytest.mark.parametrize("content", FILES.values(), ids=list(FILES))
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Pulumi.local.yaml", ("up", "local")),
        ("Pulumi.local.yaml", ("status",)),
        ("models/flight-delay/model.yaml", ("train", "flight-delay")),
        ("models/flight-delay/model.yaml", ("rollout", "status", "flight-delay")),
        ("datasets/flights/dataset.yaml", ("data", "load", "flights")),
        (".millwright/local/outputs.json", ("outputs",)),
        (".millwright/local/state.json", ("status",)),
    ],
)
def test_unreadable_documents(
    millwright: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    words: tuple[str, ...],
    content: bytes,
) -> None:
    for document in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copy(ROOT / document, tmp_path)
    for folder in ("models/flight-delay", "datasets/flights"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "models/flight-delay/model.yaml", tmp_path / "models/flight-delay")
    written = tmp_path / path
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    code, said = millwright("--project", str(tmp_path), *words)
    nothing = path.endswith("state.json") and not content  # no state was ever written
    check(code, said, (*words, path), may_succeed=nothing)


@pytest.mark.parametrize(
    "words",
    [
        ("--project", "/nosuch", "status"),
        ("status", "--project"),
        ("--project=empty", "status"),
        ("--nosuch",),
        ("status", "--nosuch"),
        ("nosuch",),
        ("predict", "flight-delay", "--json", "{}"),
        ("predict", "flight-delay", "--json", "@row.json"),
        ("predict", "flight-delay", "--data", "{}", "--file", "x"),
        ("predict", "nosuch", "--data", "{}"),
        ("rollout", "undo", "flight-delay", "--to", "x"),
        ("train",),
    ],
)
def test_wrong_words(millwright: Run, words: tuple[str, ...]) -> None:
    code, said = millwright(*words)
    if "--json" in words:
        assert (code, "--data" in said) == (2, True)
    else:
        check(code, said, words, may_succeed=False)


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words != ("images", "build")], ids=" ".join
)
def test_an_interruption_is_told(
    millwright: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def interrupted(start: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.common.find_project", interrupted)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"deployment": {}}'))
    command = COMMANDS[words]
    code, said = millwright(*words, *given(command, None, ""))
    assert (code, said) == (130, ""), words


ADDRESSES = (
    "not a url",
    "http://",
    "ftp://x",
    "http://[",
    "http://a:b",
    "x" * 5000,
    "localhost:5000",
)
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_cloud_without_an_address_is_refused_by_the_variable(
    millwright: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    for variable in ENDPOINTS:
        for address in ADDRESSES:
            with monkeypatch.context() as patch:
                patch.setattr("sys.stdin", io.StringIO('{"deployment": {}}'))
                patch.setenv(variable, address)
                code, said = millwright(*words, *given(COMMANDS[words], None, ""))
            assert code == 2, (words, address, said)
            assert said.startswith(f"error {variable}: {address[:200]!r} is no address"), words


def test_a_profile_with_a_bad_address_is_a_sentence(
    millwright: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nendpoint_url = not a url\n")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    code, said = millwright("doctor", "dev")
    assert (code, "endpoint_url: 'not a url' is no address" in said) == (2, True), said


def test_a_full_disk_is_a_sentence(millwright: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    kind = "pulumi:pulumi:Stack"
    stack = {"urn": f"urn:pulumi:local::millwright::{kind}::full", "type": kind}
    document = {"version": 3, "deployment": {"manifest": {}, "resources": [stack]}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document)))
    code, said = millwright("state", "import", "-")
    assert code == 1
    assert re.search(r"the disk is full|No space left on device\s+Make room", said), said


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="root is held by a folder's mode on Linux")
def test_a_folder_that_takes_nothing_is_a_sentence_in_every_command(tmp_path: Path) -> None:
    folders = {how: tmp_path / how for how in ("full", "closed")}
    for folder in folders.values():
        folder.mkdir()
        for path in ROOT.glob("Pulumi*.yaml"):
            shutil.copy(path, folder)
        for kind in ("datasets", "models"):
            (folder / kind).symlink_to(ROOT / kind)
    before = sorted(path.name for path in folders["closed"].iterdir())
    folders["closed"].chmod(0o555)
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MILLWRIGHT")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.cli.driven", *map(str, folders.values())],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**plain, "PATH": "", "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)},
        check=False,
    )
    folders["closed"].chmod(0o755)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [tuple(answer["words"]) for answer in answers] == list(COMMANDS) * 2
    for answer in answers:
        words = tuple(answer["words"])
        if words != ("doctor",):  # whose answer is a table of what is missing
            check(answer["code"], answer["said"], words, may_succeed=words in READS)
    for answer in answers:
        if answer["words"] == ["up"]:
            assert "this cannot be written" in answer["said"], answer["how"]
    assert sorted(path.name for path in folders["closed"].iterdir()) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no such device")
@pytest.mark.parametrize("words", [("--version",), ("status", "--json"), ("--help",)])
def test_output_that_cannot_be_written_is_a_sentence(words: tuple[str, ...], place: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cli.entry", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert (done.returncode, "the disk is full" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
