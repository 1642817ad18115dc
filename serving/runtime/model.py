"""A registered model, loaded: its signature and its session, from a request's bytes to an answer's.

What the outputs mean is `serving.runtime.meaning`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped,unused-ignore]

from contracts.artifact import Artifact
from contracts.errors import ServingError
from serving.runtime import bfloat16
from serving.runtime.answers import (
    InferResponse,
    PlainResponses,
    as_parameters,
    flattened,
    output_tensor,
    write_response,
)
from serving.runtime.binary import Array, split
from serving.runtime.forms import CONTENT_TYPE, FRAME, columns_of, is_frame
from serving.runtime.meaning import Meaning
from serving.runtime.messages import JSON
from serving.runtime.refusal import Refusal
from serving.runtime.requests import InferRequest, binary_outputs, read_request
from serving.runtime.tensors import Findings, Signature

_ORT_TYPES = {
    "BOOL": "tensor(bool)",
    "UINT8": "tensor(uint8)",
    "UINT16": "tensor(uint16)",
    "UINT32": "tensor(uint32)",
    "UINT64": "tensor(uint64)",
    "INT8": "tensor(int8)",
    "INT16": "tensor(int16)",
    "INT32": "tensor(int32)",
    "INT64": "tensor(int64)",
    "FP16": "tensor(float16)",
    "FP32": "tensor(float)",
    "FP64": "tensor(double)",
    "BF16": "tensor(float)",  # see serving.runtime.bfloat16
    "BYTES": "tensor(string)",
}
"""ONNX Runtime's name for each datatype."""
_NOTHING: frozenset[str] = frozenset()
_KEPT = 64 * 2**20


class Prepared(msgspec.Struct):
    """A request that has been read and found good, and what is wanted of its answer."""

    identity: str
    feeds: dict[str, Any]
    """What the model reads, by name; the same names and datatypes in each request."""
    rows: int
    wanted: list[str]
    as_bytes: frozenset[str] | None
    """The outputs that are wanted as bytes; None for all."""
    findings: Findings
    plain: bool
    """Whether all outputs are wanted, and as JSON."""
    write: Callable[[Prepared, Mapping[str, Array]], bytes] | None = None
    """Writes the answer's body, where that is no JSON."""
    gone: bool = False
    """Whether nobody waits for the answer any more."""


Write = Callable[[Prepared, Mapping[str, Array]], bytes]


class Answer(msgspec.Struct):
    """An answered request.

    `scores` is what the histogram counts, `classes` what feedback is compared with; one a row.
    `json_size` says where the body's JSON ends, where bytes of tensors follow it;
    `kind` is the line of the header that says what it is, where none do.
    """

    body: bytes
    rows: int
    scores: Sequence[float]
    classes: Sequence[Any]
    json_size: int | None = None
    kind: bytes = JSON


