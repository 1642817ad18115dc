"""``millwright serve run``: one inference server, in the foreground."""

from __future__ import annotations

import json
import math
import shlex
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from cli.app import output
from cli.commands.tuning import group, named
from cli.common import EnvironmentOption, MlflowOption, OutputsOption, model_of, project
from cli.completing import models
from contracts.errors import UsageError

if TYPE_CHECKING:
    from contracts.artifact import Tensor
    from project.handle import Project

HIGHEST = 65535


@group.command()
def run(
    model: str = typer.Argument(
        "",
        metavar="MODEL",
        help="The model's folder in models/; or all of a --repository.",
        autocompletion=models,
    ),
    version: str = typer.Option("", help="The version; the newest registered one when left out."),
    alias: str = typer.Option("", help="The version that has this alias."),
    repository: str = typer.Option(
        "", metavar="URI", help="Serve every <model>/<version>/ of a folder or an s3:// prefix."
    ),
    memory: str = typer.Option(
        "", metavar="SIZE", help="What a repository's loaded models may take together: 2GiB."
    ),
    port: int = typer.Option(8080, help="Its port on 127.0.0.1.", min=1, max=HIGHEST),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
) -> None:
    """Run an inference server until ctrl-C, for one version or for a repository.

    No rollout is asked and nothing is routed to it: it is the server that a rollout starts, alone.
    """
    where = project(environment, outputs=outputs, mlflow=mlflow)
    check_options(model, version, alias, repository, memory)
    if repository:
        arguments, path = of_repository(where, repository, memory)
    else:
        arguments, path = of_version(where, model, version, alias)
    url = f"http://127.0.0.1:{port}"
    line = f"curl -s {url}{path}"
    check_port(port)
    serve(
        [*arguments, "--port", str(port), "--grace", "1s"],
        lambda: announce(url, line),
    )


def announce(url: str, line: str) -> None:
    """Say where it serves; at once, for the command stays."""
    output.result(
        {"url": url, "curl": line},
        lambda console: console.print(
            f"    serves at {url} until ctrl-C\n    {escape(line)}", soft_wrap=True
        ),
    )
    sys.stdout.flush()


def check_options(model: str, version: str, alias: str, repository: str, memory: str) -> None:
    """Refuse options that do not belong together.

    Raises:
        UsageError: they do not.
    """
    if bool(model) == bool(repository):
        raise UsageError(
            "nothing says what is served" if not model else "two things to serve are given",
            where="MODEL and --repository",
            fix="Give one of them.",
        )
    if version and alias:
        raise UsageError(
            "two versions are named", where="--version and --alias", fix="Give one of them."
        )
    if repository and (version or alias):
        raise UsageError(
            "a repository's clients choose the version",
            where="--version" if version else "--alias",
            fix="Leave it out: they ask /v2/models/MODEL/versions/N.",
        )
    if memory and not repository:
        raise UsageError(
            "one model stays loaded", where="--memory", fix="Leave it out, or give --repository."
        )


def of_repository(where: Project, repository: str, memory: str) -> tuple[list[str], str]:
    """A repository server's arguments, and the path and body of a first question.

    Raises:
        UnreachableError: it cannot be listed.
        UsageError: the size is none.
    """
    import argparse

    from serving.runtime.__main__ import size
    from serving.runtime.repository import listing

    if memory:
        try:
            size(memory)
        except (argparse.ArgumentTypeError, OverflowError):
            raise UsageError(
                f"{memory[:40]!r} is no size", where="--memory", fix="Write one such as 2GiB."
            ) from None
    if repository.startswith("s3:"):
        where.connect()
    if not listing(repository):
        raise UsageError(
            "there is no artifact in it",
            where=repository,
            fix="A repository has <model>/<version>/ in it, each an artifact.",
        )
    arguments = [f"--repository={repository}", *([f"--memory={memory}"] if memory else [])]
    return arguments, "/v2/repository/index -d '{}'"


def of_version(where: Project, model: str, version: str, alias: str) -> tuple[list[str], str]:
    """A version's server's arguments, and the path and body of a first question.

    Raises:
        UsageError: the version is no number.
        RolloutError: it is not registered.
    """
    from serving.rollout.pods import options, slow_over
    from serving.runtime.store import fetch_document

    if version and not version.isdecimal():
        raise UsageError(
            f"{version!r} is no version's number",
            where="--version",
            fix="Write one such as 3; an alias is named by --alias.",
        )
    if alias.isdecimal():
        raise UsageError(
            f"{alias!r} is a version's number", where="--alias", fix="Name it by --version."
        )
    spec, _ = model_of(where, model)
    target = named(where, spec, version or alias)
    where.connect()
    artifact = fetch_document(target.uri)
    # A person's own code says itself in how many processes it runs.
    settings = options(spec.serving) if artifact.format == "onnx" else ()
    arguments = ["--artifact", target.uri, "--name", spec.name, "--slow-over", slow_over(spec)]
    body = json.dumps({"inputs": [example(own) for own in artifact.inputs]})
    return [*arguments, *settings], f"/v2/models/{spec.name}/infer -d {shlex.quote(body)}"


def example(tensor: Tensor) -> dict[str, object]:
    """An input of one row, made up from the signature."""
    shape = [1 if length < 0 else length for length in tensor.shape]
    value: object = tensor.minimum if tensor.minimum is not None else 0
    if tensor.datatype == "BYTES":
        value = tensor.categories[0] if tensor.categories else ""
    elif tensor.datatype == "BOOL":
        value = False
    elif "INT" in tensor.datatype:
        value = int(tensor.minimum or 0)
    return {
        "name": tensor.name,
        "shape": shape,
        "datatype": tensor.datatype,
        "data": [value] * math.prod(shape),
    }


def check_port(port: int) -> None:
    """Refuse a port that something else has.

    Raises:
        UsageError: it cannot be had.
    """
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be had: {error.strerror}", where="--port", fix="Name another."
            ) from None


def serve(arguments: list[str], announce: Callable[[], None]) -> None:
    """Run the server in this process, which ctrl-C and SIGTERM end.

    Raises:
        MillwrightError: there is nothing that can be served.
        typer.Exit: it could not begin; it has said why.
    """
    from serving.runtime import __main__ as runtime

    runtime.configure_log()
    serves, _ = runtime.prepare(runtime.arguments(arguments))
    if code := runtime.run(serves, announce):
        raise typer.Exit(code)
