"""The provider behind gRPC: how failures travel, and the server that the Pulumi CLI starts.

A CLI's plugin prints its port and answers until it is told to stop. A failure travels as a status;
that of a resource which exists nevertheless carries ``ErrorResourceInitFailed``, so that the
caller keeps it in its state instead of making a second one.
"""

import os
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from pocket.errors import PocketError
from pocket.provider.aws import AccountError
from pocket.provider.machine import PartlyCreatedError
from pocket.provider.ownership import ForeignError
from pocket.provider.requests import RefusedError
from pocket.provider.values import to_struct

MAX_MESSAGE = 400 * 1024 * 1024  # what Pulumi's own plugins take
THREADS = 32


class _Status(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def report_partial(error: PartlyCreatedError, inputs: Struct, context: Any) -> None:
    """Tell the caller, through its context, of a resource that exists but is not as wanted.

    Does nothing where there is no context to tell it through; the error itself says the same.
    """
    if not hasattr(context, "abort_with_status"):
        return
    detail = AnyMessage()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=error.id,
            properties=to_struct(error.properties),
            reasons=[str(error)],
            inputs=inputs,
        ),
        type_url_prefix="type.googleapis.com/",
    )
    status = status_pb2.Status(
        code=grpc.StatusCode.UNKNOWN.value[0], message="the resource was created, but not finished"
    )
    status.details.append(detail)
    metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    context.abort_with_status(_Status(grpc.StatusCode.UNKNOWN, status.message, metadata))


def report_refused(error: RefusedError | AccountError, context: Any) -> None:
    """Tell the caller, through its context, that nothing was created.

    Does nothing where there is no context to tell it through; the error itself says the same.
    """
    if hasattr(context, "abort"):
        fix = f"\n  {error.fix}" if error.fix else ""
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error.what}{fix}")


def report_foreign(error: ForeignError, context: Any) -> None:
    """Tell the caller, through its context, that what it looks for is there and is not ours.

    Does nothing where there is no context to tell it through; the error itself says the same.
    """
    if hasattr(context, "abort"):
        context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{error.what}\n  {error.fix}")


class _Failures(grpc.ServerInterceptor):  # type: ignore[misc]
    """Turns our errors, which are sentences, into statuses; anything else stays gRPC's business."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def answer(request: Any, context: Any) -> Any:
            try:
                return handler.unary_unary(request, context)
            except PocketError as error:
                context.abort(grpc.StatusCode.UNKNOWN, str(error))

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def serve(servicer: Any, address: str = "127.0.0.1:0") -> tuple[grpc.Server, int]:
    """A started server of the provider, and its port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=THREADS),
        interceptors=(_Failures(),),
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def run(servicer: Any) -> None:
    """What a plugin does: serve, print the port on a line of its own, and stop when told to or
    orphaned.
    """
    server, port = serve(servicer)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    stopped = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopped.set())
    parent = os.getppid()
    while not stopped.wait(1.0):
        if os.getppid() != parent:  # the CLI died without saying so
            break
    server.stop(grace=2).wait()


def write_plugin(folder: Path) -> Path:
    """Put the executable ``pulumi-resource-aws`` in a folder, and return its path.

    With the folder on PATH, the Pulumi CLI takes it as the plugin for ``aws``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / "pulumi-resource-aws"
    # The CLI starts it in the program's folder: this checkout must be found from there.
    checkout = Path(__file__).resolve().parents[2]
    plugin.write_text(
        "#!/bin/sh\n"
        f'export PYTHONPATH="{checkout}${{PYTHONPATH:+:$PYTHONPATH}}"\n'
        f'exec "{sys.executable}" -m pocket.provider "$@"\n'
    )
    plugin.chmod(0o755)
    return plugin