class Model:
    """One version of a model.

    Args:
        name: the name that it is served under.
        artifact: its document.
        content: the bytes of ``model.onnx``.
        threads: of one call of the model.

    Raises:
        ServingError: ONNX Runtime cannot load it, or it is not what its document says.
    """

    content: bytes | None = None
    """The bytes of ``model.onnx``, for who explains it; None where they are many, or are none."""

    def __init__(self, name: str, artifact: Artifact, content: bytes, threads: int = 1) -> None:
        self.describe(name, artifact)
        tensors = (*(tensor for tensor in artifact.inputs if tensor.used), *artifact.outputs)
        if halves := [tensor.name for tensor in tensors if tensor.datatype == "BF16"]:
            content = bfloat16.widened(content, halves)
        self._session = _load(content, threads, where=f"{artifact.name} {artifact.version}")
        _check_names(artifact, self._session)
        if len(content) <= _KEPT:
            self.content = content

    def describe(self, name: str, artifact: Artifact) -> None:
        """Take from its document what a request and an answer must be."""
        self.name = name
        self.version = artifact.version
        self.artifact = artifact
        self.meaning = Meaning(artifact)
        self.signature = Signature(
            artifact.inputs, artifact.outputs, artifact.interpretation.missing_text
        )
        self._outputs = [tensor.name for tensor in artifact.outputs]
        self._tensors = {tensor.name: tensor for tensor in artifact.outputs}
        self._plain = PlainResponses(name, artifact.version, artifact.outputs)

    def answer(
        self, body: bytes, request_id: str, json_size: bytes | None = None
    ) -> tuple[str, Answer]:
        """Answer an inference request: `prepared` and `answers`, of one.

        Returns:
            The id, and the answer.

        Raises:
            Refusal: the request is not one that this model takes (400), or the model failed (500).
        """
        prepared = self.prepared(body, request_id, json_size)
        answer = self._alone(prepared)
        if isinstance(answer, Refusal):
            raise answer
        return prepared.identity, answer

    def prepared(self, body: bytes, request_id: str, json_size: bytes | None = None) -> Prepared:
        """Read an inference request.

        Args:
            body: the request's JSON, and the bytes of tensors behind it.
            request_id: its id when the body has none.
            json_size: the header that says where the JSON ends; None where nothing is behind it.

        Raises:
            Refusal: the request is not one that this model takes (400).
        """
        if json_size is None:
            request, behind = read_request(body), None
        else:
            text, behind = split(body, json_size)
            request = read_request(text)
        try:
            feeds, rows, findings = self.signature.feeds(request, behind)
        except Refusal:
            if (other := self.signature.adapted(request, behind)) is None:
                raise
            feeds, rows, findings = self.signature.feeds(other)
        wanted = self.signature.wanted(request)
        plain = request.outputs is None and request.parameters is None
        prepared = Prepared(
            request.id or request_id,
            feeds,
            rows,
            wanted,
            _NOTHING if plain else binary_outputs(request),
            findings,
            plain,
        )
        if not plain and prepared.as_bytes == _NOTHING and is_frame(request.parameters):
            prepared.write = self._frame
        return prepared

    def _frame(self, prepared: Prepared, results: Mapping[str, Array]) -> bytes:
        """An answer whose outputs are the columns of a data frame."""
        outputs = []
        for name in prepared.wanted:
            for tensor, column in columns_of(self._tensors[name], results[name]):
                output = output_tensor(tensor, column)
                if tensor.datatype == "BYTES":
                    output.parameters = {CONTENT_TYPE: "str"}
                outputs.append(output)
        response = InferResponse(self.name, self.version, prepared.identity, outputs)
        response.parameters = {CONTENT_TYPE: FRAME, **as_parameters(prepared.findings)}
        return write_response(response)

    def prepared_message(
        self,
        request: InferRequest,
        request_id: str,
        write: Write,
    ) -> Prepared:
        """Check an inference request that is no JSON.

        Args:
            request: what it says.
            request_id: its id when it has none.
            write: writes the answer's body, of the outputs that are wanted.

        Raises:
            Refusal: the request is not one that this model takes (400).
        """
        try:
            feeds, rows, findings = self.signature.feeds(request)
        except Refusal:
            if (other := self.signature.adapted(request)) is None:
                raise
            feeds, rows, findings = self.signature.feeds(other)
        wanted = self.signature.wanted(request)
        identity = request.id or request_id
        return Prepared(identity, feeds, rows, wanted, _NOTHING, findings, False, write)

    def answers(self, asked: Sequence[Prepared]) -> list[Answer | Refusal]:
        """Answer requests, in one call of the model where there are several.

        Returns:
            Of each its answer, or why it has none (500).
        """
        if len(asked) == 1:
            return [self._alone(asked[0])]
        feeds = {
            name: np.concatenate([prepared.feeds[name] for prepared in asked])
            for name in asked[0].feeds
        }
        rows = sum(prepared.rows for prepared in asked)
        try:
            results = self.results(feeds, rows)
        except Refusal:
            results = {}
        if not results or any(len(result) != rows for result in results.values()):
            return [self._alone(prepared) for prepared in asked]
        scores, predicted = self.meaning.of(results)
        if len(scores) not in (0, rows) or len(predicted) not in (0, rows):
            return [self._alone(prepared) for prepared in asked]
        self.meaning.relabel(results, predicted)
        flat = flattened(results.values())
        answers: list[Answer | Refusal] = []
        end = 0
        for prepared in asked:
            start, end = end, end + prepared.rows
            if flat is not None and prepared.plain:
                tensors = [
                    (
                        [end - start, *shape[1:]],
                        data[start * len(data) // rows : end * len(data) // rows],
                    )
                    for shape, data in flat
                ]
                body = self._plain.body(prepared.identity, tensors, prepared.findings)
                answer: Answer | Refusal = Answer(
                    body, prepared.rows, scores[start:end], predicted[start:end]
                )
            else:
                own = {name: result[start:end] for name, result in results.items()}
                answer = self._response(prepared, own, scores[start:end], predicted[start:end])
            answers.append(answer)
        return answers

    def _alone(self, prepared: Prepared) -> Answer | Refusal:
        try:
            results = self.results(prepared.feeds, prepared.rows)
        except Refusal as refusal:
            return refusal
        return self.finished(prepared, results)

    def finished(self, prepared: Prepared, results: dict[str, Array]) -> Answer | Refusal:
        """The answer to a request, of what the model gave for it."""
        scores, predicted = self.meaning.of(results)
        self.meaning.relabel(results, predicted)
        return self._response(prepared, results, scores, predicted)

    def _response(
        self,
        prepared: Prepared,
        results: Mapping[str, Array],
        scores: Sequence[float],
        predicted: Sequence[Any],
    ) -> Answer | Refusal:
        if prepared.plain and (flat := flattened(results.values())) is not None:
            body = self._plain.body(prepared.identity, flat, prepared.findings)
            return Answer(body, prepared.rows, scores, predicted)
        if prepared.write is not None:
            try:
                body = prepared.write(prepared, results)
            except Refusal as refusal:
                return refusal
            return Answer(body, prepared.rows, scores, predicted)
        as_bytes = prepared.as_bytes
        tensors: list[bytes] = []
        outputs = []
        try:
            for name in prepared.wanted:
                behind = tensors if as_bytes is None or name in as_bytes else None
                outputs.append(output_tensor(self._tensors[name], results[name], behind))
        except Refusal as refusal:
            return refusal
        response = InferResponse(self.name, self.version, prepared.identity, outputs)
        if prepared.findings:
            response.parameters = as_parameters(prepared.findings)
        body = write_response(response)
        size = len(body) if tensors else None
        if tensors:
            body = b"".join((body, *tensors))
        return Answer(body, prepared.rows, scores, predicted, size)

    def warm_up(self) -> None:
        """Answer one request of missing values, so that the first client does not wait for it."""
        feeds = {
            name: own.missing(1) if own.optional else np.zeros((1, *own.shape[1:]), own.dtype)
            for name, own in self.signature.inputs.items()
            if own.shape and own.used
        }
        for name, own in self.signature.inputs.items():
            if own.is_text and name in feeds and not own.optional:
                feeds[name] = np.full(feeds[name].shape, "", dtype=object)
        # A model may well fail on such a row; only its failure on a client's row is of interest.
        with _ignoring_model_failure():
            self._session.run(self._outputs, feeds)

    def results(self, feeds: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """What the model gives, by output.

        Args:
            feeds: what it reads, by input.
            rows: how many there are.

        Raises:
            Refusal: it failed (500).
        """
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:  # noqa: BLE001  ONNX Runtime has no common class for its errors
            first = str(error).partition("\n")[0][:300]
            raise Refusal(
                500, f"the model failed on this request of {rows} rows: {first}"
            ) from None
        return dict(zip(self._outputs, results, strict=True))


class _ignoring_model_failure:  # noqa: N801  reads as a sentence where it is used
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, Exception)


def _load(content: bytes, threads: int, *, where: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One unless asked: versions share the machine, and a row is too little work to share out.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  ONNX Runtime has no common class for its errors
        raise ServingError(
            f"ONNX Runtime cannot load the model: {error}",
            where=where,
            fix="Export it for the ONNX Runtime of requirements.lock.",
        ) from None


def _check_names(artifact: Artifact, session: ort.InferenceSession) -> None:
    """The document and the model must agree, or every request would fail."""
    sides = (
        ("input", [tensor for tensor in artifact.inputs if tensor.used], session.get_inputs()),
        ("output", artifact.outputs, session.get_outputs()),
    )
    for side, declared, actual in sides:
        ours = {tensor.name: _ORT_TYPES[tensor.datatype] for tensor in declared}
        theirs = {node.name: node.type for node in actual}
        wrong = {name for name, kind in ours.items() if theirs.get(name) != kind}
        if side == "input":
            wrong |= theirs.keys() - ours.keys()
        if wrong:
            name = sorted(wrong)[0]
            raise ServingError(
                f"{side} {name!r} is {ours.get(name, 'missing')} in the document and "
                f"{theirs.get(name, 'missing')} in the model",
                where=f"{artifact.name} {artifact.version}",
                fix="Register the model again, with its own signature.",
            )
