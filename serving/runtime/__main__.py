"""``python -m serving.runtime --artifact URI --port N``: serve one version of one model."""

from __future__ import annotations

import argparse
import os
import sys
import time

import structlog

from contracts.document import parse_duration
from contracts.errors import MillwrightError
from serving.protocol import ORIGINS_VARIABLE
from serving.runtime.app import App
from serving.runtime.limits import Batch, Limits
from serving.runtime.model import Model
from serving.runtime.refusal import CANNOT_SERVE, SERVES
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
    parser.add_argument("--artifact", required=True, metavar="URI", help="folder or s3:// prefix")
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
        artifact, content = fetch(options.artifact)
        model = Model(options.name or artifact.name, artifact, content, options.threads)
    except MillwrightError as error:
        print(f"{CANNOT_SERVE}{error}", file=sys.stderr)
        return error.exit_code
    model.warm_up()
    served = Served(
        model,
        predictor=options.predictor,
        slow_over=options.slow_over,
        shared=can_share(content, model),
        batch=batch_of(options, model),
    )
    app = App(
        served,
        limits=Limits(body=options.max_body, active=options.max_active),
        origins=options.origin,
    )
    structlog.get_logger("serving.runtime").info(
        SERVES,
        model=model.name,
        version=model.version,
        port=options.port,
        seconds=round(time.monotonic() - began, 3),
    )
    return Server(app, host=options.host, port=options.port, grace=options.grace).run()


if __name__ == "__main__":
    sys.exit(main())
