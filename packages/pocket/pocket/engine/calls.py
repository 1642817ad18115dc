"""One call of a provider's servicer in this process; all its failures become a `ProviderError`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2

from pocket.engine.values import Properties, from_struct
from pocket.errors import PocketError

FIX = "\n  "
"""What stands between a failure and what to do about it, in a status that tells both."""


@dataclass
class ProviderError(Exception):
    """A provider's refusal or failure.

    Args:
        code: the gRPC status; UNIMPLEMENTED where the servicer lacks the method.
        message: what it said.
        fix: what to do, where it said that too.
        partial: what there is nevertheless (a resource that came up broken), or None.
    """

    code: grpc.StatusCode
    message: str
    fix: str = ""
    partial: Partial | None = None

    @property
    def had_no_effect(self) -> bool:
        """Whether the provider refused before it did anything."""
        return self.code in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.FAILED_PRECONDITION,
        )


@dataclass(frozen=True)
class Partial:
    """A resource that exists but did not come up well."""

    id: str
    outputs: Properties
    reasons: tuple[str, ...]


class AbortedError(Exception):
    """How `CallContext.abort` leaves the servicer."""


class CallContext(grpc.ServicerContext):  # type: ignore[misc]
    """What a servicer gets as its gRPC context when it is called directly."""

    def __init__(self) -> None:
        self.status: grpc.StatusCode | None = None
        self.message = ""
        self.trailing: tuple[tuple[str, str | bytes], ...] = ()

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        self.status, self.message = code, details
        raise AbortedError

    def abort_with_status(self, status: Any) -> NoReturn:
        self.trailing = tuple(status.trailing_metadata or ())
        self.abort(status.code, status.details)

    def set_code(self, code: grpc.StatusCode) -> None:
        self.status = code

    def set_details(self, details: str) -> None:
        self.message = details

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self.trailing = tuple(trailing_metadata)

    def code(self) -> grpc.StatusCode | None:
        return self.status

    def details(self) -> str:
        return self.message

    def trailing_metadata(self) -> Any:
        return self.trailing

    def is_active(self) -> bool:
        return True

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Any) -> bool:
        return False

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def peer(self) -> str:
        return "in-process"

    def peer_identities(self) -> None:
        return None

    def peer_identity_key(self) -> None:
        return None

    def auth_context(self) -> dict[str, Any]:
        return {}

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        return None

    def set_compression(self, compression: Any) -> None:
        return None

    def disable_next_message_compression(self) -> None:
        return None


def call(method: Callable[[Any, Any], Any], request: Message) -> Any:
    """Call one method of a servicer.

    Raises:
        ProviderError: it failed in whichever way.
    """
    context = CallContext()
    try:
        response = method(request, context)
    except AbortedError:
        raise failure_of(context) from None
    except NotImplementedError:
        raise ProviderError(grpc.StatusCode.UNIMPLEMENTED, "not implemented") from None
    except PocketError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise ProviderError(grpc.StatusCode.UNKNOWN, what, error.fix) from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise ProviderError(grpc.StatusCode.UNKNOWN, message) from error
    if context.status not in (None, grpc.StatusCode.OK):
        raise failure_of(context)
    return response


def failure_of(context: CallContext) -> ProviderError:
    """The failure that a servicer left on its context, with the broken resource it may have
    reported."""
    partial = None
    for key, value in context.trailing:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            partial = init_failure(value)
    code = context.status or grpc.StatusCode.UNKNOWN
    message, _, fix = (context.message or "failed without a message").partition(FIX)
    if partial:
        message = "; ".join([message, *partial.reasons])
    return ProviderError(code, message, fix, partial)


def init_failure(data: bytes) -> Partial | None:
    """The ``ErrorResourceInitFailed`` among a status's details."""
    status = status_pb2.Status.FromString(data)
    for detail in status.details:
        found = provider_pb2.ErrorResourceInitFailed()
        if detail.Unpack(found):
            return Partial(found.id, from_struct(found.properties), tuple(found.reasons))
    return None
