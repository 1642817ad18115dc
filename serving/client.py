"""A client of served models: rows in, predictions out.

It says once what every caller would otherwise repeat and get subtly wrong: one tensor for each
feature, null for what is missing, and feedback that goes back to the version (and the server in it)
that predicted.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from contracts.backends import BACKENDS, SELDON
from contracts.errors import ServingError
from serving.bodies import Row, Value, inference_body

_PREDICTOR = "x-millwright-predictor"
_REQUEST_ID = "x-request-id"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer to one request.

    Args:
        version: the model's version that answered.
        predictor: the predictor that it came from; empty when asked directly.
        request_id: names the request in feedback.
        outputs: output → value for each row; a list of values where the output has several columns.
    """

    version: str
    predictor: str
    request_id: str
    outputs: dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class FeedbackVerdict:
    """What feedback showed, in rows; repeated ones had been judged before."""

    version: str
    right: int
    wrong: int
    repeated: int


class Client:
    """Talks to one model.

    Args:
        base_url: the front door, such as ``http://127.0.0.1:8080``, or a model server itself.
        model: the model's name; also its deployment's.
        namespace: the deployment's namespace; None talks to a model server itself, without the
            prefix.
        timeout: seconds for one request.
        backend: the serving system, whose paths are those of the deployment.
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
        prefix = BACKENDS[backend].path(namespace, model) if namespace else ""
        self.url = f"{base_url.rstrip('/')}{prefix}/v2/models/{model}"
        self.model = model
        # Proxies in the environment are for the world, not for this machine.
        here = httpx.URL(base_url).host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(timeout=timeout, trust_env=not here)
        self._inputs: list[tuple[str, str]] | None = None

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
        except httpx.HTTPError:
            return False

    def metadata(self) -> dict[str, Any]:
        """The model's name, versions, inputs and outputs.

        Raises:
            ServingError: it cannot be reached or knows no such model.
        """
        metadata: dict[str, Any] = self._answer("GET", "").json()
        return metadata

    def infer(
        self, rows: Sequence[Row], *, request_id: str | None = None, predictor: str | None = None
    ) -> Prediction:
        """Predict.

        Args:
            rows: feature → value for each row; a feature that a row lacks is missing in it.
            request_id: names the request; a new one when None.
            predictor: asks this version instead of the one that its weight picks.

        Raises:
            ServingError: the request was refused (with the server's sentence) or not answered.
        """
        identity = request_id or str(uuid.uuid4())
        headers = {_REQUEST_ID: identity}
        if predictor:
            headers[_PREDICTOR] = predictor
        body = inference_body(rows, self._sent(rows), identity)
        answer = self._answer("POST", "/infer", json=body, headers=headers)
        return Prediction(
            version=answer.headers.get("x-millwright-version", ""),
            predictor=answer.headers.get(_PREDICTOR, ""),
            request_id=identity,
            outputs={own["name"]: _rows(own) for own in answer.json()["outputs"]},
        )

    def feedback(self, prediction: Prediction, outcome: Sequence[Value]) -> FeedbackVerdict:
        """Say what came true, one value for each row, None where it is not known.

        Raises:
            ServingError: the version no longer remembers the request, or the outcome does not fit.
        """
        headers = {_REQUEST_ID: prediction.request_id}
        if prediction.predictor:
            headers[_PREDICTOR] = prediction.predictor
        body = {"id": prediction.request_id, "outcome": list(outcome)}
        verdict = self._answer("POST", "/feedback", json=body, headers=headers).json()
        return FeedbackVerdict(
            version=verdict["model_version"],
            right=verdict["right"],
            wrong=verdict["wrong"],
            repeated=verdict["repeated"],
        )

    def _sent(self, rows: Sequence[Row]) -> list[tuple[str, str]]:
        """Name and datatype of each input that some row gives; the server refuses unknown ones."""
        if self._inputs is None:
            self._inputs = [(own["name"], own["datatype"]) for own in self.metadata()["inputs"]]
        names = {name for row in rows for name in row}
        unknown = names - {name for name, _ in self._inputs}
        kinds = [*self._inputs, *((name, "FP32") for name in sorted(unknown))]
        return [(name, datatype) for name, datatype in kinds if name in names]

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self.url}{path}", **request)
        except httpx.HTTPError as error:
            raise ServingError(
                f"no answer: {error or type(error).__name__}",
                where=self.url,
                fix="Is it served? See millwright status.",
            ) from None
        if answer.is_error:
            raise ServingError(_sentence(answer), where=f"{self.url}{path}")
        return answer


def _rows(output: Mapping[str, Any]) -> list[Any]:
    """The flat data, one entry for each row."""
    data: list[Any] = output["data"]
    width = 1
    for size in output["shape"][1:]:
        width *= size
    if width == 1:
        return data
    return [data[start : start + width] for start in range(0, len(data), width)]


def _sentence(answer: httpx.Response) -> str:
    try:
        said = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        said = answer.text[:200] or answer.reason_phrase
    return f"{answer.status_code}: {said}"
