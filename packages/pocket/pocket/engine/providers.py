"""Providers: the engine's side of Pulumi's ResourceProvider protocol, by direct call on a servicer.

A provider is any `ResourceProviderServicer`; the same object can be served over gRPC to the Pulumi
CLI. This module turns states into requests and answers into values, and every way a servicer can
fail (abort, a status set on the context, an exception) into one `ProviderError`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from pocket.engine import urns
from pocket.engine.calls import ProviderError, call
from pocket.engine.state import ResourceState
from pocket.engine.steps import NO_DIFF, Diff
from pocket.engine.values import (
    UNKNOWN,
    Properties,
    Value,
    dereference,
    from_struct,
    has_unknowns,
    is_secret,
    reveal,
    secret,
    to_struct,
)
from pocket.errors import DeploymentError

ProviderFactory = Callable[[], ResourceProviderServicer]
"""Makes a fresh servicer; called once for each provider resource of a run."""
INTERNAL = "__internal"
"""The input of a provider resource that is for the engine alone; its version a provider is told, as
the CLI does."""
ADDED_INPUTS = ("version", INTERNAL)
"""Inputs of a provider resource that stay although its CheckConfig may leave them out."""
CHANGES = {
    provider_pb2.DiffResponse.DIFF_UNKNOWN: None,
    provider_pb2.DiffResponse.DIFF_NONE: False,
    provider_pb2.DiffResponse.DIFF_SOME: True,
}
KINDS = {
    provider_pb2.PropertyDiff.ADD: "add",
    provider_pb2.PropertyDiff.ADD_REPLACE: "add-replace",
    provider_pb2.PropertyDiff.DELETE: "delete",
    provider_pb2.PropertyDiff.DELETE_REPLACE: "delete-replace",
    provider_pb2.PropertyDiff.UPDATE: "update",
    provider_pb2.PropertyDiff.UPDATE_REPLACE: "update-replace",
}


@dataclass(frozen=True)
class ReadResult:
    """What Read found."""

    id: str
    inputs: Properties
    outputs: Properties


class Provider:
    """One configured provider resource.

    Args:
        package: the package it serves.
        servicer: the implementation.
        urn: the provider resource's URN.
    """

    def __init__(self, package: str, servicer: ResourceProviderServicer, urn: str) -> None:
        self.package = package
        self.urn = urn
        self.servicer = servicer
        self.identity = ""
        self.inputs: Properties = {}
        self.configured = False
        self._takes_secrets = False
        self._takes_references = False
        self._previews = False

    def check_config(self, olds: Properties | None, news: Properties) -> Properties:
        """The provider's configuration with its defaults, or as it is where the provider has no
        say."""
        request = provider_pb2.CheckRequest(
            urn=self.urn,
            news=to_struct(without_internals(news)),
            name=urns.name_of(self.urn),
            type=urns.type_of(self.urn),
        )
        if olds is not None:
            request.olds.CopyFrom(to_struct(without_internals(olds)))
        try:
            response = call(self.servicer.CheckConfig, request)
        except ProviderError as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            return news
        raise_failures(response.failures, self.urn)
        checked = from_struct(response.inputs)
        return checked | {key: news[key] for key in ADDED_INPUTS if key in news}

    def diff_config(self, old: ResourceState, news: Properties) -> Diff:
        """The difference between two configurations of this provider."""
        request = provider_pb2.DiffRequest(
            id=old.id,
            urn=self.urn,
            olds=to_struct(without_internals(old.outputs)),
            news=to_struct(without_internals(news)),
            old_inputs=to_struct(without_internals(old.inputs)),
            name=urns.name_of(self.urn),
            type=urns.type_of(self.urn),
        )
        try:
            return diff_of(call(self.servicer.DiffConfig, request))
        except ProviderError as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            return Diff()

    def configure(self, inputs: Properties, identity: str) -> None:
        """Make the provider ready; with unknown configuration (in a preview) it is left unready."""
        self.inputs, self.identity = inputs, identity
        if has_unknowns(inputs):
            return
        asked = without_internals(inputs)
        request = provider_pb2.ConfigureRequest(
            args=to_struct(asked),
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
            id=identity,
            urn=self.urn,
            name=urns.name_of(self.urn),
            type=urns.type_of(self.urn),
        )
        for key, value in asked.items():
            plain = reveal(value)
            if isinstance(plain, str):
                request.variables[f"{self.package}:config:{key}"] = plain
        try:
            response = call(self.servicer.Configure, request)
        except ProviderError as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            response = provider_pb2.ConfigureResponse()
        self._takes_secrets = response.acceptSecrets
        self._takes_references = response.acceptResources
        self._previews = response.supportsPreview
        self.configured = True

    def check(self, urn: str, olds: Properties | None, news: Properties, seed: bytes) -> Properties:
        """The inputs as the provider wants them, generated names included.

        Raises:
            DeploymentError: it refused some; all of them are named.
        """
        if not self.configured:
            return news
        request = provider_pb2.CheckRequest(
            urn=urn,
            news=self._out(news),
            randomSeed=seed,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
        )
        if olds is not None:
            request.olds.CopyFrom(self._out(olds))
        response = call(self.servicer.Check, request)
        raise_failures(response.failures, urn)
        return self._in(response.inputs, news)

    def diff(self, old: ResourceState, news: Properties, ignored: tuple[str, ...]) -> Diff:
        """The provider's opinion on what new inputs change."""
        if not self.configured:
            return Diff()
        request = provider_pb2.DiffRequest(
            id=old.id,
            urn=old.urn,
            olds=self._out(old.outputs),
            news=self._out(news),
            ignoreChanges=ignored,
            old_inputs=self._out(old.inputs),
            name=old.name,
            type=old.type,
        )
        try:
            return diff_of(call(self.servicer.Diff, request))
        except ProviderError as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            return Diff()

    def create(self, state: ResourceState, *, preview: bool) -> tuple[str, Properties]:
        """The new resource's id and outputs; in a preview what of them can be known."""
        if preview and not (self._previews and self.configured):
            return "", state.inputs
        request = provider_pb2.CreateRequest(
            urn=state.urn,
            properties=self._out(state.inputs),
            timeout=state.custom_timeouts.get("create", 0.0),
            preview=preview,
            name=state.name,
            type=state.type,
        )
        response = call(self.servicer.Create, request)
        if not response.id and not preview:
            raise ProviderError(grpc.StatusCode.UNKNOWN, "the provider gave no id")
        return response.id, self._in(response.properties, state.inputs)

    def update(
        self, old: ResourceState, new: ResourceState, ignored: tuple[str, ...], *, preview: bool
    ) -> Properties:
        """The resource's outputs after an update in place."""
        if preview and not (self._previews and self.configured):
            return old.outputs | new.inputs
        request = provider_pb2.UpdateRequest(
            id=old.id,
            urn=new.urn,
            olds=self._out(old.outputs),
            news=self._out(new.inputs),
            timeout=new.custom_timeouts.get("update", 0.0),
            ignoreChanges=ignored,
            preview=preview,
            old_inputs=self._out(old.inputs),
            name=new.name,
            type=new.type,
        )
        response = call(self.servicer.Update, request)
        return self._in(response.properties, new.inputs)

    def read(
        self, urn: str, identity: str, inputs: Properties, outputs: Properties, timeout: float = 0.0
    ) -> ReadResult | None:
        """What there is now, or None where it is gone.

        With an empty id the provider looks for a resource that an interrupted creation of this URN,
        with these inputs, may have left: by the name in the inputs or by the URN it tagged the
        resource with. Where what it finds is somebody else's, it fails with ALREADY_EXISTS.
        """
        request = provider_pb2.ReadRequest(
            id=identity,
            urn=urn,
            properties=self._out(outputs),
            inputs=self._out(inputs),
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            timeout=timeout,
        )
        response = call(self.servicer.Read, request)
        if not response.id:
            return None
        found = self._in(response.inputs, inputs) if response.HasField("inputs") else inputs
        return ReadResult(response.id, found, self._in(response.properties, inputs))

    def delete(self, state: ResourceState) -> None:
        """Remove the resource. Removing what is already gone succeeds."""
        request = provider_pb2.DeleteRequest(
            id=state.id,
            urn=state.urn,
            properties=self._out(state.outputs),
            timeout=state.custom_timeouts.get("delete", 0.0),
            old_inputs=self._out(state.inputs),
            name=state.name,
            type=state.type,
        )
        call(self.servicer.Delete, request)

    def invoke(self, token: str, args: Properties, *, preview: bool) -> Any:
        """The provider's answer to a function call, as the message that the program gets."""
        request = provider_pb2.InvokeRequest(tok=token, args=self._out(args), preview=preview)
        return call(self.servicer.Invoke, request)

    def cancel(self) -> None:
        """Ask the provider to stop what it is doing."""
        try:
            call(self.servicer.Cancel, struct_pb2.Struct())
        except ProviderError:
            return

    def _out(self, properties: Properties) -> struct_pb2.Struct:
        if not self._takes_secrets:
            properties = reveal(properties)
        if not self._takes_references:
            properties = dereference(properties)
        return to_struct(properties)

    def _in(self, message: struct_pb2.Struct, sent: Properties) -> Properties:
        """An answer's properties; a provider that cannot mark secrets gets back the marks it was
        not sent."""
        found = from_struct(message)
        return found if self._takes_secrets else remark(found, sent)


