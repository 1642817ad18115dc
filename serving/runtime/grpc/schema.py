"""The protocols' messages and services, as tables, and the classes that are made of them.

The classes are made here and not by protoc, whose output fits one version of its library, and in a
pool of their own: a process that also holds Triton's or MLServer's client has their messages of the
same names beside these.

Sources: https://github.com/kserve/open-inference-protocol, specification/protocol/
open_inference_grpc.proto; the repository's calls: Triton's grpc_service.proto
(https://github.com/triton-inference-server/common) and its extension model_repository; health and
reflection: https://github.com/grpc/grpc-proto (grpc/health/v1, grpc/reflection/v1 and v1alpha).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Fields = Mapping[str, tuple[int, str]]
"""Field → number and type: a scalar, or a message; ``*`` behind it for many, ``%`` for a map whose
keys are texts, ``?`` for one of which a message has at most one."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One protocol.

    Args:
        name: of its file, for reflection.
        package: of its names.
        messages: name → fields; one inside another is written ``Outer.Inner``.
        service: its service's name.
        methods: name → message in, message out; ``*`` behind a stream of them.
        enums: name → values, from 0 on.
        choices: message → the name of the group that its fields with ``?`` are of.
    """

    name: str
    package: str
    messages: Mapping[str, Fields]
    service: str
    methods: Mapping[str, tuple[str, str]]
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)


_TENSOR: Fields = {
    "name": (1, "string"),
    "datatype": (2, "string"),
    "shape": (3, "int64*"),
}
_DATA: Fields = {
    **_TENSOR,
    "parameters": (4, "InferParameter%"),
    "contents": (5, "InferTensorContents"),
}
_OF_MODEL: Fields = {"name": (1, "string"), "version": (2, "string")}

INFERENCE = File(
    name="inference.proto",
    package="inference",
    messages={
        "ServerLiveRequest": {},
        "ServerLiveResponse": {"live": (1, "bool")},
        "ServerReadyRequest": {},
        "ServerReadyResponse": {"ready": (1, "bool")},
        "ModelReadyRequest": _OF_MODEL,
        "ModelReadyResponse": {"ready": (1, "bool")},
        "ServerMetadataRequest": {},
        "ServerMetadataResponse": {
            "name": (1, "string"),
            "version": (2, "string"),
            "extensions": (3, "string*"),
        },
        "ModelMetadataRequest": _OF_MODEL,
        "ModelMetadataResponse": {
            "name": (1, "string"),
            "versions": (2, "string*"),
            "platform": (3, "string"),
            "inputs": (4, "ModelMetadataResponse.TensorMetadata*"),
            "outputs": (5, "ModelMetadataResponse.TensorMetadata*"),
            "properties": (6, "string%"),
        },
        "ModelMetadataResponse.TensorMetadata": _TENSOR,
        "InferParameter": {
            "bool_param": (1, "bool?"),
            "int64_param": (2, "int64?"),
            "string_param": (3, "string?"),
            "double_param": (4, "double?"),
            "uint64_param": (5, "uint64?"),
        },
        "InferTensorContents": {
            "bool_contents": (1, "bool*"),
            "int_contents": (2, "int32*"),
            "int64_contents": (3, "int64*"),
            "uint_contents": (4, "uint32*"),
            "uint64_contents": (5, "uint64*"),
            "fp32_contents": (6, "float*"),
            "fp64_contents": (7, "double*"),
            "bytes_contents": (8, "bytes*"),
        },
        "ModelInferRequest": {
            "model_name": (1, "string"),
            "model_version": (2, "string"),
            "id": (3, "string"),
            "parameters": (4, "InferParameter%"),
            "inputs": (5, "ModelInferRequest.InferInputTensor*"),
            "outputs": (6, "ModelInferRequest.InferRequestedOutputTensor*"),
            "raw_input_contents": (7, "bytes*"),
        },
        "ModelInferRequest.InferInputTensor": _DATA,
        "ModelInferRequest.InferRequestedOutputTensor": {
            "name": (1, "string"),
            "parameters": (2, "InferParameter%"),
        },
        "ModelInferResponse": {
            "model_name": (1, "string"),
            "model_version": (2, "string"),
            "id": (3, "string"),
            "parameters": (4, "InferParameter%"),
            "outputs": (5, "ModelInferResponse.InferOutputTensor*"),
            "raw_output_contents": (6, "bytes*"),
        },
        "ModelInferResponse.InferOutputTensor": _DATA,
        "ModelRepositoryParameter": {
            "bool_param": (1, "bool?"),
            "int64_param": (2, "int64?"),
            "string_param": (3, "string?"),
            "bytes_param": (4, "bytes?"),
        },
        "RepositoryIndexRequest": {"repository_name": (1, "string"), "ready": (2, "bool")},
        "RepositoryIndexResponse": {"models": (1, "RepositoryIndexResponse.ModelIndex*")},
        "RepositoryIndexResponse.ModelIndex": {
            "name": (1, "string"),
            "version": (2, "string"),
            "state": (3, "string"),
            "reason": (4, "string"),
        },
        "RepositoryModelLoadRequest": {
            "repository_name": (1, "string"),
            "model_name": (2, "string"),
            "parameters": (3, "ModelRepositoryParameter%"),
        },
        "RepositoryModelLoadResponse": {},
        "RepositoryModelUnloadRequest": {
            "repository_name": (1, "string"),
            "model_name": (2, "string"),
            "parameters": (3, "ModelRepositoryParameter%"),
        },
        "RepositoryModelUnloadResponse": {},
    },
    service="GRPCInferenceService",
    methods={
        name: (f"{name}Request", f"{name}Response")
        for name in (
            *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata"),
            *("ModelInfer", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
        )
    },
    choices=dict.fromkeys(("InferParameter", "ModelRepositoryParameter"), "parameter_choice"),
)

HEALTH = File(
    name="grpc/health/v1/health.proto",
    package="grpc.health.v1",
    messages={
        "HealthCheckRequest": {"service": (1, "string")},
        "HealthCheckResponse": {"status": (1, "HealthCheckResponse.ServingStatus")},
    },
    service="Health",
    methods={
        "Check": ("HealthCheckRequest", "HealthCheckResponse"),
        "Watch": ("HealthCheckRequest", "HealthCheckResponse*"),
    },
    enums={
        "HealthCheckResponse.ServingStatus": (
            "UNKNOWN",
            "SERVING",
            "NOT_SERVING",
            "SERVICE_UNKNOWN",
        )
    },
)


def _reflection(version: str) -> File:
    return File(
        name=f"grpc/reflection/{version}/reflection.proto",
        package=f"grpc.reflection.{version}",
        messages={
            "ServerReflectionRequest": {
                "host": (1, "string"),
                "file_by_filename": (3, "string?"),
                "file_containing_symbol": (4, "string?"),
                "file_containing_extension": (5, "ExtensionRequest?"),
                "all_extension_numbers_of_type": (6, "string?"),
                "list_services": (7, "string?"),
            },
            "ExtensionRequest": {
                "containing_type": (1, "string"),
                "extension_number": (2, "int32"),
            },
            "ServerReflectionResponse": {
                "valid_host": (1, "string"),
                "original_request": (2, "ServerReflectionRequest"),
                "file_descriptor_response": (4, "FileDescriptorResponse?"),
                "all_extension_numbers_response": (5, "ExtensionNumberResponse?"),
                "list_services_response": (6, "ListServiceResponse?"),
                "error_response": (7, "ErrorResponse?"),
            },
            "FileDescriptorResponse": {"file_descriptor_proto": (1, "bytes*")},
            "ExtensionNumberResponse": {
                "base_type_name": (1, "string"),
                "extension_number": (2, "int32*"),
            },
            "ListServiceResponse": {"service": (1, "ServiceResponse*")},
            "ServiceResponse": {"name": (1, "string")},
            "ErrorResponse": {"error_code": (1, "int32"), "error_message": (2, "string")},
        },
        service="ServerReflection",
        methods={"ServerReflectionInfo": ("ServerReflectionRequest*", "ServerReflectionResponse*")},
        choices={
            "ServerReflectionRequest": "message_request",
            "ServerReflectionResponse": "message_response",
        },
    )


REFLECTIONS = (_reflection("v1"), _reflection("v1alpha"))
FILES = (INFERENCE, HEALTH, *REFLECTIONS)
"""All that is spoken here."""

_Field = descriptor_pb2.FieldDescriptorProto


def described(file: File) -> descriptor_pb2.FileDescriptorProto:
    """A file's descriptor."""
    made = descriptor_pb2.FileDescriptorProto(name=file.name, package=file.package, syntax="proto3")
    places: dict[str, Any] = {}
    for name, fields in file.messages.items():
        outer, _, own = name.rpartition(".")
        into = places[outer].nested_type if outer else made.message_type
        place = places[name] = into.add(name=own)
        if name in file.choices:
            place.oneof_decl.add(name=file.choices[name])
        for own, (number, kind) in fields.items():
            _add(place, file, name, own, number, kind)
    for name, values in file.enums.items():
        outer, _, own = name.rpartition(".")
        enum = places[outer].enum_type.add(name=own)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    service = made.service.add(name=file.service)
    for name, (taken, given) in file.methods.items():
        service.method.add(
            name=name,
            input_type=f".{file.package}.{taken.rstrip('*')}",
            output_type=f".{file.package}.{given.rstrip('*')}",
            client_streaming=taken.endswith("*"),
            server_streaming=given.endswith("*"),
        )
    return made


