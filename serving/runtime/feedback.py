"""Remembers recent predictions, so that an outcome is held against the version that predicted it.

Outcomes come back minutes or days later and know only the request's id. If they were compared with
a prediction made anew, a candidate would be judged on what it did not serve.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from serving.runtime.refusal import Refusal, shown

_JUDGED = object()


class Feedback(msgspec.Struct):
    """The body of ``feedback``: each row's true value, null where it is unknown."""

    id: str
    outcome: list[bool | int | float | str | None]


class Verdict(msgspec.Struct):
    """What the feedback showed; `repeated` rows were judged before and are not counted again."""

    id: str
    model_version: str
    right: int = 0
    wrong: int = 0
    repeated: int = 0


_decode = msgspec.json.Decoder(Feedback).decode


def read_feedback(body: bytes) -> Feedback:
    """The body of ``feedback``.

    Raises:
        Refusal: it is not JSON, or not feedback.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(
            400,
            f"this is not feedback: {str(error).partition(chr(10))[0]}",
            fix='expected {"id": "<request id>", "outcome": [<true value of each row>]}',
        ) from None


class Record:
    """The most recent predictions by request id.

    Args:
        version: of the model, for the answer.
        is_wrong: compares a prediction with its outcome.
        requests: how many requests are remembered; the oldest are forgotten first.
        rows: how many rows they may have together.
    """

    def __init__(
        self,
        version: str,
        is_wrong: Callable[[object, object], bool],
        requests: int = 100_000,
        rows: int = 1_000_000,
    ) -> None:
        self._version = version
        self._is_wrong = is_wrong
        self._requests = requests
        self._rows = rows
        self._held = 0
        # Ordered: the oldest key of a plain dict is found by passing all the removed ones.
        self._predicted: OrderedDict[str, list[Any]] = OrderedDict()

    def remember(self, request_id: str, predicted: Sequence[Any]) -> None:
        """Keep the predictions of a request; an id that is used again means its newest request."""
        earlier = self._predicted.pop(request_id, None)
        if earlier:
            self._held -= len(earlier)
        if len(predicted) > self._rows:
            return
        self._predicted[request_id] = list(predicted)
        self._held += len(predicted)
        while len(self._predicted) > self._requests or self._held > self._rows:
            self._held -= len(self._predicted.popitem(last=False)[1])

    def judge(self, feedback: Feedback) -> Verdict:
        """Compare outcomes with what was predicted; each row counts once, however often it comes.

        Raises:
            Refusal: the id is unknown here, or the outcomes do not fit the request.
        """
        predicted = self._predicted.get(feedback.id)
        if predicted is None:
            raise Refusal(
                404,
                f"version {self._version} on this server knows no request {shown(feedback.id)}",
                fix="send feedback with the x-millwright-predictor and x-request-id headers of the "
                "answer, soon enough that it is still remembered",
            )
        if len(feedback.outcome) != len(predicted):
            raise Refusal(
                400,
                f"{len(feedback.outcome)} outcomes for a request of {len(predicted)} rows; "
                "expected one for each row, null where it is unknown",
            )
        verdict = Verdict(feedback.id, self._version)
        judged = [
            (row, self._is_wrong(predicted[row], outcome))
            for row, outcome in enumerate(feedback.outcome)
            if outcome is not None and predicted[row] is not _JUDGED
        ]
        known = sum(outcome is not None for outcome in feedback.outcome)
        verdict.repeated = known - len(judged)
        for row, wrong in judged:
            predicted[row] = _JUDGED
            verdict.wrong += wrong
            verdict.right += not wrong
        return verdict