def without_internals(inputs: Properties) -> Properties:
    """A provider resource's properties as the provider itself knows them."""
    return {key: value for key, value in inputs.items() if key != INTERNAL}


def remark(answer: Value, sent: Value) -> Any:
    """The answer with the secret marks that what was sent had, place by place."""
    if is_secret(sent):
        return secret(answer)
    if isinstance(answer, dict) and isinstance(sent, dict):
        return {key: remark(value, sent.get(key)) for key, value in answer.items()}
    if isinstance(answer, list) and isinstance(sent, list) and len(answer) == len(sent):
        return [remark(value, other) for value, other in zip(answer, sent, strict=True)]
    return answer


def diff_of(response: Any) -> Diff:
    """A DiffResponse as a value."""
    if response.changes == provider_pb2.DiffResponse.DIFF_NONE:
        return NO_DIFF
    return Diff(
        changed=True if response.replaces else CHANGES[response.changes],
        replace_keys=tuple(response.replaces),
        changed_keys=tuple(response.diffs),
        detailed={path: KINDS[one.kind] for path, one in response.detailedDiff.items()},
        delete_before_replace=response.deleteBeforeReplace,
    )


def raise_failures(failures: Any, urn: str) -> None:
    """Raise what Check found, all of it at once.

    Raises:
        DeploymentError: there are failures.
    """
    if not failures:
        return
    reasons = [f"{one.property}: {one.reason}" if one.property else one.reason for one in failures]
    raise DeploymentError(
        "; ".join(reasons),
        where=urn,
        fix="Correct these inputs in the program or its configuration.",
    )


