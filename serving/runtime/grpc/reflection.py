"""What is spoken here, told to clients that know nothing of it, such as grpcurl.

Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md.
"""

from __future__ import annotations

from typing import Any

from serving.runtime.grpc.calls import Call, Method
from serving.runtime.grpc.inference import parsed
from serving.runtime.grpc.schema import FILES, File, described, message
from serving.runtime.grpc.status import Status

_SERVICES = {f"{file.package}.{file.service}": file for file in FILES}


def methods(file: File) -> dict[bytes, Method]:
    """Path → method of one version of reflection."""
    taken = message(file, "ServerReflectionRequest")
    given = message(file, "ServerReflectionResponse")

    def take(call: Call, content: bytes) -> None:
        asked = parsed(taken, content)
        answer = given(valid_host=asked.host, original_request=asked)
        _fill(answer, asked)
        call.send(answer.SerializeToString())

    (name,) = file.methods
    path = f"/{file.package}.{file.service}/{name}".encode()
    return {path: Method(take=take, many=True)}


def _fill(answer: Any, asked: Any) -> None:
    kind = asked.WhichOneof("message_request")
    if kind == "list_services":
        for name in _SERVICES:
            answer.list_services_response.service.add(name=name)
        return
    if kind == "file_by_filename":
        own = next((file for file in FILES if file.name == asked.file_by_filename), None)
        what = f"there is no file {asked.file_by_filename!r}"
    elif kind == "file_containing_symbol":
        own = _containing(asked.file_containing_symbol)
        what = f"there is no symbol {asked.file_containing_symbol!r}"
    else:
        own, what = None, "nothing here has extensions"
    if own is None:
        answer.error_response.error_code = Status.NOT_FOUND
        answer.error_response.error_message = what[:200]
    else:
        content = described(own).SerializeToString()
        answer.file_descriptor_response.file_descriptor_proto.append(content)


def _containing(symbol: str) -> File | None:
    """The file that has a message, an enum, a service, a method, or a field of that name."""
    for file in FILES:
        package, _, inner = symbol[: len(file.package)], None, symbol[len(file.package) + 1 :]
        if package != file.package:
            continue
        service, _, method = inner.partition(".")
        if service == file.service and (not method or method in file.methods):
            return file
        message_name, _, field = inner.rpartition(".")
        if inner in file.messages or inner in file.enums:
            return file
        if field in file.messages.get(message_name, {}):
            return file
    return None
