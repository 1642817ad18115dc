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
import pyarrow.parquet as pq

from components.documents import Learned, PartName
from contracts.errors import DataError

KEY, TIME, LABEL = "__key", "__time", "__label"
"""The columns of a part beside its features and slices."""
PREPROCESSING = "preprocessing.json"


def part_path(data: Path, part: PartName) -> Path:
    """The Parquet file of a part in the folder that ``preprocess`` wrote."""
    return data / f"{part}.parquet"


def load(data: Path, part: PartName, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a part, in its rows' order (by time, then key).

    Raises:
        DataError: the part or one of the columns is not there.
    """
    path = part_path(data, part)
    try:
        table = pq.read_table(path, columns=list(dict.fromkeys(columns)))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"the {part} data cannot be read: {error}", where=str(path)) from error
    missing = set(columns) - set(table.column_names)
    if missing:
        raise DataError(f"no column {sorted(missing)[0]!r}", where=str(path))
    return table.to_pandas()


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
    return frame[LABEL].to_numpy(np.float64)
