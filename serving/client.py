"""A client of served models: rows in, predictions out.

It says once what every caller would otherwise repeat and get subtly wrong: one tensor for each
feature, null for what is missing, and feedback that goes back to the version (and the server in it)
that predicted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

import httpx

from contracts.backends import BACKENDS, SELDON
from contracts.errors import ServingError
from serving.bodies import Input, Row, Value, inference_body, inputs_of, plain
from serving.protocol import PREDICTOR_HEADER, REQUEST_ID_HEADER, VERSION_HEADER, header_text

_OUTCOME = Input("the outcome", "")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer to one request.

    Args:
        version: the model's version that answered.
        predictor: the predictor that it came from; empty when asked directly.
        request_id: names the request in feedback.
        outputs: output → value for each row; a list of values where the output has several columns.
        missing: the inputs that the model reads and some row lacked; the model put something in
            their place.
        unknown: the inputs with a text that is none of the model's categories; it counts as rare.
        outside: the inputs with a number out of the range that was seen in training.
    """

    version: str
    predictor: str
    request_id: str
    outputs: dict[str, list[Any]]
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FeedbackVerdict:
    """What feedback showed, in rows; repeated ones had been judged before."""

    version: str
    right: int
    wrong: int
    repeated: int


@dataclass(frozen=True, kw_only=True)
class RowExplanation:
    """Why one row got its prediction.

    Args:
        prediction: the predicted class or number.
        score: of a class its probability; None of a number.
        base: what is expected of a row of which nothing is known.
        total: `base` and all contributions.
        contributions: feature → what its value added, what adds most first.
        uncertainty: feature → the standard error of that; empty where it is exact.
        outlier: how unusual the row is, from 0 to 1; None where it was not asked for.
        most_unusual: feature → the share of training rows with such a value or a more unusual one.
    """

    prediction: Any
    score: float | None
    base: float
    total: float
    contributions: dict[str, float]
    uncertainty: dict[str, float]
    outlier: float | None = None
    most_unusual: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Explanations:
    """Why rows got their predictions.

    Args:
        version: the model's version that answered.
        predictor: the predictor that it came from; empty when asked directly.
        method: ``tree_shap`` or ``linear_shap``, which are exact, or ``sampled``.
        scale: on which contributions add up: ``log-odds``, ``log``, or ``score``.
        rows: one for each row.
    """

    version: str
    predictor: str
    method: str
    scale: str
    rows: tuple[RowExplanation, ...]