def settle(state: ResourceState) -> ResourceState:
    """A state after an operation, with the outputs that must be secret marked so.

    These are what ``additionalSecretOutputs`` names, and what was a secret when it went in.
    """
    hidden = set(state.additional_secret_outputs)
    hidden.update(key for key, value in state.inputs.items() if is_secret(value))
    if urns.is_provider(state.type) or not hidden & state.outputs.keys():
        return state
    outputs = {
        key: secret(value) if key in hidden else value for key, value in state.outputs.items()
    }
    return replace(state, outputs=outputs)


class BuiltinProvider(ResourceProviderServicer):
    """The provider of the package ``pulumi``: StackReference is read by the engine itself, and
    belongs to this provider in the state, as with the CLI."""

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)


class Registry:
    """The providers of one run, by reference: URN and id.

    A provider that is replaced has two of them: the old one deletes what it made.
    """

    def __init__(self, factories: Mapping[str, ProviderFactory]) -> None:
        self._factories = {"pulumi": BuiltinProvider, **factories}
        self._known: dict[str, Provider] = {}
        self._lock = threading.Lock()

    def make(self, urn: str) -> Provider:
        """A new, unconfigured provider for a provider resource.

        Raises:
            DeploymentError: nobody serves its package.
        """
        package = urns.package_of(urns.type_of(urn))
        factory = self._factories.get(package)
        if factory is None:
            known = ", ".join(sorted(self._factories.keys() - {"pulumi"})) or "none"
            raise DeploymentError(
                f"there is no provider for the package {package!r} (there is: {known})",
                where=urn,
                fix="This engine drives the providers it was given; use the Pulumi CLI for others.",
            )
        return Provider(package, factory(), urn)

    def put(self, provider: Provider) -> None:
        with self._lock:
            self._known[f"{provider.urn}::{provider.identity}"] = provider

    def get(self, reference: str) -> Provider | None:
        """The provider that a reference names, if this run has it."""
        with self._lock:
            return self._known.get(reference)

    def ensure(self, state: ResourceState) -> Provider:
        """The provider of a provider resource in the state, configured from it if this run has none
        yet."""
        with self._lock:
            reference = f"{state.urn}::{state.id}"
            known = self._known.get(reference)
            if known is None:
                known = self.make(state.urn)
                known.configure(state.inputs, state.id)
                self._known[reference] = known
            return known


UNKNOWN_ID = UNKNOWN
"""The id of a provider that a preview would create."""
