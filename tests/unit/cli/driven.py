"""Every command where nothing can be written: `python -m tests.unit.cli.driven FULL CLOSED`.

In the first folder no file may have a byte, the second is not to be written into. One process tries
both, because importing everything is what takes long. Prints a line of JSON for each command: its
words, its exit code and what a person read.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import resource
import sys
from unittest import mock

from cli.main import main
from tests.unit.cli.test_hostile_values import COMMAND, COMMANDS, given

STATE = '{"version": 3, "deployment": {"manifest": {}, "resources": []}}'
CAPABILITIES = 0x20080522
"""The version of capset's structures; https://man7.org/linux/man-pages/man2/capset.2.html."""
OVERRIDES = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what lets root pass over a folder's mode."""


def obey_modes() -> None:
    """Be held by files' modes, as root as well."""
    if os.getuid() == 0:
        system = ctypes.CDLL(None, use_errno=True)
        head, sets = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
        asked = system.capget(head, sets)
        sets[0] &= ~OVERRIDES  # the effective ones below 32
        if asked or system.capset(head, sets):
            raise OSError(ctypes.get_errno(), "capset")


def run(words: tuple[str, ...]) -> dict[str, object]:
    """How a command ends."""
    said = io.StringIO()
    command = [*words, *given(COMMANDS[words], None, "")]
    with (
        mock.patch.object(sys, "argv", ["millwright", *command]),
        mock.patch.object(sys, "stdin", io.StringIO(STATE)),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
        contextlib.suppress(SystemExit),
    ):
        try:
            main()
        except SystemExit as ended:
            return {"words": words, "code": ended.code, "said": said.getvalue()}
    raise AssertionError("a command ends its process")


if __name__ == "__main__":
    with mock.patch("typer.main.get_command", return_value=COMMAND):  # made once
        for how, folder in zip(("full", "closed"), sys.argv[1:], strict=True):
            os.chdir(folder)
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0 if how == "full" else most, most))
            if how == "closed":
                obey_modes()
            for each in COMMANDS:
                print(json.dumps({"how": how, **run(each)}), flush=True)
