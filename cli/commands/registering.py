"""``millwright register``: a model that was made elsewhere becomes a version like any other."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
import yaml
from rich.markup import escape

from cli.app import app, output
from cli.common import (
    LOCAL,
    NAME_SHOWN,
    EnvironmentOption,
    MlflowOption,
    OutputsOption,
    is_file,
    project,
)
from contracts.artifact import Artifact, Class, Interpretation, is_model_name
from contracts.document import suggest
from contracts.errors import UsageError
from contracts.json_objects import RepeatedKeyError, each_once
from contracts.model import ServedModel, Task, find_model

if TYPE_CHECKING:
    from data.model_registry import Entry
    from project.handle import Project
    from serving.predictors import Examples

UNNUMBERED = "0"
"""The version of what has no number yet."""
TASKS: tuple[Task, ...] = ("classification", "regression")


@app.command()
def register(
    model: str = typer.Argument(metavar="MODEL", help="The model's name."),
    predictor: str = typer.Option(
        "", metavar="FOLDER", help="Your own code: a folder with predict.py, in it a Predictor."
    ),
    onnx: str = typer.Option("", metavar="FILE", help="A model trained elsewhere, as ONNX."),
    examples: str = typer.Option(
        "",
        metavar="FILE",
        help="Rows to try it with: a JSON list of objects, or JSON lines.",
    ),
    task: str = typer.Option(
        "", help="classification or regression; that of the model's document when left out."
    ),
    classes: str = typer.Option(
        "", metavar="A,B,…", help="The classes, in the order of the probabilities' columns."
    ),
    positive: str = typer.Option(
        "", metavar="CLASS", help="Of two classes the one whose probability is the score."
    ),
    environment: EnvironmentOption = "local",
    outputs: OutputsOption = "",
    mlflow: MlflowOption = "",
) -> None:
    """Register your own code, or an ONNX file from elsewhere, as a version of a model.

    It is tried with the example rows, as a server would run it, and its signature is what it takes
    and gives there. The same content again is the version that it is already.
    """
    where = project(environment, outputs=outputs, mlflow=mlflow)
    check_name(model)
    if bool(predictor) == bool(onnx):
        raise UsageError(
            "nothing says what is registered" if not predictor else "two models are given",
            where="--predictor and --onnx",
            fix="Give one of them.",
        )
    spec = known(where, model, task)
    rows = read_examples(examples)
    meaning = interpretation(spec, classes, positive)
    artifact, content = described(predictor, onnx, rows, spec, meaning, positive)
    entry, new = published(where, artifact, content)
    written = write_document(where, spec)
    output.result(
        {
            "model": model,
            "version": entry.version,
            "uri": entry.uri,
            "new": new,
            "document": str(written) if written else None,
        },
        lambda console: console.print(
            f"    {model} version {entry.version} is registered: {escape(entry.uri)}"
            if new
            else f"    this is {model} version {entry.version} already",
            soft_wrap=True,
        ),
    )
    if written:
        output.say(f"    wrote {escape(str(written))}: how it is served and rolled out")
    place = f" -e {where.name}" if where.name != LOCAL else ""
    output.say(f"    next: `millwright rollout start {model}{place}`")


def check_name(name: str) -> None:
    """Refuse what can be no model's name.

    Raises:
        UsageError: it is none.
    """
    if not is_model_name(name):
        raise UsageError(
            f"{name[:NAME_SHOWN]!r} is no model's name",
            fix="Take lower-case letters, digits and dashes, 2 to 40, with a letter first.",
        )


def known(where: Project, name: str, task: str) -> ServedModel:
    """The model's document, or the least one where there is none yet.

    Raises:
        UsageError: nothing, or something else than the document, says its task.
        DocumentError: the document is not valid.
    """
    if task and task not in TASKS:
        raise UsageError(f"{task!r} is no task", where="--task", fix=suggest(task, TASKS))
    if (where.models / name / "model.yaml").is_file():
        spec = find_model(where.models, name)
        if task and task != spec.task:
            raise UsageError(
                f"the model's document says {spec.task}",
                where="--task",
                fix="Leave it out, or register it under another name.",
            )
        return spec
    if not task:
        raise UsageError(
            f"nothing says what {name} predicts",
            where="--task",
            fix="Write --task classification or --task regression.",
        )
    return ServedModel.parse({"name": name, "task": task, "rollout": {}}, where=name)


def read_examples(file: str) -> Examples:
    """Rows from a file: a JSON list of objects, or an object a line.

    Raises:
        UsageError: there is no such file, or it has something else.
    """
    if not file:
        raise UsageError(
            "there are no example rows",
            where="--examples",
            fix="Give a file with a JSON list of objects, column → value.",
        )
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"the example rows cannot be read: {why}", where=f"--examples {file[:NAME_SHOWN]!r}"
        ) from None
    rows = parse_rows(text, file)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(
            "these are no example rows",
            where=file,
            fix='Write a list of objects, column → value: [{"area": 60, "city": "Ghent"}].',
        )
    return rows


def parse_rows(text: str, where: str) -> object:
    """JSON, or JSON lines.

    Raises:
        UsageError: it is neither.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
            return [parsed(line) for line in lines]
        value = parsed(text)
    except RepeatedKeyError as error:
        raise UsageError(f"a row {error}", where=where, fix="Give each column one value.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this is neither JSON nor JSON lines: {error}", where=where) from None
    return [value] if isinstance(value, dict) else value


