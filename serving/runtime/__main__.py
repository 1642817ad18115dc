"""``python -m serving.runtime --artifact URI --port N``: serve one version of one model.

With ``--repository URI`` in place of ``--artifact`` it serves the models of a repository, each when
it is asked for.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time

import structlog

from contracts.document import parse_duration
from contracts.errors import MillwrightError, UsageError
from serving.protocol import ORIGINS_VARIABLE
from serving.runtime.app import App
from serving.runtime.limits import Batch, Limits
from serving.runtime.model import Model
from serving.runtime.refusal import CANNOT_SERVE, SERVES
from serving.runtime.repository import Repository, Rules
from serving.runtime.served import Served
from serving.runtime.server import Server
from serving.runtime.store import fetch
from serving.runtime.turns import can_join, can_share


def duration(text: str) -> float:
    """An argument such as 50ms or 5s, in seconds."""
    try:
        seconds = parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    assert isinstance(seconds, float)
    return seconds


def positive(text: str) -> int:
    """An argument that counts something."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def size(text: str) -> int:
    """An argument such as 512MiB or 2GiB, in bytes."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(Ki|Mi|Gi|Ti)?B?", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512MiB or 2GiB")
    return int(float(match[1]) * 1024 ** ("", "Ki", "Mi", "Gi", "Ti").index(match[2] or ""))


def batch_of(options: argparse.Namespace, model: Model) -> Batch | None:
    """How requests wait for others; said aloud where the model has no use for it."""
    if options.batch_rows is None:
        return None
    if can_join(model):
        return Batch(rows=options.batch_rows, wait=options.batch_wait)
    structlog.get_logger("serving.runtime").warning(
        "not batched", model=model.name, why="the model takes a fixed number of rows"
    )
    return None


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.runtime", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--artifact", metavar="URI", help="folder or s3:// prefix")
    what.add_argument(
        "--repository",
        metavar="URI",
        help="folder or s3:// prefix with <model>/<version>/ in it, each an artifact; models are "
        "loaded when they are asked for",
    )
    parser.add_argument(
        "--memory",
        type=size,
        metavar="SIZE",
        help="what a repository's loaded models may take together, such as 2GiB",
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", default="", help="the model's name in paths; the artifact's own")
    parser.add_argument("--predictor", default="", help="the name that traffic is sent to it by")
    parser.add_argument("--slow-over", type=duration, default=0.05, metavar="DURATION")
    parser.add_argument("--grace", type=duration, default=5.0, metavar="DURATION")
    parser.add_argument("--max-body", type=int, default=Limits.body, metavar="BYTES")
    parser.add_argument(
        "--origin",
        action="append",
        default=os.environ.get(ORIGINS_VARIABLE, "").split(),
        metavar="ORIGIN",
        help="an origin whose pages may ask, such as https://app.example.com; * for all; "
        f"also {ORIGINS_VARIABLE}",
    )
    parser.add_argument("--max-active", type=int, default=Limits.active, metavar="REQUESTS")
    parser.add_argument(
        "--batch-rows",
        type=positive,
        metavar="ROWS",
        help="requests wait for others, to share calls of so many rows at most",
    )
    parser.add_argument(
        "--batch-wait",
        type=duration,
        default=Batch.wait,
        metavar="DURATION",
        help="how long they wait at most, in whole milliseconds; 0ms for those that are there at "
        "the same time",
    )
    parser.add_argument("--threads", type=positive, default=1, help="of one call of the model")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM; 0 when every request was answered, 1 when the model cannot be served."""
    began = time.monotonic()
    options = arguments(argv)
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        served = repository(options) if options.repository else one(options)
    except MillwrightError as error:
        print(f"{CANNOT_SERVE}{error}", file=sys.stderr)
        return error.exit_code
    # One of several models may not keep the others from being answered.
    each = max(1, options.max_active // 4) if options.repository else options.max_active
    app = App(
        served,
        limits=Limits(body=options.max_body, active=options.max_active, each=each),
        origins=options.origin,
    )
    what = (
        {"repository": options.repository, "models": len(served.current)}
        if isinstance(served, Repository)
        else {"model": served.name, "version": served.version}
    )
    structlog.get_logger("serving.runtime").info(
        SERVES, **what, port=options.port, seconds=round(time.monotonic() - began, 3)
    )
    return Server(app, host=options.host, port=options.port, grace=options.grace).run()


def one(options: argparse.Namespace) -> Served:
    """One version of one model, loaded.

    Raises:
        MillwrightError: there is none, or it cannot be loaded.
    """
    artifact, content = fetch(options.artifact)
    model = Model(options.name or artifact.name, artifact, content, options.threads)
    model.warm_up()
    return Served(
        model,
        predictor=options.predictor,
        slow_over=options.slow_over,
        shared=can_share(content, model),
        batch=batch_of(options, model),
    )


def repository(options: argparse.Namespace) -> Repository:
    """The models of a repository, none of them loaded yet.

    Raises:
        UnreachableError: it cannot be listed.
        UsageError: an option is given that is of one model alone.
    """
    if options.name or options.batch_rows:
        raise UsageError(
            "--name and --batch-rows are of one model, and a repository has several",
            where="--repository",
            fix="Leave them out, or serve one model by --artifact.",
        )
    rules = Rules(memory=options.memory, threads=options.threads, slow_over=options.slow_over)
    return Repository(options.repository, rules=rules, predictor=options.predictor)


if __name__ == "__main__":
    sys.exit(main())
