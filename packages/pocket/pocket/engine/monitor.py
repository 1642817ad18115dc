"""The engine as the SDK sees it: Pulumi's ResourceMonitor and Engine services, as objects called
directly.

`pulumi.runtime.Settings` takes any object with the services' methods, so no server and no port
stand between the program and the engine; requests and responses are the protocol's own messages all
the same. What this engine does not do it refuses here, by name.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import alias_pb2, engine_pb2, resource_pb2, source_pb2

from pocket.engine import urns
from pocket.engine.assets import with_digests
from pocket.engine.calls import ProviderError
from pocket.engine.config import Project
from pocket.engine.events import Diagnostic, Listener
from pocket.engine.known_providers import provider_inputs
from pocket.engine.run import Run
from pocket.engine.state import ResourceState
from pocket.engine.steps import Goal
from pocket.engine.transforms import Transforms
from pocket.engine.values import (
    Properties,
    from_message,
    from_struct,
    is_unknown,
    to_struct,
    whole,
)
from pocket.errors import DeploymentError

FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_INVOKE_TRANSFORMS,
)
FEATURE_NAMES = frozenset(
    {
        "secrets",
        "resourceReferences",
        "outputValues",
        "aliasSpecs",
        "deletedWith",
        "replaceWith",
        "transforms",
        "invokeTransforms",
    }
)
SEVERITIES: dict[int, Any] = {
    engine_pb2.DEBUG: "debug",
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

FOREIGN = ("/site-packages/", Path(__file__).parent.as_uri())
"""Where frames of a stack trace lie that are not the program's."""

REMOTE = "remote components (multi-language component providers) are not run by this engine"
IMPORT = "the `import_` option is not supported by this engine"
CLI = "Use the Pulumi CLI for this program."


