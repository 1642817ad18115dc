"""Transforms: functions of the program that change what a resource is asked to be, before anything
else looks at it.

The SDK serves them from the program over gRPC (its Callbacks service) and hands the engine their
addresses: with a resource, for it and its children, or for the whole stack. Their order is
Pulumi's: the resource's own, its parents' from the nearest outwards, the stack's; each gets what
the one before it gave. What follows of dependencies is Pulumi's own rule too, so that a state does
not depend on which engine ran the program.

Source: pulumi/pulumi, pkg/resource/deploy/source_eval.go; callback.proto and resource.proto.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, resource_pb2

from pocket.engine.values import (
    OUTPUT,
    SECRET,
    SIGNATURE,
    Properties,
    Value,
    from_struct,
    is_unknown,
    to_struct,
)
from pocket.errors import DeploymentError

RESOURCE_OPTIONS = {
    "additional_secret_outputs": "additionalSecretOutputs",
    "aliases": "aliases",
    "custom_timeouts": "customTimeouts",
    "deleted_with": "deletedWith",
    "depends_on": "dependencies",
    "hide_diff": "hideDiffs",
    "hooks": "hooks",
    "ignore_changes": "ignoreChanges",
    "import": "importId",
    "plugin_checksums": "pluginChecksums",
    "plugin_download_url": "pluginDownloadURL",
    "protect": "protect",
    "provider": "provider",
    "providers": "providers",
    "replace_on_changes": "replaceOnChanges",
    "replace_with": "replace_with",
    "replacement_trigger": "replacement_trigger",
    "retain_on_delete": "retainOnDelete",
    "version": "version",
}
"""What an option is called in a transform, and in a registration."""

INVOKE_OPTIONS = {
    "plugin_checksums": "pluginChecksums",
    "plugin_download_url": "pluginDownloadURL",
    "provider": "provider",
    "version": "version",
}
"""The same of a function's call."""

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Transforms:
    """The transforms of one run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._stack: list[Any] = []
        self._invokes: list[Any] = []
        self._own: dict[str, tuple[Any, ...]] = {}
        self._parents: dict[str, str] = {}

    def add_to_stack(self, callback: Any) -> None:
        """Transform every resource that is registered from now on."""
        with self._lock:
            self._stack.append(callback)

    def add_to_invokes(self, callback: Any) -> None:
        """Transform every call of a function from now on."""
        with self._lock:
            self._invokes.append(callback)

    def resource(self, urn: str, request: Any) -> Any:
        """A registration as its transforms make it; the same one where there are none.

        Args:
            urn: the resource's, which no transform can change.
            request: a RegisterResourceRequest.

        Raises:
            DeploymentError: a transform failed.
        """
        callbacks = self._callbacks_of(urn, request)
        if not callbacks:
            return request
        told = resource_pb2.TransformRequest(
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            options=options_of(request),
        )
        # Once, as Pulumi does: what a transform gives is what the next one gets.
        own = with_dependencies(request) if request.transforms else as_outputs_in(request.object)
        told.properties.CopyFrom(to_struct(own))
        for callback in callbacks:
            answer = resource_pb2.TransformResponse()
            self._call(callback, told, answer, where=urn)
            for part in ("properties", "options"):
                if answer.HasField(part):
                    getattr(told, part).CopyFrom(getattr(answer, part))
        return transformed(request, told)

    def invoke(self, request: Any) -> Any:
        """A function's call as the stack's transforms make it; raises as `resource`."""
        with self._lock:
            callbacks = tuple(self._invokes)
        if not callbacks:
            return request
        options = resource_pb2.TransformInvokeOptions()
        copy_fields(request, options, {field: name for name, field in INVOKE_OPTIONS.items()})
        told = resource_pb2.TransformInvokeRequest(
            token=request.tok, args=request.args, options=options
        )
        for callback in callbacks:
            answer = resource_pb2.TransformInvokeResponse()
            self._call(callback, told, answer, where=request.tok)
            for part in ("args", "options"):
                if answer.HasField(part):
                    getattr(told, part).CopyFrom(getattr(answer, part))
        found = resource_pb2.ResourceInvokeRequest()
        found.CopyFrom(request)
        found.args.CopyFrom(told.args)
        copy_fields(told.options, found, INVOKE_OPTIONS)
        return found

    def close(self) -> None:
        """Forget the program's addresses: it has ended."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()

    def _callbacks_of(self, urn: str, request: Any) -> tuple[Any, ...]:
        """All that apply to a resource, in their order; its own are kept for its children."""
        with self._lock:
            own = self._own[urn] = tuple(request.transforms)
            self._parents[urn] = request.parent
            inherited = [one for above in self._above(request.parent) for one in self._own[above]]
            return (*own, *inherited, *self._stack)

    def _above(self, parent: str) -> Iterator[str]:
        while parent in self._own:
            yield parent
            parent = self._parents[parent]

    def _call(self, callback: Any, told: Message, answer: Message, *, where: str) -> None:
        """Let the program transform what it is told, into the answer."""
        request = callback_pb2.CallbackInvokeRequest(
            token=callback.token, request=told.SerializeToString()
        )
        try:
            response = self._stub(callback.target).Invoke(request)
        except grpc.RpcError as failure:
            raise DeploymentError(
                f"a transform failed: {failure.details()}",
                where=where,
                fix="Correct the transform in the program.",
            ) from failure
        answer.ParseFromString(response.response)

    def _stub(self, target: str) -> Any:
        with self._lock:
            if target not in self._channels:
                self._channels[target] = grpc.insecure_channel(target, UNLIMITED)
            return callback_pb2_grpc.CallbacksStub(self._channels[target])


