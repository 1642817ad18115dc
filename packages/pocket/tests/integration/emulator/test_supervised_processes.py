"""The supervisor against real processes: found again, never doubled, never leaked."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pocket.errors import ProcessError
from pocket.supervisor import MARK, CallReady, HttpReady, Port, Spec, Supervisor, TcpReady, tail

_SERVER = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", Port())
_SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
# Starts a child in its own process group's shadow, then ignores the request to end.
_STUBBORN_PARENT = (
    sys.executable,
    "-c",
    (
        "import signal, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(600)\n"
    ),
)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.stop_all()
    assert marked(tmp_path) == []


def marked(root: Path) -> list[psutil.Process]:
    """Every living process that some supervisor of this root started, children included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{root.resolve()}:"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def server(**changes: object) -> Spec:
    return Spec(**{"name": "web", "argv": _SERVER, "ready": HttpReady(), **changes})


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 20 s"
        time.sleep(0.02)


def test_a_started_process_answers_and_is_reused(supervisor: Supervisor) -> None:
    first = supervisor.start(server())
    assert urllib.request.urlopen(first.url).status == 200
    assert supervisor.start(server()) == first
    # Another command has nothing but the directory.
    assert Supervisor(supervisor.root).find("web") == first
    assert len(marked(supervisor.root)) == 1


def test_a_changed_command_is_started_anew(supervisor: Supervisor, tmp_path: Path) -> None:
    first = supervisor.start(server())
    second = supervisor.start(server(env={"COLOUR": "blue"}))
    assert second.pid != first.pid
    assert psutil.Process(second.pid).environ()["COLOUR"] == "blue"
    assert len(marked(tmp_path)) == 1


def test_a_dead_process_comes_back_on_its_port(supervisor: Supervisor) -> None:
    first = supervisor.start(server())
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: supervisor.find("web") is None)
    assert [status.state for status in supervisor.status()] == ["dead"]
    second = supervisor.start(server())
    assert (second.port, second.pid != first.pid) == (first.port, True)


def test_stopping_takes_the_whole_group_even_when_it_is_deaf(supervisor: Supervisor) -> None:
    spec = Spec(name="deaf", argv=_STUBBORN_PARENT, ports=(), grace=0.3)
    supervisor.start(spec)
    eventually(lambda: "deaf" in supervisor.log("deaf").read_text())
    eventually(lambda: len(marked(supervisor.root)) == 2)
    assert supervisor.stop("deaf")
    assert marked(supervisor.root) == []
    assert not supervisor.stop("deaf")
    assert supervisor.status() == []


def test_stop_all_goes_backwards(supervisor: Supervisor) -> None:
    for name in ("one", "two", "three"):
        supervisor.start(Spec(name=name, argv=_SLEEPER, ports=()))
    assert supervisor.stop_all() == ["three", "two", "one"]


def test_a_reused_process_id_is_never_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    running = supervisor.start(Spec(name="gone", argv=_SLEEPER, ports=()))
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: supervisor.find("gone") is None)
    stranger = subprocess.Popen(_SLEEPER)
    try:
        record = tmp_path / "run" / "gone.json"
        record.write_text(
            record.read_text().replace(f'"pid": {running.pid}', f'"pid": {stranger.pid}')
        )
        assert supervisor.find("gone") is None
        supervisor.stop("gone")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("write", [1, 2], ids=["before the process", "before its id is noted"])
