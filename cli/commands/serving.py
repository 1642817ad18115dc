"""``millwright predict`` and ``millwright ui``."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from cli.app import app, output
from cli.common import (
    ContextOption,
    EnvironmentOption,
    GatewayOption,
    MlflowOption,
    ModelName,
    NamespaceOption,
    OutputsOption,
    project,
    rollouts_of,
)
from cli.explanations import show_explanations
from cli.output import table
from contracts.document import suggest
from contracts.errors import ServingError, UsageError
from contracts.json_objects import RepeatedKeyError, each_once
from project.here import REPORT_FILE
from serving.bodies import inference_body, inputs_of

if TYPE_CHECKING:
    from project.handle import Project
    from serving.bodies import Row
    from serving.client import Prediction


@app.command()
def predict(
    model: ModelName,
    data: str = typer.Option(
        "", metavar="JSON", help="One row or a list of rows; the standard input when left out."
    ),
    file: str = typer.Option("", metavar="FILE", help="Read them here instead."),
    predictor: str = typer.Option("", help="Ask this version (v3) instead of the weights' choice."),
    explain: bool = typer.Option(False, help="Say what each feature added, and what is unusual."),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    gateway: GatewayOption = "",
    context: ContextOption = "",
    namespace: NamespaceOption = "",
) -> None:
    """One prediction, from the version that the weights pick; missing features may be left out."""
    asked = read_rows(data, file)
    where = project(environment, outputs=outputs, gateway=gateway, context=context)
    check_model(where, model, gateway, namespace)
    with where.client(model, namespace) as client:
        if explain:
            show_explanations(
                client.explain(asked, outlier=True, predictor=predictor or None), asked
            )
            return
        answer = client.infer(asked, predictor=predictor or None)
    show_prediction(answer)


def check_model(where: Project, model: str, gateway: str, namespace: str) -> None:
    """Refuse a model that is not served, as far as that can be known before it is asked.

    Raises:
        UsageError: there is none of that name.
        ServingError: no version of it is served.
    """
    if gateway or where.has_cluster:
        return
    served = {each.model for each in rollouts_of(where, namespace).served()}
    if model in served:
        return
    names = {*served, *(path.parent.name for path in where.models.glob("*/model.yaml"))}
    if model not in names:
        raise UsageError(f"there is no model {model!r}", fix=suggest(model, sorted(names)))
    with where.gateway():  # says what is to be done where nothing is served at all
        raise ServingError(
            "no version of it is served",
            where=model,
            fix=f"Run `millwright rollout start {model}`.",
        )


def read_rows(data: str, file: str) -> list[Row]:
    """Rows from JSON text, a file or the standard input.

    Raises:
        UsageError: both are given, or it is not JSON, or not one object or a list of them.
    """
    if data and file:
        raise UsageError(
            "two sources of rows are given", where="--data and --file", fix="Give one."
        )
    where = "--data" if data else file or "the standard input"
    try:
        if file:
            data = Path(file).read_text(encoding="utf-8")
        elif not data:
            data = sys.stdin.read()
        value = json.loads(data, object_pairs_hook=each_once)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            where=where,
            fix="""Write it in single quotes: --data '{"plan": "pro"}'""",
        ) from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=where) from None
    except RepeatedKeyError as error:
        fix = "Give each feature one value."
        raise UsageError(f"a row {error}", where=where, fix=fix) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this is not JSON in UTF-8: {error}", where=where) from None
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError("a row is an object of features, such as {...}", where=where)
    return rows


def show_prediction(answer: Prediction) -> None:
    """The outputs, a line a row."""
    columns = list(answer.outputs)
    lines = list(zip_longest(*answer.outputs.values(), fillvalue=""))
    output.result(
        {
            "version": answer.version,
            "predictor": answer.predictor,
            "id": answer.request_id,
            "outputs": answer.outputs,
            "missing": list(answer.missing),
            "unknown": list(answer.unknown),
            "outside": list(answer.outside),
        },
        lambda console: console.print(
            table("", columns, [[rounded(cell) for cell in row] for row in lines])
        ),
    )
    output.say(f"    [dim]from version {answer.version}, request {escape(answer.request_id)}[/]")
    findings = {
        "missing, and so made up for by the model": answer.missing,
        "a text that the model does not know, and so takes for a rare one": answer.unknown,
        "out of the range that was seen in training": answer.outside,
    }
    for finding, names in findings.items():
        if names:
            output.say(f"    {finding}: {escape(', '.join(names))}")


def rounded(value: object) -> str:
    """Numbers to four digits."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(rounded(inner) for inner in value)
    return str(value)


def curl_line(where: Project, model: str, row: Row) -> str:
    """A line to copy that asks for the same prediction without Millwright."""
    with where.client(model) as client:
        kinds = inputs_of(client.metadata())
        url = f"{client.url}/infer"
    body = json.dumps(inference_body([row], kinds), separators=(",", ":"))
    return f"curl -s {url} -d {shlex.quote(body)}"


@app.command()
def ui(
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
    context: ContextOption = "",
) -> None:
    """Open MLflow's pages on the model registry, and say where they and the report are.

    Where they have an address only inside a cluster, its port is forwarded until ctrl-C.
    """
    where = project(environment, outputs=outputs, mlflow=mlflow, context=context)
    if where.is_local and not mlflow:
        from laptop.tracking import start_pages

        show_pages(where, start_pages(where).url, "`millwright destroy` stops it with the rest")
        return
    with where.tracking() as url:
        if not where.is_forwarded("tracking"):
            show_pages(where, url, "")
            return
        show_pages(where, url, "forwarded into the cluster until ctrl-C")
        with suppress(KeyboardInterrupt):
            signal.pause()


def show_pages(where: Project, url: str, note: str) -> None:
    """Where to look; said at once, for the command may stay."""
    report = where.root / REPORT_FILE
    lines = [f"    MLflow: {url}", f"    report: {report}"] + (
        [f"    [dim]{note}[/]"] if note else []
    )
    output.result(
        {"mlflow": url, "report": str(report)},
        lambda console: console.print("\n".join(lines), soft_wrap=True),
    )
    sys.stdout.flush()
