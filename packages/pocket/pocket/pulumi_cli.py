"""The Pulumi CLI in the place of the embedded engine: the same program, provider and state.

What Pulumi itself does is the measure of ours, and a person may want it here too. The CLI works on
a file backend of the environment's own, with ``pocket.provider`` as its plugin for ``aws``; nothing
of the person's own Pulumi settings is read or changed. The environment's state stays in one place:
it is lent to the CLI for the length of a command, under the stack's lock, and taken back whatever
happens. A marker on disk says that it is lent, so that a command killed in between loses nothing:
the next one, of either engine, takes it back first.

The functions are those of ``pocket.engine``, for the same workspace.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocket import documents, engine
from pocket.engine import (
    Diagnostic,
    Event,
    Failed,
    Op,
    Plan,
    ResourceOutputs,
    ResourcePre,
    Result,
    Step,
    Summary,
    Workspace,
    urns,
)
from pocket.engine.config import has_secure
from pocket.engine.events import Kind, Listener
from pocket.engine.steps import Diff
from pocket.engine.store import Store
from pocket.engine.workspace import lent, recover, silent
from pocket.errors import DeploymentError, OptionError
from pocket.files import write_whole
from pocket.provider.serving import write_plugin

COMMAND = "pulumi"
LANGUAGE_HOST = "pulumi-language-python"
INSTALL = (
    "Install it as https://www.pulumi.com/docs/install says, with its folder on PATH, or use the "
    "embedded engine, which needs nothing."
)
OPTIONS = ("--non-interactive", "--color", "never")
WORK = ("--yes", "--skip-preview")
ARGUMENTS: Mapping[Kind, tuple[str, ...]] = {
    "preview": ("preview",),
    "up": ("up", *WORK),
    "refresh": ("refresh", *WORK),
    "destroy": ("destroy", *WORK),
}
OPS = {
    "discard-replaced": Op.DISCARD,
    "import": Op.CREATE,
    "import-replacement": Op.CREATE_REPLACEMENT,
}
"""The CLI's names of steps where they differ from ours."""
OWN_PLUGIN = "using pulumi-resource-aws from $PATH"
"""How the CLI warns of a plugin that it has not installed: here that is the point."""
NO_PLUGIN = re.compile(r"no resource plugin 'pulumi-resource-([\w-]+)' found.* version (v\S+)")
"""How the CLI says that a provider of the program is not installed, and which."""
SHOWN = 12
"""How many lines of what the program printed go with a failure."""
LOOK_EVERY = 0.05
"""Seconds between two looks at what the CLI has told."""


def preview(workspace: Workspace, *, on_event: Listener = silent) -> Plan:
    """What ``pulumi up`` would change.

    Raises:
        OptionError: the CLI is missing, or the program's virtual environment.
        DeploymentError: it failed, with what it said.
    """
    return operate(workspace, "preview", on_event)


def up(workspace: Workspace, *, on_event: Listener = silent) -> Result:
    """``pulumi up``. Raises as `preview`; what was done until then is in the state."""
    return operate(workspace, "up", on_event)


def refresh(workspace: Workspace, *, on_event: Listener = silent) -> Result:
    """``pulumi refresh``. Raises as `preview`."""
    return operate(workspace, "refresh", on_event)


def destroy(workspace: Workspace, *, on_event: Listener = silent) -> Result:
    """``pulumi destroy``. Raises as `preview`."""
    return operate(workspace, "destroy", on_event)


def reclaim(workspace: Workspace) -> bool:
    """Take the state back from a command that was killed while the CLI had it.

    Returns:
        whether there was anything to take back.
    """
    if not Home.of(workspace).marker.exists():
        return False
    with lent(workspace, PulumiCli.find(workspace)):
        pass
    return True


def operate(workspace: Workspace, kind: Kind, on_event: Listener) -> Result:
    """Lend the state, run one command of the CLI, take the state back."""
    cli = PulumiCli.find(workspace)
    reclaim(workspace)
    if kind != "preview":
        # The CLI forgets at import what was interrupted, and would then meet it as a stranger.
        recover(workspace, on_event=on_event)
    log = EventLog(kind, on_event)
    started = time.perf_counter()
    with lent(workspace, cli) as document:
        cli.give(document, for_change=kind != "preview")
        cli.operate(kind, log)
    result = Result(
        kind=kind,
        stack=workspace.stack,
        steps=tuple(log.steps),
        outputs=engine.outputs(workspace),
        secret_outputs=engine.secret_outputs(workspace),
        duration=time.perf_counter() - started,
    )
    on_event(Summary(result))
    return result


