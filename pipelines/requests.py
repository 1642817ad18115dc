"""A training that somebody asks for: the documents that the steps get, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from contracts.dataset import DatasetSpec
from contracts.errors import PipelineError
from contracts.model import ModelSpec
from contracts.outputs import PlatformOutputs
from pipelines import runs
from pipelines.following import Request


def request(
    model: Path,
    datasets: Path,
    outputs: PlatformOutputs,
    tracking_uri: str,
    split: Mapping[str, date | None],
    *,
    check: Callable[[ModelSpec, str], None],
) -> Request:
    """What to train, where, on which days.

    Args:
        model: the model's folder, or its ``model.yaml``.
        datasets: the folder of datasets, with the one that the model learns from.
        outputs: the environment's.
        tracking_uri: MLflow's, as the steps reach it.
        split: days that replace the document's: ``start``, ``train_until``, ``validate_until``,
            ``test_until``; none keeps it.
        check: refuses an estimator that cannot be what the document says (`Runs.check`).

    Raises:
        PipelineError: the features cannot be read.
        DocumentError: the model's document is wrong, or its dataset's.
        DataError: there is no such dataset.
    """
    path = model / "model.yaml" if model.is_dir() else model
    spec = ModelSpec.load(path).with_split(**split)
    check(spec, str(path))
    dataset = DatasetSpec.find(datasets, spec.source.dataset)
    source = path.parent / spec.features
    try:
        definitions = source.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"cannot be read: {error.strerror}", where=str(source)) from error
    parameters = {
        "model": spec.model_dump_json(by_alias=True),
        "dataset": dataset.model_dump_json(by_alias=True),
        "definitions": definitions,
        "outputs": outputs.model_dump_json(),
        "tracking_uri": tracking_uri,
        "code_version": runs.code_version(),
    }
    return Request(spec=spec, parameters=parameters)