class RefusedError(grpc.RpcError):  # type: ignore[misc]
    """A refusal in the form that the SDK expects from a monitor."""

    def __init__(self, message: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> None:
        super().__init__(message)
        self._message = message
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message


class Monitor:
    """Pulumi's ResourceMonitor service over a `Run`.

    Args:
        run: the run that registrations go to.
        project: source positions are told relative to its directory, assets lie in its program's.
    """

    def __init__(self, run: Run, project: Project) -> None:
        self._run = run
        self._directory = project.directory.resolve()
        self._home = project.home
        self._transforms = Transforms()

    def close(self) -> None:
        """Let go of the program, which has ended."""
        self._transforms.close()

    def stop(self) -> None:
        """Begin nothing more: the person has interrupted the run."""
        self._run.interrupt()

    # The methods below carry the protocol's own names.

    def GetDeploymentInfo(self, request: empty_pb2.Empty) -> resource_pb2.DeploymentInfo:  # noqa: N802
        return resource_pb2.DeploymentInfo(
            project=self._run.identity.project,
            stack=self._run.identity.stack,
            organization=self._run.identity.organization,
            config=dict(self._run.config.values),
            configSecretKeys=sorted(self._run.config.secret_keys),
            dryRun=self._run.dry_run,
            parallel=self._run.parallel,
            supportedFeatures=FEATURES,
        )

    def SupportsFeature(self, request: Any) -> resource_pb2.SupportsFeatureResponse:  # noqa: N802
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in FEATURE_NAMES)

    def RegisterResource(self, request: Any) -> resource_pb2.RegisterResourceResponse:  # noqa: N802
        request = self._transformed(request)
        goal = self._goal(request)
        state = self._run.register(goal, [alias_of(one) for one in request.aliases])
        return resource_pb2.RegisterResourceResponse(
            urn=state.urn,
            id=known_id(state),
            object=to_struct(state.outputs),
            propertyDependencies={
                key: resource_pb2.RegisterResourceResponse.PropertyDependencies(urns=one.urns)
                for key, one in request.propertyDependencies.items()
            },
            result=resource_pb2.SUCCESS,
        )

    def ReadResource(self, request: Any) -> resource_pb2.ReadResourceResponse:  # noqa: N802
        reference = self._provider(request, request.type)
        goal = Goal(
            urn=self._urn(request),
            type=request.type,
            name=request.name,
            custom=True,
            inputs=from_struct(request.properties),
            parent=request.parent,
            provider=reference,
            dependencies=tuple(sorted(request.dependencies)),
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            source_position=self._position(request.sourcePosition),
            stack_trace=self._trace(request.stackTrace),
        )
        state = self._run.read(goal, request.id)
        response = resource_pb2.ReadResourceResponse(
            urn=state.urn, properties=to_struct(state.outputs)
        )
        if "id" in response.DESCRIPTOR.fields_by_name:
            response.id = known_id(state)
        return response

    def RegisterResourceOutputs(self, request: Any) -> empty_pb2.Empty:  # noqa: N802
        self._run.outputs_of(request.urn, from_struct(request.outputs))
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> resource_pb2.ResourceInvokeResponse:  # noqa: N802
        package = urns.package_of(request.tok)
        if package == "pulumi":
            raise self._refuse(f"the engine's function {request.tok} is not supported", request.tok)
        try:
            self._run.check_running()
            request = self._transforms.invoke(request)
            provider = self._run.providers.of(self._provider(request, request.tok))
            answer = provider.invoke(
                request.tok, from_struct(request.args), preview=self._run.dry_run
            )
        except ProviderError as failure:
            raise RefusedError(failure.message, failure.code) from failure
        response = resource_pb2.ResourceInvokeResponse(failures=answer.failures)
        getattr(response, "return").CopyFrom(getattr(answer, "return"))
        return response

    def Call(self, request: Any) -> Any:  # noqa: N802
        raise self._refuse(f"methods of resources ({request.tok}) are not supported", request.tok)

    def RegisterPackage(self, request: Any) -> Any:  # noqa: N802
        raise self._refuse(f"parameterized packages ({request.name}) are not supported", "")

    def RegisterStackTransform(self, request: Any) -> empty_pb2.Empty:  # noqa: N802
        self._transforms.add_to_stack(request)
        return empty_pb2.Empty()

    def RegisterStackInvokeTransform(self, request: Any) -> empty_pb2.Empty:  # noqa: N802
        self._transforms.add_to_invokes(request)
        return empty_pb2.Empty()

    def RegisterResourceHook(self, request: Any) -> Any:  # noqa: N802
        raise self._refuse("resource hooks are not supported", "")

    RegisterErrorHook = RegisterResourceHook

    def SignalAndWaitForShutdown(self, request: empty_pb2.Empty) -> empty_pb2.Empty:  # noqa: N802
        self.close()
        return empty_pb2.Empty()

    def _refuse(self, what: str, where: str) -> DeploymentError:
        return self._run.fail(DeploymentError(what, where=where, fix=CLI))

    def _transformed(self, request: Any) -> Any:
        try:
            return self._transforms.resource(self._urn(request), request)
        except DeploymentError as failure:
            raise self._run.fail(failure) from failure

    def _goal(self, request: Any) -> Goal:
        """What a registration asks for.

        Raises:
            DeploymentError: it asks for something that this engine refuses.
        """
        urn = self._urn(request)
        # A preview shows a remote component as it is declared; what it would unfold to is the
        # business of the plugin that resolves it.
        if request.remote and not self._run.dry_run:
            raise self._refuse(REMOTE, urn)
        if request.importId:
            raise self._refuse(IMPORT, urn)
        inputs = with_digests(from_struct(request.object), self._home)
        property_dependencies = dependencies_of(request, inputs)
        provider = ""
        if urns.is_provider(request.type):
            inputs = provider_inputs(inputs, request.version, request.pluginDownloadURL)
        elif request.custom:
            provider = self._provider(request, request.type)
        first = request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None
        return Goal(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            inputs=inputs,
            parent=request.parent,
            provider=provider,
            dependencies=tuple(sorted(request.dependencies)),
            property_dependencies=property_dependencies,
            protect=request.protect,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            delete_before_replace=first,
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            custom_timeouts=timeouts_of(request.customTimeouts, urn),
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
            replace_with=tuple(request.replace_with),
            replacement_trigger=from_message(request.replacement_trigger),
            hide_diff=tuple(request.hideDiffs),
            source_position=self._position(request.sourcePosition),
            stack_trace=self._trace(request.stackTrace),
        )

    def _urn(self, request: Any) -> str:
        identity = self._run.identity
        return urns.make(
            identity.stack, identity.project, request.parent, request.type, request.name
        )

    def _provider(self, request: Any, token: str) -> str:
        """The reference of the provider that a request names, or of its package's default one."""
        if request.provider:
            return str(request.provider)
        return self._run.providers.default(
            urns.package_of(token), request.version, request.pluginDownloadURL
        )

    def _position(self, position: source_pb2.SourcePosition) -> str:
        """``project:///infra/__main__.py#12``, or nothing for a place outside the project."""
        if not position.uri:
            return ""
        path = Path(unquote(urlparse(position.uri).path))
        if not path.is_relative_to(self._directory):
            return ""
        column = f",{position.column}" if position.column else ""
        return f"project:///{path.relative_to(self._directory)}#{position.line}{column}"

    def _trace(self, trace: source_pb2.StackTrace) -> tuple[dict[str, str], ...]:
        """The frames of the program itself: not those of installed packages, nor the engine's."""
        places = [
            self._position(frame.pc)
            for frame in trace.frames
            if not any(foreign in frame.pc.uri for foreign in FOREIGN)
        ]
        return tuple({"sourcePosition": place} for place in places if place)