@dataclass(frozen=True)
class Home:
    """Where the CLI keeps what belongs to one environment."""

    folder: Path

    @classmethod
    def of(cls, workspace: Workspace) -> Home:
        return cls(workspace.folder / workspace.stack / COMMAND)

    @property
    def marker(self) -> Path:
        """Stands while the CLI has the state."""
        return self.folder / "lent"

    @property
    def state(self) -> Path:
        """The folder of the file backend."""
        return self.folder / "state"

    @property
    def plugins(self) -> Path:
        """The folder that goes on PATH."""
        return self.folder / "bin"

    @property
    def events(self) -> Path:
        """What the CLI tells while it works, a JSON document a line."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the last command printed."""
        return self.folder / "output.log"


@dataclass(frozen=True)
class PulumiCli:
    """The CLI at work on one stack.

    Args:
        executable: the command.
        workspace: the stack.
    """

    executable: Path
    workspace: Workspace

    @classmethod
    def find(cls, workspace: Workspace) -> PulumiCli:
        """The CLI on PATH.

        Raises:
            OptionError: it, its host for Python programs or the program's virtual environment is
            not there.
        """
        missing = [name for name in (COMMAND, LANGUAGE_HOST) if not shutil.which(name)]
        if missing:
            raise OptionError(
                f"the Pulumi CLI is not on PATH ({' and '.join(missing)})",
                where=str(workspace.program),
                fix=INSTALL,
            )
        virtualenv = workspace.project().virtualenv
        if virtualenv and not (virtualenv / "bin" / "python").exists():
            # The CLI would make an empty one, and the program would find no library in it.
            raise OptionError(
                "the virtual environment that Pulumi.yaml names is not there",
                where=str(virtualenv),
                fix="Make it, with what the program needs in it.",
            )
        return cls(Path(shutil.which(COMMAND) or COMMAND), workspace)

    @property
    def home(self) -> Home:
        return Home.of(self.workspace)

    @property
    def config_file(self) -> Path:
        """The stack's settings as the CLI gets them: a copy, into which the salt goes."""
        return self.home.folder / f"Pulumi.{self.workspace.stack}.yaml"

    def environment(self) -> dict[str, str]:
        """What the CLI runs with: its own home and backend, no calls to anybody."""
        self.home.state.mkdir(parents=True, exist_ok=True)
        return {
            **os.environ,
            "PATH": os.pathsep.join((*self._first, os.environ.get("PATH", ""))),
            "PYTHONPATH": os.pathsep.join(
                filter(
                    None,
                    (*map(str, self.workspace.python_path), os.environ.get("PYTHONPATH", "")),
                )
            ),
            "PULUMI_HOME": str(self.home.folder / "home"),
            "PULUMI_BACKEND_URL": self.home.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": self.workspace.passphrase(create=True) or "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # the event log is one of those
        }

    @property
    def _first(self) -> tuple[str, str]:
        """What comes first on PATH: our plugin, and the Python that this process runs with, which
        is the program's where Pulumi.yaml names no virtual environment."""
        return str(self.home.plugins), str(Path(sys.executable).parent)

    def give(self, document: Mapping[str, Any], *, for_change: bool) -> None:
        """Put a state into the CLI's backend, in place of what it has."""
        self._prepare(document)
        path = self.home.folder / "given.json"
        write_private(path, json.dumps(document))
        self.call("stack", "import", "--stack", self.workspace.stack, "--file", str(path))
        path.unlink()
        if for_change:
            # From here on the CLI's state is the newer one.
            self.home.marker.touch()

    def take_back(self) -> Mapping[str, Any] | None:
        """The state as the CLI has it now; None where it got none to change."""
        if not self.home.marker.exists():
            return None
        # A command that was killed has left its lock; the stack's own lock is ours.
        self.call("cancel", "--yes", self.workspace.stack)
        text = self.call("stack", "export", "--stack", self.workspace.stack)
        found: dict[str, Any] = json.loads(text)
        return found

    def returned(self) -> None:
        """The state has arrived where it belongs."""
        self.home.marker.unlink(missing_ok=True)

    def operate(self, kind: Kind, log: EventLog) -> None:
        """Run one command to its end, telling its events as they come.

        Raises:
            DeploymentError: it failed.
        """
        events = self.home.events
        events.write_text("")
        argv = (
            *(str(self.executable), *ARGUMENTS[kind], *OPTIONS),
            *("--stack", self.workspace.stack, "--config-file", str(self.config_file)),
            *("--event-log", str(events), "--suppress-progress"),
            *("--parallel", str(self.workspace.parallel)),
        )
        directory = self.workspace.project().directory
        with self.home.log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                argv, cwd=directory, env=self.environment(), stdout=output, stderr=output
            )
            try:
                log.follow(events, process)
            except KeyboardInterrupt:
                # It has got the signal too: it ends what it has begun, and saves it.
                process.wait()
                raise
        if process.returncode:
            said = log.failure() or last_lines(self.home.log)
            if lacking := NO_PLUGIN.search(said):
                raise self._lacking(*lacking.groups())
            raise DeploymentError(
                said,
                where=f"pulumi {kind} of {self.workspace.stack}",
                fix=f"All that it printed is in {self.home.log}; what it did is in the state.",
            )

    def _lacking(self, package: str, version: str) -> OptionError:
        """What to do about a plugin that is not there; none is fetched without being asked for."""
        home = shlex.quote(str(self.home.folder / "home"))
        return OptionError(
            f"the Pulumi CLI has no plugin for {package} {version} here",
            where=str(self.workspace.program),
            fix=f"Install it where this stack's CLI looks: PULUMI_HOME={home} "
            f"pulumi plugin install resource {package} {version}; or use the embedded engine.",
        )

    def call(self, *arguments: str) -> str:
        """Run one short command in the CLI's own folder, and give what it prints.

        Raises:
            DeploymentError: it failed.
        """
        done = subprocess.run(
            [str(self.executable), *arguments, "--non-interactive", "--color", "never"],
            cwd=self.home.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DeploymentError(
                done.stderr.strip() or done.stdout.strip() or "it failed without a message",
                where=f"pulumi {' '.join(arguments[:2])}",
            )
        return done.stdout

    def _prepare(self, document: Mapping[str, Any]) -> None:
        """The plugin, the settings, and an empty stack where there is none yet."""
        write_plugin(self.home.plugins)
        project = self.workspace.project()
        write_private(self.home.folder / "Pulumi.yaml", f"name: {project.name}\nruntime: python\n")
        theirs = project.directory / f"Pulumi.{self.workspace.stack}.yaml"
        settings = documents.read(theirs) if theirs.is_file() else {}
        if not has_secure(settings.get("config")):
            # The file's own salt may be there for a backend with another passphrase.
            provider = document["deployment"]["secrets_providers"]
            settings["encryptionsalt"] = provider["state"]["salt"]
        given = {
            key if ":" in key else f"{project.name}:{key}": value
            for key, value in self.workspace.config.items()
        }
        settings["config"] = {**(settings.get("config") or {}), **given}
        # JSON is YAML in which every text has quotes, and so stays one.
        write_private(self.config_file, json.dumps(settings, ensure_ascii=False))
        backend = self.home.state / ".pulumi" / "stacks" / project.name
        if not (backend / f"{self.workspace.stack}.json").is_file():
            self.call("stack", "init", self.workspace.stack, "--no-select")
        self._show_other_stacks(project.name)

    def _show_other_stacks(self, project: str) -> None:
        """Lay the states of the workspace's other stacks beside this one's, as the backend keeps
        them: that is where a StackReference looks."""
        for path in self.workspace.folder.glob("*/state.json"):
            stack = path.parent.name
            document = Store(self.workspace.folder, stack, self.workspace.passphrase()).export()
            deployment = document.get("deployment") or {}
            urn = next((one["urn"] for one in deployment.get("resources") or ()), "")
            owner = urns.Urn.parse(urn).project if urn else project
            if stack == self.workspace.stack and owner == project:
                continue
            latest = {"stack": f"organization/{owner}/{stack}", "latest": deployment}
            checkpoint = {**document, "checkpoint": latest}
            del checkpoint["deployment"]
            kept = self.home.state / ".pulumi" / "stacks" / owner / f"{stack}.json"
            write_private(kept, json.dumps(checkpoint))


@dataclass
class EventLog:
    """Turns the CLI's events into the engine's.

    Args:
        kind: the operation.
        listener: told of each.
    """

    kind: Kind
    listener: Listener
    steps: list[Step] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    """What the program wrote to its standard error: a traceback, if it ended with one."""

    def __post_init__(self) -> None:
        self._begun: dict[tuple[str, str], tuple[float, Mapping[str, Any]]] = {}

    def follow(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        """Tell what a process writes to its event log until it ends."""
        with path.open(encoding="utf-8") as stream:
            rest = ""
            while True:
                ended = process.poll() is not None
                *lines, rest = (rest + stream.read()).split("\n")
                for line in lines:
                    if line.strip():
                        self.take(json.loads(line))
                if ended:
                    return
                time.sleep(LOOK_EVERY)

    def take(self, event: Mapping[str, Any]) -> None:
        """Tell one event."""
        for told in self._translated(event):
            self.listener(told)

    def failure(self) -> str:
        """What went wrong, as the program, the provider or the CLI said it."""
        return "\n".join((*self.printed[-SHOWN:], *dict.fromkeys(self.errors)))

    def _translated(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if found := event.get("resourcePreEvent"):
            metadata = found["metadata"]
            self._begun[metadata["urn"], metadata["op"]] = time.perf_counter(), metadata
            yield ResourcePre(step_of(metadata))
        elif found := event.get("resOutputsEvent"):
            yield from map(ResourceOutputs, self._ended(found["metadata"]))
        elif found := event.get("resOpFailedEvent"):
            yield from (Failed(step, "failed") for step in self._ended(found["metadata"], "failed"))
        elif found := event.get("diagnosticEvent"):
            yield from self._diagnostic(found)
        elif (found := event.get("summaryEvent")) and found.get("result") == "succeeded":
            # Of a component that declares no outputs the CLI says nothing more.
            for _, metadata in list(self._begun.values()):
                yield from map(ResourceOutputs, self._ended(metadata))

    def _ended(self, metadata: Mapping[str, Any], error: str = "") -> Iterator[Step]:
        """The step that is over; none where only a component has told its outputs."""
        # What begins as a refresh ends as what it found: the same, an update, a deletion.
        keys = ((metadata["urn"], op) for op in (metadata["op"], Op.REFRESH.value))
        begun = next((self._begun.pop(key) for key in keys if key in self._begun), None)
        if begun is None:
            return
        seconds = 0.0 if self.kind == "preview" else time.perf_counter() - begun[0]
        step = step_of(metadata, error, seconds)
        self.steps.append(step)
        yield step

    def _diagnostic(self, found: Mapping[str, Any]) -> Iterator[Event]:
        severity, _, stream = str(found.get("severity", "info")).partition("#")
        message = str(found.get("message", "")).strip()
        if not message or found.get("ephemeral") or OWN_PLUGIN in message:
            return
        if severity == "error":
            self.errors.append(message)
        elif stream == "err":
            self.printed.append(message)
        if severity in ("debug", "info", "warning", "error"):
            yield Diagnostic(severity, message, found.get("urn", ""))  # type: ignore[arg-type]


def step_of(metadata: Mapping[str, Any], error: str = "", duration: float = 0.0) -> Step:
    """A step from an event's ``metadata``."""
    name = metadata["op"]
    differences = metadata.get("detailedDiff") or {}
    diff = Diff(
        changed=bool(differences or metadata.get("diffs")),
        replace_keys=tuple(metadata.get("keys") or ()),
        changed_keys=tuple(metadata.get("diffs") or ()),
        detailed={path: one["diffKind"] for path, one in differences.items()},
    )
    return Step(
        op=OPS.get(name) or Op(name),
        urn=metadata["urn"],
        type=metadata["type"],
        diff=diff,
        provider=metadata.get("provider", ""),
        duration=duration,
        error=error,
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads: states and settings hold what is nobody else's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def last_lines(path: Path, count: int = 12) -> str:
    """The end of what a command printed."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-count:]) or "it failed without a message"
