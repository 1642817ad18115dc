"""Explanations as they are asked for and answered: ``/v2/models/<model>/explain``.

    {"rows": [{…}, …], "parameters": {"budget": 0.5, "outlier": true, "sample": false}}

Rows come in every form that ``predict`` takes, and tensors as ``infer`` does; the parameters stand
beside ``rows``, ``columns`` or ``inputs``. It is no inference: nothing is counted as one,
remembered for feedback, or judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from serving.bodies import Input
from serving.runtime import rows as row_forms
from serving.runtime.explaining.explainer import Explained, Explainer, Explanation
from serving.runtime.model import Model, Prepared
from serving.runtime.refusal import Refusal, shown

MOST_ROWS = 256
MOST_BUDGET = 10.0
_BUDGET = 1.0
_NAMED = 3
"""Features that are named as a row's most unusual."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What is wanted of an explanation.

    Args:
        budget: seconds that it may take.
        outlier: whether to say how unusual each row is.
        sample: whether features are tried out though it could be done exactly.
    """

    budget: float = _BUDGET
    outlier: bool = False
    sample: bool = False


def asked_of(body: bytes, names: set[str]) -> tuple[bytes, Asked]:
    """The body without its parameters, and those.

    Raises:
        Refusal: they are none that are known (400).
    """
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body, Asked()  # who reads the rows says what is wrong
    beside = {"rows", "columns", "inputs"} - names
    if not isinstance(value, dict) or not beside & value.keys() or "parameters" not in value:
        return body, Asked()
    given = value.pop("parameters")
    try:
        asked = msgspec.convert(given, Asked)
    except msgspec.ValidationError as error:
        first = str(error).partition("\n")[0]
        raise Refusal(
            400,
            f"parameters: {first}",
            fix=f"write budget (seconds, up to {MOST_BUDGET:g}), outlier and sample (true or "
            "false), or leave them out",
        ) from None
    if not 0 < asked.budget <= MOST_BUDGET:
        raise Refusal(
            400, f"the budget is {shown(asked.budget)}; expected seconds, up to {MOST_BUDGET:g}"
        )
    return _encode(value), asked


class Explaining:
    """Explains one model, from a request's body to the answer's.

    Args:
        model: the model.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._inputs = [Input(own.name, own.datatype, own.shape) for own in model.artifact.inputs]
        self._names = {own.name for own in model.artifact.inputs}
        self._explainer: Explainer | None = None

    def answer(self, body: bytes, identity: str) -> bytes:
        """An explanation.

        Args:
            body: of the request.
            identity: its id where the body has none.

        Raises:
            Refusal: it is none that this model can give (400), or not in the time (503).
        """
        content, asked = asked_of(body, self._names)
        if not _is_tensors(content, self._names):
            content = row_forms.inference_of(content, self._inputs)
        prepared = self._model.prepared(content, identity)
        if prepared.rows > MOST_ROWS:
            raise Refusal(
                400, f"there are {prepared.rows} rows; at most {MOST_ROWS} are explained at once"
            )
        if self._explainer is None:
            self._explainer = Explainer(self._model, self._model.content)
        explained = self._explainer.explain(
            prepared.feeds, prepared.rows, budget=asked.budget, sample=asked.sample
        )
        return self._written(self._explainer, prepared, explained, asked)

    def _written(
        self, explainer: Explainer, prepared: Prepared, explained: Explained, asked: Asked
    ) -> bytes:
        model = self._model
        scores, classes = model.meaning.of(model.results(prepared.feeds, prepared.rows))
        is_class = model.artifact.task == "classification"
        values = [
            {
                "prediction": classes[row],
                **({"score": scores[row]} if is_class and len(scores) else {}),
                **_said(own),
                **({"outlier": outlier(explainer, prepared, row)} if asked.outlier else {}),
            }
            for row, own in enumerate(explained.rows)
        ]
        answer: dict[str, Any] = {
            "model_name": model.name,
            "model_version": model.version,
            "id": prepared.identity,
            "method": explained.method,
            "scale": explained.scale,
        }
        if explained.why:
            answer |= {"why_not_exact": explained.why, "rounds": explained.rounds}
        return _encode(answer | {"explanations": values} | prepared.findings)


def _is_tensors(body: bytes, names: set[str]) -> bool:
    """Whether a body is that of ``infer``."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(value, dict) and "inputs" in value and "inputs" not in names


def _said(own: Explanation) -> dict[str, Any]:
    """An explanation of a row, what adds most first."""
    ordered: Sequence[str] = sorted(
        own.contributions, key=lambda name: -abs(own.contributions[name])
    )
    said: dict[str, Any] = {
        "base": own.base,
        "total": own.total,
        "contributions": {name: own.contributions[name] for name in ordered},
    }
    if own.uncertainty:
        said["uncertainty"] = {name: own.uncertainty[name] for name in ordered}
    return said


def outlier(explainer: Explainer, prepared: Prepared, row: int) -> dict[str, Any]:
    """How unusual a row is, value by value.

    Of each feature the share p of the training rows whose value is as unusual or more so; of a row
    with m features the score is 1 - min(1, m times the least p), which is near 0 for an ordinary
    row, however many features there are, and 1 for one with a value outside of what was seen. It
    looks at each value alone: an unusual combination of usual values is not noticed.

    Raises:
        Refusal: the artifact does not say how values were spread (400).
    """
    tails = {
        feature.name: feature.spread.tail(feature.of(prepared.feeds)[row])
        for feature in explainer.features
    }
    least = sorted(tails, key=lambda name: tails[name])[:_NAMED]
    score = 1.0 - min(1.0, len(tails) * tails[least[0]]) if least else 0.0
    return {"score": score, "most_unusual": {name: tails[name] for name in least}}
