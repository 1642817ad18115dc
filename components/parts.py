"""The split's parts on disk: how each step reads the rows it may look at.

``preprocess`` writes one Parquet file a part, so that a step that is only given the training file
cannot look at the test data by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.documents import Learned, PartName
from contracts.document import suggest
from contracts.errors import DataError

KEY, TIME, LABEL = "__key", "__time", "__label"
"""The columns of a part beside its features and slices."""


def part_path(data: Path, part: PartName) -> Path:
    """The Parquet file of a part in the folder that ``preprocess`` wrote."""
    return data / f"{part}.parquet"


def load(data: Path, part: PartName, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a part, in its rows' order (by time, then key).

    Raises:
        DataError: the part or one of the columns is not there.
    """
    return read_columns(part_path(data, part), columns).to_pandas()


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet file, each once.

    Raises:
        DataError: the file or one of the columns is not there.
    """
    try:
        there = pq.read_schema(path).names
        missing = [name for name in columns if name not in there]
        if missing:
            raise DataError(
                f"no column {missing[0]!r}", where=str(path), fix=suggest(missing[0], there)
            )
        return pq.read_table(path, columns=list(dict.fromkeys(columns)))
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error


def inputs(frame: pd.DataFrame, features: Sequence[Learned]) -> pd.DataFrame:
    """The features as the model takes them: 32-bit numbers with NaN, and text with "" for a
    missing value; exactly what a model server gets."""
    columns = {
        feature.name: frame[feature.name].astype(np.float32)
        if feature.kind == "numeric"
        else frame[feature.name].astype(object).where(frame[feature.name].notna(), "")
        for feature in features
    }
    return pd.DataFrame(columns, index=frame.index)


def label(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The label of each row."""
    values: npt.NDArray[np.float64] = frame[LABEL].to_numpy(np.float64)
    return values
