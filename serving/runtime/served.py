"""One version of a model as it is served: what reads its requests, answers, counts and remembers.

Whichever protocol a request comes by, and however many models a server has, it goes through here,
so that an inference is counted, judged and remembered in one way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from serving import metrics, protocol
from serving.bodies import Input
from serving.runtime import about, arrow, rows
from serving.runtime.answers import check_finite
from serving.runtime.batches import Batches
from serving.runtime.binary import Array
from serving.runtime.counters import Counters, Histogram
from serving.runtime.explaining.answers import Explaining
from serving.runtime.feedback import Record, Verdict, read_feedback
from serving.runtime.limits import Batch
from serving.runtime.messages import Response, line
from serving.runtime.model import Answer, Model, Prepared, Write
from serving.runtime.predictor.workers import PredictorModel
from serving.runtime.refusal import Refusal
from serving.runtime.requests import InferRequest
from serving.runtime.turns import Done, Turns

_MAX_ID = 1024
_encode = msgspec.json.encode


class Served:
    """A model in one version, and what it did.

    Args:
        model: the loaded model.
        predictor: the name under which traffic is sent to this version.
        slow_over: seconds; a response that takes longer is slow.
        shared: whether requests that are there together share calls of the model.
        batch: how requests wait for others to share calls with; None for not at all.
    """

    model: Model
    ask: Callable[[Prepared, Done], None]
    """Has a request answered in this turn of the event loop, or soon after."""
    explaining: Explaining
    """What says why it predicts what it does."""
    metadata: Response
    config: Response
    loaded = False
    """Whether there is a model; where there is none, only what counts may be used."""
    is_beside = False
    """Whether the model answers in other processes, and so never on the event loop."""
    _was_loaded = False
    active = 0
    """Requests that are being answered."""

    def __init__(
        self,
        model: Model,
        *,
        predictor: str = "",
        slow_over: float = 0.05,
        shared: bool = False,
        batch: Batch | None = None,
    ) -> None:
        self.describe(model.name, model.version, predictor, slow_over)
        self.put(model, shared=shared, batch=batch)

    def describe(self, name: str, version: str, predictor: str, slow_over: float) -> None:
        """Say whose requests are counted."""
        self.name, self.version = name, version
        self.predictor = predictor.encode()
        labels = labels_of(name, version, predictor)
        self.counters = Counters(labels, slow_over, ())
        self.lines = line(protocol.VERSION_HEADER.encode(), version.encode()) if version else b""
        """Header lines of every answer of its."""
        if predictor:
            self.lines += line(protocol.PREDICTOR_HEADER.encode(), self.predictor)
        self.record = Record(version, _is_wrong_unknown)

    def put(self, model: Model, *, shared: bool = False, batch: Batch | None = None) -> None:
        """Serve a model; what was counted and remembered of the same model before stays."""
        self.model = model
        if not self._was_loaded:
            self._was_loaded = True
            self.counters.scores = Histogram(model.meaning.bounds)
            self.record = Record(model.version, model.meaning.is_wrong)
        self.metadata = Response(200, _encode(about.metadata(model)))
        self.config = Response(200, _encode(about.config(model)))
        if isinstance(model, PredictorModel):
            self.ask, self.is_beside = model.workers.ask, True
        else:
            turns = Batches(model, batch) if batch else Turns(model, shared=shared)
            self.ask = turns.ask
        self.explaining = Explaining(model)
        self._inputs = [Input(own.name, own.datatype, own.shape) for own in model.artifact.inputs]
        self._is_classification = model.artifact.task == "classification"
        self.loaded = True

    @property
    def ready(self) -> bool:
        """Whether a request would be answered."""
        if not self.loaded or not isinstance(self.model, PredictorModel):
            return self.loaded
        return self.model.workers.alive

    def take(self) -> None:
        """Let the model go; requests that it has begun are answered by it."""
        self.loaded = False
        if isinstance(self.model, PredictorModel):
            self.model.workers.release()
        del self.model, self.ask, self.explaining

    def read(self, body: bytes, identity: str, json_size: bytes | None = None) -> Prepared:
        """Read an inference of tensors.

        Args:
            body: the request's JSON, and the bytes of tensors behind it.
            identity: its id when the body has none.
            json_size: the header that says where the JSON ends; None where nothing is behind it.

        Raises:
            Refusal: the request is not one that this model takes (400).
        """
        return _named(self.model.prepared(body, identity[:_MAX_ID], json_size))

    def read_message(self, request: InferRequest, identity: str, write: Write) -> Prepared:
        """Check an inference that is no JSON.

        Args:
            request: what it says.
            identity: its id when it has none.
            write: writes the answer's body, of the outputs that are wanted.

        Raises:
            Refusal: the request is not one that this model takes (400).
        """
        return _named(self.model.prepared_message(request, identity[:_MAX_ID], write))

    def read_rows(self, body: bytes, identity: str) -> Prepared:
        """Read an inference of rows, as ``predict`` takes them.

        Raises:
            Refusal: the request is not one that this model takes (400).
        """
        return self.read(rows.inference_of(body, self._inputs), identity)

    def read_arrow(self, body: bytes, identity: str) -> Prepared:
        """Read an inference of rows as Arrow.

        Raises:
            Refusal: the request is not one that this model takes (400), or there is no pyarrow
                (415).
        """
        request = arrow.request_of(body, self.model.signature)
        return self.read_message(request, identity, self._only_checked)

    def _only_checked(self, prepared: Prepared, results: Mapping[str, Array]) -> bytes:
        """No body, as predictions are put in its place."""
        for name in prepared.wanted:
            check_finite(name, results[name], [])
        return b""

    def answer(self, prepared: Prepared) -> Answer | Refusal:
        """Answer a request by itself; for a thread beside the event loop."""
        try:
            model = self.model
        except AttributeError:  # it went while the request was read, in another thread
            what = f"model {self.name!r} has just been let go"
            return Refusal(503, what, fix="try again in 1 s")
        return model.answers([prepared])[0]

    def in_rows(self, prepared: Prepared, answer: Answer) -> bytes:
        """The body of ``predict``: predictions in place of tensors."""
        return rows.predictions(
            self.name,
            self.version,
            prepared.identity,
            answer.classes,
            answer.scores if self._is_classification else (),
            prepared.findings,
        )

    def in_arrow(self, prepared: Prepared, answer: Answer) -> bytes:
        """The body of ``predict`` as Arrow."""
        said = {
            "model_name": self.name,
            "model_version": self.version,
            "id": prepared.identity,
        }
        scores = answer.scores if self._is_classification else ()
        return arrow.predictions(said, answer.classes, scores, prepared.findings)

    def count(self, status: int, began: float, *, addressed: bool) -> None:
        """Count a request that is answered or refused.

        Args:
            status: the HTTP status of its answer.
            began: when it was whole, by `time.perf_counter`; 0 where it never was.
            addressed: whether it named this version, so that no weight has sent it here.
        """
        seconds = time.perf_counter() - began if began else 0.0
        self.counters.request(status, seconds, addressed=addressed)

    def remember(self, prepared: Prepared, answer: Answer) -> None:
        """Count what was predicted, and keep it for the outcome that may come."""
        self.counters.answered(answer.rows, answer.scores, prepared.findings)
        self.record.remember(prepared.identity, answer.classes)

    def judge(self, body: bytes) -> Verdict | Awaitable[Verdict]:
        """Hold outcomes against what was predicted.

        Args:
            body: of ``feedback``.

        Raises:
            Refusal: it is no feedback, or of no request that is remembered here.
        """
        feedback = read_feedback(body)
        verdict = self.record.judge(feedback)
        self.counters.judged(verdict.right, verdict.wrong)
        return verdict


def _named(prepared: Prepared) -> Prepared:
    """The request, if its id can be remembered."""
    if len(prepared.identity) > _MAX_ID:
        size = len(prepared.identity)
        raise Refusal(400, f"the id has {size} characters; at most {_MAX_ID}")
    return prepared


def _is_wrong_unknown(predicted: object, outcome: object) -> bool:
    raise AssertionError(f"nothing was predicted before a model was there: {predicted!r}")


def labels_of(name: str, version: str, predictor: str) -> dict[str, str]:
    """What every series of a served model is labelled with."""
    return {metrics.MODEL: name, metrics.VERSION: version, metrics.PREDICTOR: predictor}