def options_of(request: Any) -> Any:
    """A registration's options in the form that transforms know."""
    options = resource_pb2.TransformResourceOptions()
    copy_fields(request, options, {field: name for name, field in RESOURCE_OPTIONS.items()})
    if request.deleteBeforeReplaceDefined:
        options.delete_before_replace = request.deleteBeforeReplace
    return options


def transformed(request: Any, told: Any) -> Any:
    """The registration with what the last transform gave."""
    found = resource_pb2.RegisterResourceRequest()
    found.CopyFrom(request)
    found.object.CopyFrom(told.properties)
    copy_fields(told.options, found, RESOURCE_OPTIONS)
    found.deleteBeforeReplaceDefined = told.options.HasField("delete_before_replace")
    found.deleteBeforeReplace = told.options.delete_before_replace
    carried = {key: dependencies_in(value) for key, value in told.properties.fields.items()}
    kept = set() if request.transforms else set(request.dependencies)
    if request.transforms:
        found.ClearField("propertyDependencies")
    for key, urns in carried.items():
        before = found.propertyDependencies[key].urns  # reading it makes the entry
        before.extend(sorted(urns - set(before)))
    every = kept.union(told.options.depends_on, *carried.values())
    found.ClearField("dependencies")
    found.dependencies.extend(sorted(every))
    return found


def copy_fields(source: Message, target: Message, names: dict[str, str]) -> None:
    """Make fields of one message those of another; what is not set there is not set here."""
    values = {field.name: value for field, value in source.ListFields()}
    for name, other in names.items():
        target.ClearField(other)
        if name not in values:
            continue
        value = values[name]
        if isinstance(value, Message):
            getattr(target, other).CopyFrom(value)
        elif isinstance(value, str | bool):
            setattr(target, other, value)
        else:
            getattr(target, other).MergeFrom(value)


def with_dependencies(request: Any) -> Properties:
    """A registration's inputs, each with the resources that it comes from."""
    inputs, told = as_outputs_in(request.object), request.propertyDependencies
    found = {}
    for key, value in inputs.items():
        urns = list(told[key].urns if key in told else () if told else request.dependencies)
        found[key] = output(value, urns) if urns else value
    return found


def as_outputs_in(message: struct_pb2.Struct) -> Properties:
    """Properties with secrets and unknowns as outputs, which is how a program expects them."""
    return {key: as_outputs(raw(value)) for key, value in message.fields.items()}


def as_outputs(value: Value) -> Value:
    """A value with its secrets and unknowns as outputs, at any depth."""
    if is_unknown(value):
        return {SIGNATURE: OUTPUT}
    if isinstance(value, list):
        return [as_outputs(inner) for inner in value]
    if not isinstance(value, dict) or value.get(SIGNATURE) == OUTPUT:
        return value
    if value.get(SIGNATURE) == SECRET:
        return {**output(value["value"], []), "secret": True}
    return {key: as_outputs(inner) for key, inner in value.items()}


def output(value: Value, urns: Iterable[str]) -> Properties:
    """A value as an output that comes from these resources."""
    inner = value if isinstance(value, dict) and value.get(SIGNATURE) == OUTPUT else None
    found = dict(inner) if inner is not None else {SIGNATURE: OUTPUT, "value": value}
    dependencies = sorted({*found.get("dependencies", ()), *urns})
    return {**found, "dependencies": dependencies} if dependencies else found


def raw(message: struct_pb2.Value) -> Value:
    """A protobuf ``Value`` as a plain one, its outputs as they are."""
    match message.WhichOneof("kind"):
        case "struct_value":
            return {key: raw(value) for key, value in message.struct_value.fields.items()}
        case "list_value":
            return [raw(value) for value in message.list_value.values]
        case _:
            wrapped = struct_pb2.Struct(fields={"value": message})
            return from_struct(wrapped)["value"]


def dependencies_in(message: struct_pb2.Value) -> set[str]:
    """The resources that the outputs in a value come from."""
    value = raw(message)
    found: set[str] = set()
    remaining = [value]
    while remaining:
        current = remaining.pop()
        if isinstance(current, list):
            remaining += current
        elif isinstance(current, dict):
            if current.get(SIGNATURE) == OUTPUT:
                found.update(current.get("dependencies", ()))
            remaining += current.values()
    return found
