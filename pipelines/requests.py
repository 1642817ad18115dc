"""A training that somebody asks for: the documents that the steps get, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from contracts.dataset import DatasetSpec
from contracts.errors import DataError, DocumentError, MillwrightError, PipelineError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from contracts.yaml_files import YamlFile
from pipelines import runs
from pipelines.following import Request


def request(
    model: Path,
    datasets: Path,
    outputs: PlatformOutputs,
    tracking_uri: str,
    split: Mapping[str, date | None],
    *,
    check: Callable[[ModelSpec, DatasetSpec, Path, str], None],
) -> Request:
    """What to train, where, on which days.

    Args:
        model: the model's folder, or its ``model.yaml``.
        datasets: the folder of datasets, with the one that the model learns from.
        outputs: the environment's.
        tracking_uri: MLflow's, as the steps reach it.
        split: days that replace the document's: ``start``, ``train_until``, ``validate_until``,
            ``test_until``; none keeps it.
        check: refuses a model that its run would refuse (`Runs.check`).

    Raises:
        PipelineError: the features cannot be read, or fail on tables without rows.
        DocumentError: the model's document is wrong, or its dataset's.
        DataError: there is no such dataset.
    """
    path = model / "model.yaml" if model.is_dir() else model
    spec = ModelSpec.load(path).with_split(**split)
    source = path.parent / spec.features
    with placed_in(path, spec):
        dataset = find_dataset(datasets, spec)
        check(spec, dataset, source, str(path))
    try:
        definitions = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"cannot be read: {error}", where=str(source)) from error
    parameters = {
        "model": spec.model_dump_json(by_alias=True),
        "dataset": dataset.model_dump_json(by_alias=True),
        "definitions": definitions,
        "origin": str(source.absolute()),
        "outputs": outputs.model_dump_json(),
        "tracking_uri": tracking_uri,
        "code_version": runs.code_version(),
    }
    return Request(spec=spec, parameters=parameters)


def find_dataset(datasets: Path, spec: ModelSpec) -> DatasetSpec:
    """The dataset that a model names.

    Raises:
        DataError: there is none of that name.
        DocumentError: its document is wrong.
    """
    try:
        return DatasetSpec.find(datasets, spec.source.dataset)
    except DataError as error:
        place = f"model {spec.name}: source.dataset"
        raise DataError(f"{error.what} in {datasets}", where=place, fix=error.fix) from None


@contextmanager
def placed_in(path: Path, spec: ModelSpec) -> Iterator[None]:
    """Errors about a model name the lines of its document."""
    try:
        yield
    except MillwrightError as error:
        place, _, key = error.where.partition(": ")
        if error.where != str(path) and place != f"model {spec.name}":
            raise
        file = YamlFile.read(path)
        line = file.line(key.split(".")) if key else None
        error.where = f"{path}:{line}: {key}" if line else str(path)
        if isinstance(error, DocumentError) and not key:
            raise file.located(error) from error.__cause__
        raise
