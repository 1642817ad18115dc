"""Whether a model can be trained, asked before anything starts: its features and label on tables
without rows, its estimator on made-up ones."""

from __future__ import annotations

from pathlib import Path

from components.engineer.step import rehearse
from components.libraries.check import check_estimator
from contracts.dataset import DatasetSpec
from contracts.model import ModelSpec


def check_model(spec: ModelSpec, dataset: DatasetSpec, features: Path, where: str) -> None:
    """Refuse a model that its run would refuse.

    Args:
        spec: the model.
        dataset: the dataset that it learns from.
        features: its ``features.py``.
        where: its document, named in front of what is wrong.

    Raises:
        PipelineError: ``features.py`` fails or does not give what it promises.
        DocumentError: the document is wrong, with every problem that was found.
    """
    rehearse(spec, dataset, features)
    check_estimator(spec, where=where)
