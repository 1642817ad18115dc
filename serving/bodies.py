"""An inference request's body, in the Open Inference Protocol's JSON form.

Clients, the replay and the line to copy all send rows; what is missing has to be null, what is no
number too, and an input's datatype decides how a value is written. Written here once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Value = str | float | int | bool | None
Row = Mapping[str, Value]


def inference_body(
    rows: Sequence[Row], inputs: Iterable[tuple[str, str]], identity: str = ""
) -> dict[str, Any]:
    """The body of a request.

    Args:
        rows: feature → value for each row; a feature that a row lacks is missing in it.
        inputs: name and datatype of each input to send; one tensor each, of shape [rows, 1].
        identity: names the request; left out where empty.
    """
    tensors = [
        {
            "name": name,
            "shape": [len(rows), 1],
            "datatype": datatype,
            "data": [plain(row.get(name), datatype) for row in rows],
        }
        for name, datatype in inputs
    ]
    return {"id": identity, "inputs": tensors} if identity else {"inputs": tensors}


def plain(value: Any, datatype: str) -> Value:
    """A value as JSON and the protocol take it: what is not a number is missing."""
    if hasattr(value, "item"):  # numpy's own numbers
        value = value.item()
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, (bool, int)) and datatype.startswith("FP"):
        return float(value)
    known: Value = value
    return known
