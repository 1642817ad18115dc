"""Makes an artifact of a person's own code: what it takes and gives is what it does with examples.

A signature that is written by hand and differs from the code would fail every request; so the code
is asked, in a process as a server would run it, and its answer says names, types and shapes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from contracts.artifact import (
    Artifact,
    Datatype,
    Interpretation,
    PredictorRules,
    Tensor,
    TrainingData,
)
from contracts.errors import ServingError, UsageError
from contracts.predictor import pack
from serving.runtime.binary import Array
from serving.runtime.predictor.messages import array_of
from serving.runtime.predictor.workers import PredictorModel
from serving.runtime.refusal import Refusal

Examples = Sequence[Mapping[str, object]]

_DATATYPES: dict[str, Datatype] = {
    "?": "BOOL",
    "e": "FP16",
    "f": "FP32",
    "d": "FP64",
    "O": "BYTES",
    "b": "INT8",
    "h": "INT16",
    "i": "INT32",
    "l": "INT64",
    "q": "INT64",
    "B": "UINT8",
    "H": "UINT16",
    "I": "UINT32",
    "L": "UINT64",
    "Q": "UINT64",
}
"""By numpy's character."""


def describe(
    folder: Path,
    examples: Examples,
    *,
    name: str,
    version: str,
    task: Literal["classification", "regression"],
    now: datetime,
    code_version: str = "",
    rules: PredictorRules | None = None,
    interpretation: Interpretation | None = None,
) -> tuple[Artifact, bytes]:
    """The document and the file of an artifact.

    Args:
        folder: with ``predict.py``.
        examples: rows as requests have them; each column is a number, a text or a truth in all of
            them, or missing.
        name: the model's.
        version: its version.
        task: what it predicts.
        now: when it is made.
        code_version: the commit of the code.
        rules: how it is run.
        interpretation: what its outputs mean.

    Returns:
        The artifact's document, and the content of ``predictor.zip``.

    Raises:
        UsageError: the folder has no ``predict.py``, or the examples are none.
        ServingError: the code does not load, or fails on the examples.
    """
    content = pack(folder)
    inputs, feeds = _columns(examples)
    document = Artifact(
        name=name,
        version=version,
        task=task,
        format="predictor",
        digest=hashlib.sha256(content).hexdigest(),
        predictor=rules or PredictorRules(),
        inputs=inputs,
        outputs=(Tensor(name="prediction", datatype="FP64", shape=(-1,)),),
        created=now,
        code_version=code_version,
        trained_on=learned_elsewhere(examples, now),
        metrics={},
        features=tuple(tensor.name for tensor in inputs),
    )
    given = asyncio.run(_tried(document, content, feeds, len(examples)))
    outputs = [_output(name, array, len(examples)).model_dump() for name, array in given.items()]
    meaning = (interpretation or Interpretation()).model_dump()
    value = document.model_dump() | {"outputs": outputs, "interpretation": meaning}
    return Artifact.parse(value, where=name), content


def learned_elsewhere(examples: Examples, now: datetime) -> TrainingData:
    """What is known of the data that a model learned from which was not trained here: the rows that
    show what it takes.
    """
    text = json.dumps(list(examples), sort_keys=True, default=str).encode()
    return TrainingData(
        dataset="",
        start=now,
        end=now,
        rows=len(examples),
        fingerprint=hashlib.sha256(text).hexdigest(),
    )


async def _tried(
    document: Artifact, content: bytes, feeds: Mapping[str, Array], rows: int
) -> dict[str, Array]:
    one = document.predictor.model_copy(update={"workers": 1})
    own = document.model_copy(update={"predictor": one})
    workers = PredictorModel(document.name, own, content).workers
    await workers.start()
    try:
        columns = await workers.columns(feeds, rows)
        return {name: array_of(column) for name, column in columns.items()}
    except (Refusal, ValueError) as error:
        raise ServingError(
            f"it cannot predict the examples: {error}",
            where=document.name,
            fix="Look at what predict is given: column → numpy array, one value a row.",
        ) from None
    finally:
        await workers.close()


def _columns(examples: Examples) -> tuple[tuple[Tensor, ...], dict[str, Array]]:
    if not examples:
        raise UsageError("there are no example rows", fix="Give at least one.")
    names = list(dict.fromkeys(name for row in examples for name in row))
    tensors, feeds = [], {}
    for name in names:
        values = [row.get(name) for row in examples]
        kinds = {_kind(value) for value in values if value is not None}
        if len(kinds) != 1 or None in kinds:
            raise UsageError(
                f"the column {name!r} is not of one kind",
                where="the example rows",
                fix="Give it a number, a text, or true or false in each row where it is known.",
            )
        kind = kinds.pop()
        assert kind is not None
        missing = {"FP64": math.nan, "BYTES": ""}.get(kind)
        if missing is None and None in values:
            raise UsageError(
                f"the column {name!r} of true and false has no missing value",
                where="the example rows",
                fix="Give it in each row.",
            )
        tensors.append(
            Tensor(name=name, datatype=kind, shape=(-1, 1), optional=missing is not None)
        )
        filled = [missing if value is None else value for value in values]
        dtype = {"FP64": np.float64, "BYTES": object}.get(kind, np.bool_)
        try:
            feeds[name] = np.array(filled, dtype=dtype).reshape(-1, 1)
        except OverflowError:
            raise UsageError(
                f"the column {name!r} has a number beyond what a float can hold",
                where="the example rows",
                fix="Give numbers up to 1.8e308.",
            ) from None
    return tuple(tensors), feeds


def _kind(value: object) -> Datatype | None:
    if isinstance(value, bool):
        return "BOOL"
    if isinstance(value, (int, float)):
        return "FP64"
    return "BYTES" if isinstance(value, str) else None


def _output(name: str, array: Array, rows: int) -> Tensor:
    if array.ndim == 0 or len(array) != rows:
        raise ServingError(
            f"predict gave {name!r} with shape {list(array.shape)} for {rows} rows",
            fix="Give a value or a vector for each row.",
        )
    return Tensor(name=name, datatype=_DATATYPES[array.dtype.char], shape=(-1, *array.shape[1:]))
