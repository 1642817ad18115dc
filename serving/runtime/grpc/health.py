"""gRPC's health: whether requests are taken, asked once or watched.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
"""

from __future__ import annotations

from collections.abc import Callable

from serving.runtime.grpc.calls import Call, Method
from serving.runtime.grpc.inference import parsed
from serving.runtime.grpc.schema import HEALTH, INFERENCE, message
from serving.runtime.refusal import Refusal, shown

_Request = message(HEALTH, "HealthCheckRequest")
_Response = message(HEALTH, "HealthCheckResponse")
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
SERVICES = ("", f"{INFERENCE.package}.{INFERENCE.service}", f"{HEALTH.package}.{HEALTH.service}")
"""The services whose health is told; the empty name is the server's."""


class Health:
    """Whether requests are taken.

    Args:
        is_draining: whether the server ends.
    """

    def __init__(self, is_draining: Callable[[], bool]) -> None:
        self._is_draining = is_draining
        self._watching: set[Call] = set()

    def methods(self) -> dict[bytes, Method]:
        """Path → method."""
        start = f"/{HEALTH.package}.{HEALTH.service}/"
        watch = Method(
            take=self._watch,
            gone=self._watching.discard,
            refused=lambda call, _: self._watching.discard(call),
            ending=self._end,
        )
        return {f"{start}Check".encode(): Method(take=self._check), f"{start}Watch".encode(): watch}

    def changed(self) -> None:
        """Tell those who watch."""
        for call in list(self._watching):
            call.send(self._status(SERVICES[0]))

    def _status(self, service: str) -> bytes:
        status = _NOT_SERVING if self._is_draining() else _SERVING
        if service not in SERVICES:
            status = _SERVICE_UNKNOWN
        content: bytes = _Response(status=status).SerializeToString()
        return content

    def _check(self, call: Call, content: bytes) -> None:
        service = parsed(_Request, content).service
        if service not in SERVICES:
            raise Refusal(404, f"there is no service {shown(service)} here")
        call.answer(self._status(service))

    def _watch(self, call: Call, content: bytes) -> None:
        service = parsed(_Request, content).service
        if service in SERVICES:
            self._watching.add(call)
        call.send(self._status(service))

    def _end(self, call: Call) -> None:
        call.refuse(Refusal(503, "the server ends"))
