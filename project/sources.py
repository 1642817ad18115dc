"""Where an environment's outputs come from: one port, and what can be behind it.

Whoever stood the environment up knows them: the embedded engine keeps a file, the Pulumi CLI keeps
them in the backend that a person is logged in to, and a job in CI may be handed a file. Those who
read outputs see no difference, and what a source lacks is a sentence that says what to do.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from contracts.errors import InfrastructureError
from contracts.outputs import PlatformOutputs
from pocket.errors import ProcessError
from pocket.files import write_whole, writing
from pocket.patience import allowed
from project.pocket_errors import mapped

OUTPUTS_FILE: Final = "outputs.json"
STATE_FILE: Final = "state.json"
"""The engine's state, beside it."""
"""What the embedded engine leaves in an environment's folder."""
PATIENCE: Final = 120.0
"""Seconds that the Pulumi CLI may take: its backend may be far away."""


class OutputsSource(Protocol):
    """Whoever knows an environment's outputs."""

    def read(self) -> PlatformOutputs:
        """The outputs.

        Raises:
            InfrastructureError: there are none; says how to have some.
            DocumentError: what is there is not what an environment gives.
        """


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """What the embedded engine wrote when it brought the environment up.

    Args:
        root: the environment's folder.
        name: the environment's name.
    """

    root: Path
    name: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / OUTPUTS_FILE

    @property
    def begun(self) -> bool:
        """Whether the engine has begun to bring it up, or has done so."""
        return self.path.is_file() or (self.root / STATE_FILE).is_file()

    def read(self) -> PlatformOutputs:
        """See `OutputsSource.read`."""
        if not self.path.is_file():
            raise InfrastructureError(
                f"the environment {self.name!r} has not been brought up",
                where=str(self.path),
                fix=f"Run `millwright up {self.name}`.".replace(" local`", "`"),
            )
        return PlatformOutputs.read(self.path)

    def write(self, outputs: PlatformOutputs) -> None:
        """Keep them, for `read`.

        Raises:
            LocalError: they cannot be written; the former ones are whole.
        """
        text = json.dumps(outputs.model_dump(mode="json"), indent=2) + "\n"
        fix = f"and run `millwright up {self.name}` again.".replace(" local`", "`")
        with mapped(), writing(self.path, ProcessError, fix):
            self.root.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, text)


@dataclass(frozen=True, kw_only=True)
class PulumiStack:
    """What the Pulumi CLI says, whichever backend the person is logged in to.

    Source: https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_output/

    Args:
        folder: the project's folder.
        name: the stack's name, which is the environment's.
    """

    folder: Path
    name: str

    @property
    def where(self) -> str:
        """The stack, for messages."""
        return f"the Pulumi stack {self.name!r}"

    def read(self) -> PlatformOutputs:
        """See `OutputsSource.read`."""
        answer = self._ask()
        try:
            values = json.loads(answer)
        except ValueError:
            raise InfrastructureError(
                f"the Pulumi CLI answers what is not JSON: {_first_line(answer)}",
                where=self.where,
                fix="See what `pulumi stack output --json` says here, or give --outputs FILE.",
            ) from None
        if not values:
            raise InfrastructureError(
                f"the environment {self.name!r} has not been brought up: it has no outputs",
                where=self.where,
                fix=f"Run `pulumi up -s {self.name}`.",
            )
        return PlatformOutputs.parse(values, where=f"the outputs of {self.where}")

    def _ask(self) -> str:
        command = ("pulumi", "stack", "output", "--json", "--show-secrets=false")
        try:
            done = subprocess.run(
                (*command, "--stack", self.name),
                cwd=self.folder,
                env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
                # A question (for a passphrase, say) would be asked where nobody sees it.
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=allowed(PATIENCE),
                check=False,
            )
        except FileNotFoundError:
            raise InfrastructureError(
                "the Pulumi CLI, which knows the environment's outputs, is not installed",
                where=self.where,
                fix="Install it (https://www.pulumi.com/docs/install), or give the outputs with "
                f"--outputs FILE. An environment that was never stood up has none: `pulumi up -s "
                f"{self.name}` does that.",
            ) from None
        except subprocess.TimeoutExpired:
            raise InfrastructureError(
                f"the Pulumi CLI did not answer within {allowed(PATIENCE):g} s",
                where=self.where,
                fix="Is its backend reachable? See `pulumi whoami --verbose`.",
            ) from None
        if done.returncode:
            raise InfrastructureError(
                f"the Pulumi CLI refuses: {_error_of(done.stderr)}",
                where=self.where,
                fix=f"Sign in to its backend with `pulumi login`; `pulumi up -s {self.name}` "
                "brings the environment up.",
            )
        return done.stdout


@dataclass(frozen=True, kw_only=True)
class OutputsFile:
    """A file that somebody wrote with ``millwright outputs --json`` or ``pulumi stack output``.

    Args:
        path: the file.
        name: the environment that it has to be of.
    """

    path: Path
    name: str

    def read(self) -> PlatformOutputs:
        """See `OutputsSource.read`."""
        if not self.path.is_file():
            raise InfrastructureError(
                "there is no such file of outputs",
                where=str(self.path),
                fix=f"Write it with `pulumi stack output --json -s {self.name} > {self.path}`.",
            )
        outputs = PlatformOutputs.read(self.path)
        if outputs.environment != self.name:
            raise InfrastructureError(
                f"these are the outputs of {outputs.environment!r}, not of {self.name!r}",
                where=str(self.path),
                fix=f"Name the environment with -e {outputs.environment}, or give its own file.",
            )
        return outputs


def _error_of(text: str) -> str:
    """The sentence in what the CLI wrote to its standard error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it says nothing"])[0]


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing"])[0][:80]