def parsed(text: str) -> object:
    """JSON, in which a name stands once in an object, and NaN is no number.

    Raises:
        ValueError: it is none.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON; null is a missing one")

    return json.loads(text, object_pairs_hook=each_once, parse_constant=refuse)


def interpretation(spec: ServedModel, classes: str, positive: str) -> Interpretation:
    """What the outputs mean, by the document and the command line.

    Raises:
        DocumentError: the classes are not at least two, each once, with the positive one.
        UsageError: classes of a regression.
    """
    if spec.task == "regression":
        if classes or positive:
            raise UsageError(
                "a regression predicts numbers",
                where="--classes" if classes else "--positive",
                fix="Leave it out, or write --task classification.",
            )
        return Interpretation(tolerance=spec.feedback.tolerance)
    value: dict[str, object] = {}
    if classes:
        value["classes"] = list(class_names(classes))
    if classes and positive:
        value["positive"] = class_names(f"{classes},{positive}")[-1]
    if spec.feedback.threshold is not None:
        value["threshold"] = spec.feedback.threshold
    return Interpretation.parse(value, where="--classes" if classes else spec.name)


def class_names(text: str) -> tuple[Class, ...]:
    """Classes as they are written: numbers where all of them are."""
    names = [name.strip() for name in text.split(",")]
    try:
        return tuple(int(name) for name in names)
    except ValueError:
        return tuple(names)


def described(
    predictor: str,
    onnx: str,
    rows: Examples,
    spec: ServedModel,
    meaning: Interpretation,
    positive: str,
) -> tuple[Artifact, bytes]:
    """The artifact, without its version yet, and its file.

    Raises:
        UsageError: there is no such file or folder, or the classes are not known.
        ServingError: it fails on the example rows.
    """
    from serving import foreign, predictors

    quiet()
    if onnx:
        content = read_onnx(onnx)
        artifact = foreign.describe(
            content,
            rows,
            name=spec.name,
            version=UNNUMBERED,
            task=spec.task,
            now=datetime.now(UTC),
            interpretation=meaning,
            positive=positive,
        )
        return artifact, content
    if not is_folder(predictor):
        raise UsageError(
            "there is no such folder",
            where=f"--predictor {predictor[:NAME_SHOWN]!r}",
            fix="Give the folder that has predict.py.",
        )
    if positive and not meaning.classes:
        raise UsageError(
            "nothing says which classes there are",
            where="--positive",
            fix="Write them in the order of the probabilities' columns: --classes no,yes.",
        )
    return predictors.describe(
        Path(predictor),
        rows,
        name=spec.name,
        version=UNNUMBERED,
        task=spec.task,
        now=datetime.now(UTC),
        interpretation=meaning,
    )


def quiet() -> None:
    """Of what the workers' log says, show a person what went wrong, beside the result."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def is_folder(name: str) -> bool:
    """Whether there is a folder of that name, which may be no possible name of one."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def read_onnx(file: str) -> bytes:
    """The file's content.

    Raises:
        UsageError: there is no such file.
    """
    if not is_file(file):
        raise UsageError("there is no such file", where=f"--onnx {file[:NAME_SHOWN]!r}")
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=file) from None


def published(where: Project, artifact: Artifact, content: bytes) -> tuple[Entry, bool]:
    """The version that the content is, and whether it is new.

    Raises:
        DataError: the registry or the lake refuses.
    """
    from components.register.step import make_candidate
    from data.model_registry import ModelRegistry

    where.connect()
    location = f"s3://{where.outputs().lake.artifacts}/models/{artifact.name}"
    with where.tracking() as tracking_uri:
        registry = ModelRegistry(tracking_uri)
        entry = registry.open(artifact.name, key=key_of(artifact), location=location)
        new = not entry.complete
        if new:
            made = artifact.model_copy(update={"version": entry.version, "run_id": entry.run_id})
            registry.publish(entry, made, content)
        make_candidate(registry, entry)
    return entry, new


def key_of(artifact: Artifact) -> str:
    """The same for the same content with the same signature and meaning."""
    told = artifact.model_dump_json(
        include={"task", "format", "digest", "predictor", "inputs", "outputs", "interpretation"}
    )
    return f"registered-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def write_document(where: Project, spec: ServedModel) -> Path | None:
    """Write the least document of a model that has none; gives its file."""
    from pocket.files import write_whole

    path = where.models / spec.name / "model.yaml"
    if path.is_file():
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    value = {"name": spec.name, "task": spec.task, "rollout": {"guards": {"errors": {}}}}
    text = yaml.safe_dump(value, sort_keys=False)
    write_whole(
        path,
        f"# Trained elsewhere: its versions come from `millwright register {spec.name}`.\n{text}",
    )
    path.chmod(0o644)
    return path