def _add(place: Any, file: File, outer: str, name: str, number: int, kind: str) -> None:
    """Add a field to a message's descriptor, which is at `place` and whose name is `outer`."""
    bare = kind.rstrip("*%?")
    label = _Field.LABEL_REPEATED if kind[-1] in "*%" else _Field.LABEL_OPTIONAL
    made = place.field.add(name=name, number=number, label=label)
    if kind[-1] == "?":
        made.oneof_index = 0
    if kind[-1] == "%":
        entry = place.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        inner = f"{outer}.{entry.name}"
        _add(entry, file, inner, "key", 1, "string")
        _add(entry, file, inner, "value", 2, bare)
        made.type, made.type_name = _Field.TYPE_MESSAGE, f".{file.package}.{inner}"
    elif bare in file.messages or bare in file.enums:
        made.type = _Field.TYPE_MESSAGE if bare in file.messages else _Field.TYPE_ENUM
        made.type_name = f".{file.package}.{bare}"
    else:
        made.type = _Field.Type.Value(f"TYPE_{bare.upper()}")


def _pool(files: Iterable[File]) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(described(file))
    return pool


_POOL = _pool(FILES)


def message(file: File, name: str) -> type[Any]:
    """The class of a message."""
    descriptor = _POOL.FindMessageTypeByName(f"{file.package}.{name}")
    made: type[Any] = message_factory.GetMessageClass(descriptor)
    return made