class Client:
    """Talks to one model.

    Args:
        base_url: the front door, such as ``http://127.0.0.1:8080``, or a model server itself.
        model: the model's name; also its deployment's.
        namespace: the deployment's namespace; None talks to a model server itself, without the
            prefix.
        timeout: seconds for one request.
        backend: the serving system, whose paths are those of the deployment.

    Raises:
        ServingError: the address is no URL.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        namespace: str | None = "default",
        *,
        timeout: float = 10.0,
        backend: str = SELDON.name,
    ) -> None:
        name = quote(model, safe="", errors="replace")
        own = quote(namespace or "", safe="", errors="replace")
        prefix = BACKENDS[backend].path(own, name) if namespace else ""
        self.url = f"{base_url.rstrip('/')}{prefix}/v2/models/{name}"
        self.model = model
        try:
            host = httpx.URL(self.url).host
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ServingError(
                f"this is no URL: {error}", where=repr(base_url), fix="Write http://host:port."
            ) from None
        # Proxies in the environment are for the world, not for this machine.
        here = host in ("127.0.0.1", "localhost", "::1")
        # Reading the certificates takes longer than a prediction, and plain HTTP shows none.
        signed = self.url.startswith("https:")
        self._http = httpx.Client(timeout=timeout, trust_env=not here, verify=signed)
        self._inputs: list[Input] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ready(self) -> bool:
        """Whether the model answers now."""
        try:
            return self._http.get(f"{self.url}/ready").status_code == 200
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    def metadata(self) -> dict[str, Any]:
        """The model's name, versions, inputs and outputs.

        Raises:
            ServingError: it cannot be reached or knows no such model.
        """
        return self._answer("GET", "", inputs=list)[1]

    def infer(
        self, rows: Sequence[Row], *, request_id: str | None = None, predictor: str | None = None
    ) -> Prediction:
        """Predict.

        Args:
            rows: feature → value for each row; a feature that a row lacks is missing in it.
            request_id: names the request; a new one when None.
            predictor: asks this version instead of the one that its weight picks.

        Raises:
            ServingError: a value cannot be sent, or the request was refused (with the server's
                sentence) or not answered.
        """
        identity = request_id or str(uuid.uuid4())
        headers = {REQUEST_ID_HEADER: header_text(identity)}
        if predictor:
            headers[PREDICTOR_HEADER] = header_text(predictor)
        body = inference_body(rows, self._sent(rows), identity)
        answer, said = self._answer("POST", "/infer", body=body, headers=headers, outputs=list)
        try:
            outputs = {own["name"]: _nested(own["data"], own["shape"]) for own in said["outputs"]}
            told = {
                kind: {
                    unquote(name) for name in said.get("parameters", {}).get(kind, "").split(",")
                }
                for kind in ("missing", "unknown", "outside")
            }
        except (KeyError, TypeError, AttributeError):
            raise self._strange("/infer") from None
        # The server says what was left out of all rows; what some rows lack is known here.
        some = {own["name"] for own in body["inputs"] if None in own["data"]}
        return Prediction(
            version=answer.headers.get(VERSION_HEADER, ""),
            predictor=answer.headers.get(PREDICTOR_HEADER, ""),
            request_id=identity,
            outputs=outputs,
            missing=tuple(sorted((told["missing"] | some) - {""})),
            unknown=tuple(sorted(told["unknown"] - {""})),
            outside=tuple(sorted(told["outside"] - {""})),
        )

    def explain(
        self,
        rows: Sequence[Row],
        *,
        budget: float = 1.0,
        outlier: bool = False,
        sample: bool = False,
        predictor: str | None = None,
    ) -> Explanations:
        """Say what each feature added to the predictions.

        Args:
            rows: feature → value for each row; a feature that a row lacks is missing in it.
            budget: seconds that it may take, at most 10.
            outlier: whether to say how unusual each row is.
            sample: whether to try features out though it could be done exactly.
            predictor: asks this version instead of the one that its weight picks.

        Raises:
            ServingError: a value cannot be sent, or the request was refused (with the server's
                sentence) or not answered.
        """
        headers = {PREDICTOR_HEADER: header_text(predictor)} if predictor else {}
        wish = {"budget": budget, "outlier": outlier, "sample": sample}
        body = inference_body(rows, self._sent(rows)) | {"parameters": wish}
        answer, said = self._answer(
            "POST", "/explain", body=body, headers=headers, explanations=list
        )
        try:
            explained = tuple(_explained(own) for own in said["explanations"])
            method, scale = str(said["method"]), str(said["scale"])
        except (KeyError, TypeError, AttributeError):
            raise self._strange("/explain") from None
        return Explanations(
            version=answer.headers.get(VERSION_HEADER, ""),
            predictor=answer.headers.get(PREDICTOR_HEADER, ""),
            method=method,
            scale=scale,
            rows=explained,
        )

    def feedback(self, prediction: Prediction, outcome: Sequence[Value]) -> FeedbackVerdict:
        """Say what came true, one value for each row, None where it is not known.

        Raises:
            ServingError: the version no longer remembers the request, or the outcome does not fit.
        """
        headers = {REQUEST_ID_HEADER: header_text(prediction.request_id)}
        if prediction.predictor:
            headers[PREDICTOR_HEADER] = header_text(prediction.predictor)
        truth = [plain(value, _OUTCOME) for value in outcome]
        body = {"id": prediction.request_id, "outcome": truth}
        known = {"model_version": str, "right": int, "wrong": int, "repeated": int}
        _, verdict = self._answer("POST", "/feedback", body=body, headers=headers, **known)
        return FeedbackVerdict(
            version=verdict["model_version"],
            right=verdict["right"],
            wrong=verdict["wrong"],
            repeated=verdict["repeated"],
        )

    def _sent(self, rows: Sequence[Row]) -> list[Input]:
        """The inputs that some row gives; of unknown ones a guess, which the server refuses."""
        if self._inputs is None:
            try:
                self._inputs = inputs_of(self.metadata())
            except (KeyError, TypeError):
                raise self._strange("") from None
        names = {name for row in rows for name in row}
        unknown = names - {own.name for own in self._inputs}
        return [own for own in self._inputs if own.name in names] + [
            Input(str(name), "FP32") for name in sorted(unknown, key=str)
        ]

    def _answer(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        **known: type,
    ) -> tuple[httpx.Response, dict[str, Any]]:
        """The answer and its JSON, an object with these keys of these types."""
        sent = {} if body is None else {"content-type": "application/json"}
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        try:
            answer = self._http.request(
                method, f"{self.url}{path}", content=content, headers={**sent, **(headers or {})}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServingError(
                f"no answer: {error or type(error).__name__}",
                where=self.url,
                fix="Is it served? See millwright status.",
            ) from None
        if not answer.is_success:
            raise ServingError(_sentence(answer), where=f"{self.url}{path}")
        try:
            value = answer.json()
            complete = all(isinstance(value[key], kind) for key, kind in known.items())
        except (ValueError, KeyError, TypeError):
            complete = False
        if not complete:
            raise self._strange(path)
        return answer, value

    def _strange(self, path: str) -> ServingError:
        return ServingError(
            "this is not the answer of a model server",
            where=f"{self.url}{path}",
            fix="Is the address that of the front door? See millwright status.",
        )


def _explained(own: Mapping[str, Any]) -> RowExplanation:
    unusual = own.get("outlier") or {}
    return RowExplanation(
        prediction=own["prediction"],
        score=own.get("score"),
        base=own["base"],
        total=own["total"],
        contributions=own["contributions"],
        uncertainty=own.get("uncertainty", {}),
        outlier=unusual.get("score"),
        most_unusual=unusual.get("most_unusual", {}),
    )


def _nested(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """The flat data, one entry for each row, nested as the shape says; a dimension of one element
    is none."""
    sizes = [size for size in shape[1:] if size != 1]
    for size in reversed(sizes):
        data = [data[start : start + size] for start in range(0, len(data), size)] if size else []
    return data


def _sentence(answer: httpx.Response) -> str:
    try:
        said = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        said = answer.text[:200] or answer.reason_phrase
    return f"{answer.status_code}: {said}"