def test_a_start_killed_half_way_neither_leaks_nor_doubles(
    supervisor: Supervisor, tmp_path: Path, write: int
) -> None:
    """`write`: the record's write at which the starting command dies."""
    program = (
        "import os, sys, pathlib\n"
        "from pocket import supervisor as s\nfrom pocket.supervisor import Port\n"
        "count = 0\n"
        "keep = s.Supervisor._write\n"
        "def dying(self, record):\n"
        "    global count\n"
        "    count += 1\n"
        f"    if count > {write} - 1 and {write} > 1: os._exit(9)\n"
        "    kept = keep(self, record)\n"
        f"    if {write} == 1: os._exit(9)\n"
        "    return kept\n"
        "s.Supervisor._write = dying\n"
        f"s.Supervisor(pathlib.Path({str(tmp_path)!r})).start("
        f"s.Spec(name='web', argv={_SERVER!r}, ready=s.HttpReady()))\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 9
    # Right after a process has begun, the system does not show its environment yet.
    deadline = time.monotonic() + 10
    while len(marked(tmp_path)) < write - 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(marked(tmp_path)) == write - 1
    running = supervisor.start(server())
    assert [process.pid for process in marked(tmp_path)] == [running.pid]


@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_full_disk_is_a_sentence_and_leaves_no_process_that_nobody_knows(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: int
) -> None:
    """`write`: the record's write from which on the disk takes no more."""
    supervisor.start(Spec(name="other", argv=_SLEEPER, ports=()))
    there = (tmp_path / "run" / "other.json").read_text()
    record = tmp_path / "run" / "web.json"
    before: list[str] = []
    begin = os.fsync

    def full(handle: int) -> None:
        if not Path(f"/proc/self/fd/{handle}").resolve().is_dir():
            before.append(record.read_text() if record.exists() else "")
            if len(before) >= write:
                raise OSError(errno.ENOSPC, "No space left on device")
        begin(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(ProcessError, match="cannot be written: No space left") as refused:
            supervisor.start(server())
    assert refused.value.where == str(record)
    assert "Make room" in refused.value.fix
    assert (record.read_text() if record.exists() else "") == before[-1]
    assert (tmp_path / "run" / "other.json").read_text() == there
    assert not list((tmp_path / "run").glob(".*.tmp"))
    running = supervisor.find("web")
    assert bool(running) == (write == 3)
    assert len(marked(tmp_path)) == (2 if running else 1)
    again = supervisor.start(server())
    assert running is None or again.pid == running.pid


def test_processes_are_ended_on_a_full_disk(supervisor: Supervisor, tmp_path: Path) -> None:
    """Removing an environment may be what makes room."""
    supervisor.start(Spec(name="one", argv=_SLEEPER, ports=()))
    program = (
        "import resource, sys, pathlib\n"
        "from pocket.supervisor import Supervisor\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "print(Supervisor(pathlib.Path(sys.argv[1])).stop_all())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "['one']\n", done.stderr
    assert marked(tmp_path) == []


@pytest.mark.parametrize("name", ["{port}", "{", "}{", "{0}", "%s", "$HOME", "a {port} b"])
def test_a_folder_of_any_name_holds_processes(name: str, tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / name)
    program = "import os, sys; print(sys.argv[1], os.environ['AT'], sys.argv[2:])"
    spec = Spec(
        name="web",
        argv=(sys.executable, "-c", f"{program}; import time; time.sleep(600)", name, Port()),
        env={"AT": name, "PYTHONUNBUFFERED": "1"},
    )
    try:
        running = supervisor.start(spec)
        eventually(lambda: tail(supervisor.log("web")) != "")
        assert tail(supervisor.log("web")) == f"{name} {name} {[str(running.port)]}"
    finally:
        supervisor.stop_all()


def test_what_fails_to_start_shows_the_end_of_its_log(supervisor: Supervisor) -> None:
    spec = Spec(
        name="broken",
        argv=(sys.executable, "-c", "raise SystemExit('the disk is full')"),
        ready=TcpReady(),
    )
    with pytest.raises(ProcessError, match=r"ended while starting.*\n.*the disk is full"):
        supervisor.start(spec)
    assert supervisor.status() == []


def test_what_is_never_ready_is_stopped_again(supervisor: Supervisor) -> None:
    spec = Spec(
        name="slow", argv=_SLEEPER, ready=CallReady(check=lambda ports: False), ready_within=0.2
    )
    with pytest.raises(ProcessError, match=r"was not ready.* for 0\.2 s"):
        supervisor.start(spec)
    assert marked(supervisor.root) == []


def test_a_command_that_does_not_exist_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(ProcessError, match="no-such-program"):
        supervisor.start(Spec(name="none", argv=("no-such-program",)))


def test_watching_brings_back_what_dies(supervisor: Supervisor) -> None:
    first = supervisor.start(server())
    enough = threading.Event()
    back: list[str] = []
    watcher = threading.Thread(
        target=supervisor.watch,
        args=(lambda: {"web": server()},),
        kwargs={"until": enough, "every": 0.05, "on_restart": back.append},
    )
    watcher.start()
    try:
        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda: back == ["web"])
    finally:
        enough.set()
        watcher.join()
    second = supervisor.find("web")
    assert second
    assert second.pid != first.pid


def test_records_and_logs_are_private(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(Spec(name="one", argv=_SLEEPER, ports=()))
    for path in (tmp_path / "run" / "one.json", tmp_path / "logs" / "one.log"):
        assert path.stat().st_mode & 0o077 == 0


def test_two_commands_at_once_start_one_process(tmp_path: Path, supervisor: Supervisor) -> None:
    program = (
        "import pathlib\n"
        "from pocket.supervisor import *\n"
        f"print(Supervisor(pathlib.Path({str(tmp_path)!r})).start("
        f"Spec(name='web', argv={_SERVER!r}, ready=HttpReady())).pid)\n"
    )
    commands = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    pids = {command.communicate(timeout=60)[0].strip() for command in commands}
    assert len(pids) == 1
    assert len(marked(tmp_path)) == 1


_SLOW = (
    sys.executable,
    "-c",
    (
        "import http.server, sys, time\n"
        "for part in range(15):\n"
        "    print('loading', part, flush=True)\n"
        "    time.sleep(0.1)\n"
        "handler = http.server.SimpleHTTPRequestHandler\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), handler).serve_forever()\n"
    ),
    Port(),
)


def test_a_slow_start_that_gets_on_is_waited_for(supervisor: Supervisor) -> None:
    running = supervisor.start(server(argv=_SLOW, ready_within=0.5))
    assert supervisor.start(server(argv=_SLOW, ready_within=0.5)).pid == running.pid


def test_a_start_without_a_sign_is_given_up(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProcessError, match=r"no sign of getting on for 0.3 s"):
        supervisor.start(server(argv=_SLEEPER, ready_within=0.3))
    monkeypatch.setenv("POCKET_PATIENCE", "2")
    with pytest.raises(ProcessError, match=r"no sign of getting on for 0.6 s"):
        supervisor.start(server(argv=_SLEEPER, ready_within=0.3))
    assert supervisor.status() == []