class Engine:
    """Pulumi's Engine service: log messages, and the root resource."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._root = ""
        self.errors: list[str] = []
        """What the program logged as errors: one is enough to make the run fail."""

    def Log(self, request: Any) -> empty_pb2.Empty:  # noqa: N802
        severity = SEVERITIES[request.severity]
        if severity == "error":
            with self._lock:
                self.errors.append(request.message)
        self._listener(Diagnostic(severity, request.message, request.urn))
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any) -> engine_pb2.GetRootResourceResponse:  # noqa: N802
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any) -> engine_pb2.SetRootResourceResponse:  # noqa: N802
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any) -> engine_pb2.RequirePulumiVersionResponse:  # noqa: N802
        return engine_pb2.RequirePulumiVersionResponse()


def known_id(state: ResourceState) -> str:
    """The id as the SDK takes it: empty means unknown."""
    return "" if is_unknown(state.id) else state.id


def dependencies_of(request: Any, inputs: Properties) -> dict[str, tuple[str, ...]]:
    """What each property depends on; where a program does not say, each depends on everything."""
    told = request.propertyDependencies
    if not told:
        return dict.fromkeys(sorted(inputs), tuple(sorted(request.dependencies)))
    keys = sorted({*told, *inputs})
    return {key: tuple(sorted(told[key].urns)) if key in told else () for key in keys}


def alias_of(message: alias_pb2.Alias) -> urns.Alias:
    if message.urn:
        return urns.Alias(urn=message.urn)
    spec = message.spec
    return urns.Alias(
        name=spec.name,
        type=spec.type,
        stack=spec.stack,
        project=spec.project,
        parent=spec.parentUrn,
        no_parent=spec.noParent,
    )


def timeouts_of(message: Any, urn: str) -> dict[str, float]:
    """Custom timeouts in seconds, those that are set."""
    given = {kind: getattr(message, kind) for kind in ("create", "update", "delete", "read")}
    return {kind: whole(seconds(text, urn)) for kind, text in given.items() if text}


def seconds(text: str, urn: str) -> float:
    """A Go duration (``1h30m``, ``90s``) in seconds.

    Raises:
        DeploymentError: the text is not one.
    """
    parts = re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DeploymentError(
            f"{text!r} is not a timeout", where=urn, fix="Write one such as 30s, 5m or 1h30m."
        )
    return sum(float(number) * UNITS[unit] for number, unit in parts)
