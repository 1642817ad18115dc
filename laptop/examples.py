"""What the demo makes up: a version broken as versions are in life, and rows to ask about."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import DocumentError
from contracts.features import FeatureTable
from contracts.yaml_files import read_yaml
from laptop.replay import recorded_rows

BROKEN = {"categorical": {"encode": "onehot", "rare_below": 0, "unknown": "error"}}
"""Somebody tidied up: incomplete rows left out, an encoder that insists on what it knows. Every
gate passes, because the test rows were tidied up as well; in service each row with an unknown
category is a failed request."""

HURRIED = {"n_estimators": 60, "learning_rate": 0.15}


@dataclass(frozen=True)
class Row:
    """A recorded row: its features by name, and what came true."""

    features: dict[str, Any]
    outcome: float


def broken_model(source: Path, folder: Path) -> Path:
    """A copy of a model whose next version fails where a category is missing.

    Args:
        source: the model's folder.
        folder: where the copy's folder goes.

    Returns:
        The copy's ``model.yaml``.
    """
    copy = folder / f"{source.name}-broken"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    path = copy / "model.yaml"
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise DocumentError("this is not a model", where=str(path))
    value["preprocess"] = {**value.get("preprocess", {}), **BROKEN}
    # All features, so that those which are often missing are among them.
    value["select"] = {"method": "none"}
    # One-hot columns take their time; who tidies up is in a hurry, and looks for nothing better.
    value["tune"] = None
    value["estimator"]["params"] = {**value["estimator"].get("params", {}), **HURRIED}
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


def example_rows(
    table: Path, document: FeatureTable, start: dt.date, until: dt.date, *, count: int
) -> list[Row]:
    """The first recorded rows of a period, as a client would send them."""
    names = [feature.name for feature in document.features]
    rows = recorded_rows(table, document, start, until)[:count]
    return [Row({name: row[name] for name in names}, float(row[document.label])) for row in rows]
