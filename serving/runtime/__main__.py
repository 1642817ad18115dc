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
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import structlog

from contracts.artifact import Artifact
from contracts.document import parse_duration
from contracts.errors import MillwrightError, UsageError
from serving.protocol import ORIGINS_VARIABLE
from serving.runtime.app import App
from serving.runtime.connections import MOST_HELD
from serving.runtime.feedback import Record
from serving.runtime.limits import Batch, Limits
from serving.runtime.meaning import Meaning
from serving.runtime.model import Model
from serving.runtime.predictor.workers import PredictorModel
from serving.runtime.refusal import CANNOT_SERVE, SERVES
from serving.runtime.repository import Repository, Rules
from serving.runtime.served import Served, labels_of
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
    parser.add_argument(
        "--also-port",
        type=int,
        default=0,
        metavar="PORT",
        help="another one, where a network names ports by their protocol; both speak REST and gRPC",
    )
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
    parser.add_argument(
        "--max-active",
        type=int,
        default=Limits.active,
        metavar="REQUESTS",
        help="that are answered at once, by all workers together",
    )
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
    parser.add_argument(
        "--workers", type=positive, default=1, help="processes that serve as one server"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM; 0 when every request was answered, 1 when the model cannot be served."""
    began = time.monotonic()
    options = arguments(argv)
    configure_log()
    try:
        serves, what = prepare(options)
    except MillwrightError as error:
        print(f"{CANNOT_SERVE}{error}", file=sys.stderr)
        return error.exit_code

    def announce() -> None:
        structlog.get_logger("serving.runtime").info(
            SERVES, **what, port=options.port, seconds=round(time.monotonic() - began, 3)
        )

    return run(serves, announce)


def configure_log() -> None:
    """A line of JSON for each event, on the standard error."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def prepare(options: argparse.Namespace) -> tuple[Serves, Facts]:
    """What the command line asks for, ready to run.

    Raises:
        MillwrightError: it cannot be served.
    """
    if options.repository:
        return several(options)
    return together(options) if options.workers > 1 else one(options)


def run(serves: Serves, announce: Callable[[], None]) -> int:
    """Serve until SIGTERM or SIGINT, and announce when that begins; gives the exit status."""
    if isinstance(serves, Server):
        serves.announce = announce
    else:
        announce()
    return serves.run()


class Serves(Protocol):
    """What serves until SIGTERM."""

    def run(self) -> int:
        """Serve; gives the exit status."""


Facts = dict[str, Any]
"""What the log says of what is served."""


def one(options: argparse.Namespace) -> tuple[Serves, Facts]:
    """One version of one model, loaded, in this process.

    Raises:
        MillwrightError: there is none, or it cannot be loaded.
    """
    artifact, content = fetch(options.artifact)
    model = load(options, artifact, content)
    served = Served(model, **settings_of(options, content, model))
    return alone(options, served, limits_of(options)), {
        "model": served.name,
        "version": served.version,
    }


def several(options: argparse.Namespace) -> tuple[Serves, Facts]:
    """The models of a repository, none of them loaded yet.

    Raises:
        UnreachableError: it cannot be listed.
        UsageError: an option is given that is of one model alone.
    """
    if options.name or options.batch_rows or options.workers > 1:
        raise UsageError(
            "--name, --batch-rows and --workers are of one model, and a repository has several",
            where="--repository",
            fix="Leave them out, or serve one model by --artifact.",
        )
    rules = Rules(memory=options.memory, threads=options.threads, slow_over=options.slow_over)
    served = Repository(options.repository, rules=rules, predictor=options.predictor)
    limits = limits_of(options)
    # One of several models may not keep the others from being answered.
    limits = replace(limits, each=max(1, limits.active // 4))
    facts = {"repository": options.repository, "models": len(served.current)}
    return alone(options, served, limits), facts


def alone(options: argparse.Namespace, served: Served | Repository, limits: Limits) -> Server:
    """A server in this process."""
    app = App(served, limits=limits, origins=options.origin)
    return Server(
        app, host=options.host, port=options.port, also=options.also_port, grace=options.grace
    )


def load(options: argparse.Namespace, artifact: Artifact, content: bytes) -> Model:
    """The model, ready for its first request.

    Raises:
        ServingError: it cannot be served.
    """
    name = options.name or artifact.name
    if artifact.format == "predictor":
        return PredictorModel(name, artifact, content)
    model = Model(name, artifact, content, options.threads)
    model.warm_up()
    return model


def settings_of(options: argparse.Namespace, content: bytes, model: Model) -> dict[str, Any]:
    """How a model is served."""
    return {
        "predictor": options.predictor,
        "slow_over": options.slow_over,
        **({} if isinstance(model, PredictorModel) else calls_of(options, content, model)),
    }


def calls_of(options: argparse.Namespace, content: bytes, model: Model) -> dict[str, Any]:
    """How requests share calls of a model of ONNX."""
    return {"shared": can_share(content, model), "batch": batch_of(options, model)}


def limits_of(options: argparse.Namespace) -> Limits:
    """What bounds the work of all workers together."""
    active = options.max_active
    return Limits(body=options.max_body, active=active, each=active)


def together(options: argparse.Namespace) -> tuple[Serves, Facts]:
    """One version of one model, in several processes.

    Raises:
        MillwrightError: there is none, or it cannot be loaded.
    """
    from serving.runtime.workers.counting import FLOATS, SharedCounters
    from serving.runtime.workers.memory import Memory
    from serving.runtime.workers.parent import Parent
    from serving.runtime.workers.worker import Post, SharedServed, Worker, share

    artifact, content = fetch(options.artifact)
    if artifact.format == "predictor":
        raise UsageError(
            "the model is a person's own code, which says itself in how many processes it runs",
            where="--workers",
            fix="Leave it out, and register the model with more workers.",
        )
    # The threads of a session do not survive a fork: then each worker loads its own.
    model = None if options.threads > 1 else load(options, artifact, content)
    name, count = options.name or artifact.name, options.workers
    meaning = Meaning(artifact)
    labels = labels_of(name, artifact.version, options.predictor)
    names = [tensor.name for tensor in artifact.inputs]
    counters = SharedCounters(labels, options.slow_over, meaning.bounds, names)

    def work(post: Post) -> int:
        try:
            own = model or load(options, artifact, content)
        except MillwrightError as error:
            print(f"{CANNOT_SERVE}{error}", file=sys.stderr)
            return error.exit_code
        served = SharedServed(own, post, counters, **settings_of(options, content, own))
        limits = share(limits_of(options), count)
        app = App(served, limits=limits, origins=options.origin)
        held = max(MOST_HELD // count, limits.body)
        return Worker(app, post, served.questions, held=held).run()

    parent = Parent(
        count,
        host=options.host,
        port=options.port,
        also=options.also_port,
        grace=options.grace,
        work=work,
        record=Record(artifact.version, meaning.is_wrong),
        counters=counters,
        memory=Memory(count, integers=counters.integers, floats=FLOATS),
    )
    return parent, {"model": name, "version": artifact.version, "workers": count}


if __name__ == "__main__":
    sys.exit(main())
