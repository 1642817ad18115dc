"""``millwright predict`` and ``millwright ui``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.app import app, output
from cli.common import EnvironmentOption, ModelName, twin
from cli.output import table
from contracts.errors import UsageError
from laptop.twin import Twin

if TYPE_CHECKING:
    from serving.client import Prediction, Row


@app.command()
def predict(
    model: ModelName,
    rows: str = typer.Option(
        "-", "--json", help="One row or a list of rows, as JSON; @FILE reads a file, - the input."
    ),
    predictor: str = typer.Option("", help="Ask this version (v3) instead of the weights' choice."),
    environment: EnvironmentOption = "local",
) -> None:
    """One prediction, from the version that the weights pick; missing features may be left out."""
    asked = parse_rows(rows)
    with twin(environment).client(model) as client:
        answer = client.infer(asked, predictor=predictor or None)
    show_prediction(answer)


def parse_rows(text: str) -> list[Row]:
    """Rows from JSON text, a file or the standard input.

    Raises:
        UsageError: it is not JSON, or not one object or a list of them.
    """
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise UsageError("there is no such file", where=str(path))
        text = path.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            where="--json",
            fix="""Write it in single quotes: --json '{"carrier": "UA"}'""",
        ) from None
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError("a row is an object of features, such as {...}", where="--json")
    return rows


def show_prediction(answer: Prediction) -> None:
    """The outputs, a line a row."""
    columns = list(answer.outputs)
    lines = list(zip(*answer.outputs.values(), strict=True))
    output.result(
        {
            "version": answer.version,
            "predictor": answer.predictor,
            "id": answer.request_id,
            "outputs": answer.outputs,
        },
        lambda console: console.print(
            table("", columns, [[rounded(cell) for cell in row] for row in lines])
        ),
    )
    output.say(f"    [dim]from version {answer.version}, request {answer.request_id}[/]")


def rounded(value: object) -> str:
    """Numbers to four digits."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(rounded(inner) for inner in value)
    return str(value)


def curl_line(where: Twin, model: str, row: Row) -> str:
    """A line to copy that asks for the same prediction without Millwright."""
    with where.client(model) as client:
        inputs = client.metadata()["inputs"]
        url = f"{client.url}/infer"
    tensors = [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": [1, 1],
            "data": [row.get(one["name"])],
        }
        for one in inputs
    ]
    body = json.dumps({"inputs": tensors}, separators=(",", ":"))
    return f"curl -s {url} -d {shlex.quote(body)}"


@app.command()
def ui(environment: EnvironmentOption = "local") -> None:
    """Start MLflow's pages on the model registry, and say where they and the report are."""
    where = twin(environment)
    running = where.start_ui()
    output.result(
        {"mlflow": running.url, "report": str(where.report)},
        lambda console: console.print(
            f"    MLflow: {running.url}\n    report: {where.report}\n"
            "    [dim]`millwright destroy` stops it with the rest[/]"
        ),
    )
