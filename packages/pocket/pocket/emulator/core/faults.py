"""Failures on request: the local AWS server as bad as the real one can be on a bad day.

That an interrupted `up` goes on where it stopped is easy to say and easy to break: what decides is
the one call whose answer never came. Rules at `/_pocket/faults` say which calls fail and how,
so that each of them can be tried in turn, through real clients and real retries.

A rule is ``{"kind": ..., "service": "ec2", "operation": "Create*", "nth": 3, "times": 1}``:

- ``throttle``: refused without effect, as too many requests are;
- ``server_error``: answered by an internal failure, without effect;
- ``lost_answer``: done, and then the connection closes before the answer;
- ``slow``: done after ``seconds``.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pocket.emulator.core import errors
from pocket.emulator.core.calls import Call, call_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Answer = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

KINDS = ("throttle", "server_error", "lost_answer", "slow")
READING = re.compile(r"(Describe|Get|List|Head|Batch[Gg]et|Scan|Query|Lookup|Select|Search|Test)")
"""How the names of operations begin that change nothing."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which calls fail, and how.

    Args:
        kind: one of `KINDS`.
        service: boto3's name of the service, or a pattern such as ``*``.
        operation: AWS's name of the operation, or a pattern such as ``Create*``.
        changes_only: only operations that may change something count and fail.
        nth: the first matching call that fails, from 1.
        step: then each step-th.
        times: how many fail at most; None: no end.
        seconds: how long a slow call waits.
    """

    kind: str
    service: str = "*"
    operation: str = "*"
    changes_only: bool = False
    nth: int = 1
    step: int = 1
    times: int | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}: one of {', '.join(KINDS)}")
        if self.nth < 1 or self.step < 1:
            raise ValueError("nth and step count from 1")

    @classmethod
    def parse(cls, document: object) -> Rule:
        """A rule from its JSON form.

        Raises:
            ValueError: a sentence on what is wrong with it.
        """
        known = {one.name for one in fields(cls)}
        if not isinstance(document, Mapping) or "kind" not in document:
            raise ValueError(f"a rule is an object with a kind: one of {', '.join(KINDS)}")
        if unknown := sorted(set(document) - known):
            raise ValueError(
                f"a rule has no {', '.join(unknown)}: it has {', '.join(sorted(known))}"
            )
        return cls(**document)

    def matches(self, call: Call) -> bool:
        """Whether it is about this call."""
        return (
            fnmatchcase(call.service, self.service)
            and fnmatchcase(call.operation, self.operation)
            and not (self.changes_only and READING.match(call.operation))
        )


@dataclass
class _Counted:
    """A rule with what it has done so far."""

    rule: Rule
    seen: int = 0
    hits: Counter[str] = field(default_factory=Counter)

    def strikes(self, call: Call) -> bool:
        """Count a matching call; whether it is one that fails."""
        self.seen += 1
        rule, ahead = self.rule, self.seen - self.rule.nth
        spent = rule.times is not None and self.hits.total() >= rule.times
        if ahead < 0 or ahead % rule.step or spent:
            return False
        self.hits[str(call)] += 1
        return True


class Faults:
    """The rules in force, and what they did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Counted] = []

    def set(self, document: object) -> None:
        """Replace the rules by one, or by a list of them; counting begins anew.

        Raises:
            ValueError: one of them is not a rule.
        """
        several = document if isinstance(document, list) else [document]
        rules = [_Counted(Rule.parse(one)) for one in several]
        with self._lock:
            self._rules = rules

    def clear(self) -> None:
        """Let everything succeed again."""
        with self._lock:
            self._rules = []

    def report(self) -> list[dict[str, Any]]:
        """Each rule with how many calls it saw and which it made fail."""
        with self._lock:
            return [
                {
                    **asdict(one.rule),
                    "seen": one.seen,
                    "hits": one.hits.total(),
                    "calls": dict(one.hits),
                }
                for one in self._rules
            ]

    def answer(
        self, environ: WSGIEnvironment, start_response: StartResponse, go: Answer
    ) -> Iterable[bytes]:
        """The answer to a request: `go`'s, or a failure."""
        rule = self._struck(environ) if self._rules else None
        if rule is None:
            return go(environ, start_response)
        if rule.kind == "slow":
            time.sleep(rule.seconds)
            return go(environ, start_response)
        if rule.kind == "lost_answer":
            return _lose(environ, go)
        status, code, message = _refusal(environ, rule.kind)
        refused = errors.answer(environ, status=status, code=code, message=message)
        return refused(environ, start_response)

    def _struck(self, environ: WSGIEnvironment) -> Rule | None:
        call = call_of(environ)
        if not call.operation:
            return None
        with self._lock:
            matching = [one for one in self._rules if one.rule.matches(call)]
            struck = [one.rule for one in matching if one.strikes(call)]
        return struck[0] if struck else None


def _refusal(environ: WSGIEnvironment, kind: str) -> tuple[int, str, str]:
    if kind == "throttle":
        if errors.service(environ) == "s3":
            return 503, "SlowDown", "Please reduce your request rate."
        return 400, "ThrottlingException", "Rate exceeded"
    code = "InternalError" if errors.service(environ) in ("s3", "ec2") else "InternalFailure"
    return 500, code, "An internal error occurred on purpose."


def _lose(environ: WSGIEnvironment, go: Answer) -> Iterable[bytes]:
    """Do what is asked, and close the connection instead of answering."""

    def nobody(status: str, headers: list[tuple[str, str]], failure: Any = None) -> Any:
        return lambda data: None

    for _ in go(environ, nobody):
        pass
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("the answer is lost on purpose")
