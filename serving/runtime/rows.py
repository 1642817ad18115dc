"""Rows as people have them, in place of tensors: ``/v2/models/<model>/predict``.

    {"plan": "pro", "months": 3}                          one row
    [{"plan": "pro", "months": 3}, {"plan": "free"}]      several
    {"rows": [{…}, …], "id": "…"}                         several, with the request's id
    {"columns": {"plan": ["pro", "free"], "months": [3, null]}}

A name that the model does not know is refused: a misspelt feature would be a missing one, and the
prediction a guess that nobody sees. A feature that is left out is missing, as in ``infer``, and the
answer names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.document import suggest
from contracts.errors import ServingError
from serving.bodies import Input, Row, inference_body
from serving.runtime.refusal import Refusal, shown
from serving.runtime.requests import no_json
from serving.runtime.tensors import Findings

_FORMS = (
    'expected a row {"<feature>": <value>, …}, a list of rows, {"rows": [<row>, …]} or '
    '{"columns": {"<feature>": [<value>, …]}}'
)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def inference_of(body: bytes, inputs: Sequence[Input]) -> bytes:
    """The body of ``infer`` that says the same.

    Args:
        body: rows, in one of the forms.
        inputs: the model's.

    Raises:
        Refusal: it is none of the forms, or holds what the model does not take (400).
    """
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refusal = no_json(body, error)
        raise Refusal(400, refusal.what, fix=refusal.fix or _FORMS) from None
    names = {own.name for own in inputs}
    identity = ""
    if isinstance(value, dict) and not names & {"rows", "columns"} & value.keys():
        value, identity = _named(value, names)
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, f"{shown(value)} holds no rows", fix=_FORMS)
    given = dict.fromkeys(name for row in rows for name in row)
    for name in given:
        if name not in names:
            raise Refusal(
                400, f"there is no input {shown(name)}; {suggest(name[:100], sorted(names))}"
            )
    asked = [own for own in inputs if own.name in given]
    if not asked:
        raise Refusal(400, "the rows name no input of the model", fix=f"it has {sorted(names)}")
    try:
        return _encode(inference_body(rows, asked, identity))
    except ServingError as error:
        raise Refusal(400, error.what, fix=error.fix) from None


def _named(value: dict[str, Any], names: set[str]) -> tuple[Any, str]:
    """What stands under rows or columns, and the id beside it; or the one row itself."""
    kind = next((key for key in ("rows", "columns") if key in value), None)
    if kind is None:
        return value, ""
    identity = value.get("id", "")
    if not isinstance(identity, str):
        raise Refusal(400, f"the id is {shown(identity)}; expected a text")
    if others := value.keys() - {kind, "id"}:
        raise Refusal(400, f"beside {kind!r} stands {shown(sorted(others)[0])}", fix=_FORMS)
    return (value[kind] if kind == "rows" else _rows_of(value[kind])), identity


def _rows_of(columns: Any) -> list[Row]:
    if not isinstance(columns, dict) or not all(isinstance(c, list) for c in columns.values()):
        raise Refusal(400, f"the columns are {shown(columns)}", fix=_FORMS)
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        raise Refusal(400, f"the columns have unequal lengths: {shown(sizes)}")
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def predictions(
    name: str,
    version: str,
    identity: str,
    classes: Sequence[Any],
    scores: Sequence[float],
    findings: Findings,
) -> bytes:
    """The answer: a prediction for each row, and its score where it is a class.

    Args:
        name: the model's.
        version: its version.
        identity: the request's id.
        classes: each row's class or number.
        scores: each row's probability of the positive class, or of the predicted one of several;
            empty where a prediction is no class.
        findings: what is odd about the request; inputs' names by `missing` (no row gave it),
            `unknown` (a text that is none of the model's categories) and `outside` (a number out of
            the range that was seen in training).
    """
    rows: list[dict[str, Any]] = [{"prediction": value} for value in classes]
    if scores:
        for row, score in zip(rows, scores, strict=True):
            row["score"] = score
    answer: dict[str, Any] = {
        "model_name": name,
        "model_version": version,
        "id": identity,
        "predictions": rows,
    }
    return _encode(answer | findings)
