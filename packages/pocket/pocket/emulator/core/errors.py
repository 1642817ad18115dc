"""Failures in the form that AWS's clients read.

moto answers an operation that it lacks, or a bug of its own, with an HTML page, which a client
reports as unreadable XML. Here both become an error with a code and a sentence, in the protocol
of the caller.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response


class RefusedError(Exception):
    """AWS's error: its code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_REST_JSON = frozenset({"eks", "glue", "efs", "elasticfilesystem", "backup"})


def answer(environ: Mapping[str, object], *, status: int, code: str, message: str) -> Response:
    """An AWS error in the caller's protocol: JSON where it speaks JSON, else XML."""
    if _speaks_json(environ):
        return Response(
            json.dumps({"__type": code, "message": message}),
            status=status,
            content_type="application/x-amz-json-1.1",
            headers={"x-amzn-errortype": code},
        )
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return Response(
            _cbor({"__type": code, "message": message}),
            status=status,
            content_type="application/cbor",
            headers={"smithy-protocol": "rpc-v2-cbor"},
        )
    if service(environ) == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            "</Error></Errors><RequestID>0</RequestID></Response>"
        )
    elif _is_s3(environ):
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    else:
        body = (
            f"<ErrorResponse><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            "</ErrorResponse>"
        )
    return Response(body, status=status, content_type="text/xml")


def failed(environ: Mapping[str, object], failure: Exception) -> Response:
    """The answer when the emulator raised: AWS's refusal, 501 for what the emulator lacks, else 500
    (the log has more).
    """
    if isinstance(failure, RefusedError):
        return answer(environ, status=400, code=failure.code, message=str(failure))
    if isinstance(failure, NotImplementedError):
        return answer(
            environ,
            status=501,
            code="NotImplemented",
            message=str(failure) or "The local cloud does not have this operation.",
        )
    traceback.print_exception(failure)
    return answer(
        environ,
        status=500,
        code="InternalFailure",
        message=f"The local cloud failed: {type(failure).__name__}: {failure}",
    )


def _speaks_json(environ: Mapping[str, object]) -> bool:
    if environ.get("HTTP_X_AMZ_TARGET"):
        return True
    kind = str(environ.get("CONTENT_TYPE") or "")
    return "json" in kind or service(environ) in _REST_JSON


def _cbor(words: Mapping[str, str]) -> bytes:
    """A map of texts in CBOR (RFC 8949): each length in two bytes, though fewer might do."""
    texts = [text.encode()[:65535] for pair in words.items() for text in pair]
    return bytes([0xA0 + len(words)]) + b"".join(
        b"\x79" + len(text).to_bytes(2, "big") + text for text in texts
    )


def _is_s3(environ: Mapping[str, object]) -> bool:
    return service(environ) in ("s3", "")


def service(environ: Mapping[str, object]) -> str:
    """The service that the request is signed for; empty when it is not signed."""
    scope = str(environ.get("HTTP_AUTHORIZATION") or "").partition("Credential=")[2]
    parts = scope.split(",")[0].split("/")
    return parts[3].lower() if len(parts) == 5 else ""
