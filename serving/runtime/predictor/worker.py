"""``python -m serving.runtime.predictor.worker FD FOLDER NAMES MEMORY``: runs a person's code.

A process of its own, so that what the code does to itself it does to nobody else. It ends when the
server does: its end of the socket is closed then, and the kernel ends it even where the code hangs.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from contracts.predictor import CODE_FILE
from serving.runtime.predictor.messages import (
    SIZE,
    Reply,
    array_of,
    column_of,
    decode_table,
    framed,
)

_PARENT_DIES = 1
"""prctl's PR_SET_PDEATHSIG."""


def main(argv: list[str]) -> int:
    """Load, say so, and answer one table after the other."""
    number, folder, names, memory = int(argv[0]), Path(argv[1]), json.loads(argv[2]), int(argv[3])
    _end_with_parent()
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with socket.socket(fileno=number) as server:
        try:
            predictor = _loaded(folder)
        except BaseException:  # noqa: BLE001  whatever their code does
            server.sendall(framed(Reply(error=_what(folder))))
            return 1
        server.sendall(framed(Reply()))
        while content := _read(server):
            server.sendall(_answer(predictor, content, names, folder))
    return 0


def _loaded(folder: Path) -> Any:
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("predict", folder / CODE_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["predict"] = module
    spec.loader.exec_module(module)
    predictor = module.Predictor()
    if hasattr(predictor, "load"):
        predictor.load(folder)
    return predictor


def _answer(predictor: Any, content: bytes, names: list[str], folder: Path) -> bytes:
    table = decode_table(content)
    try:
        given = predictor.predict(
            {name: array_of(column).copy() for name, column in table.columns.items()}
        )
        if not isinstance(given, dict):
            if len(names) != 1:
                raise TypeError(f"predict gave {type(given).__name__}; expected a dict of {names}")
            given = {names[0]: given}
        outputs = {}
        for name, values in given.items():
            try:
                outputs[str(name)] = column_of(np.asarray(values))
            except ValueError as error:
                raise TypeError(f"predict gave {name!r} with {error}") from None
        return framed(Reply(outputs))
    except BaseException as error:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise
        return framed(Reply(error=_what(folder)))


def _what(folder: Path) -> str:
    """The error that is being handled, and where in their code it was; the log gets all of it."""
    kind, error, trace = sys.exc_info()
    traceback.print_exc()
    frames = [
        frame for frame in traceback.extract_tb(trace) if frame.filename.startswith(str(folder))
    ]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    name = kind.__name__ if kind else "error"
    return f"{name}: {str(error).partition(chr(10))[0][:300]}{place}"


def _read(server: socket.socket) -> bytes:
    size = _exactly(server, SIZE.size)
    return _exactly(server, SIZE.unpack(size)[0]) if size else b""


def _exactly(server: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = server.recv(min(size - len(content), 2**20))
        if not piece:
            return b""
        content += piece
    return bytes(content)


def _end_with_parent() -> None:
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the server drains first
    with suppress(AttributeError, OSError):  # elsewhere than on Linux the socket has to do
        ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
