"""``aws`` as a Pulumi resource provider on boto3.

The embedded engine calls this object directly; ``python -m pocket.provider`` serves the same object
over gRPC to the real CLI. It speaks Pulumi's provider protocol (pulumi.runtime.proto.provider_pb2)
and knows nothing of either caller. Failures are raised as
``contracts.errors.DeploymentError``; a resource that exists but is not as wanted raises
``PartlyCreatedError``, whose ``id`` and ``properties`` belong in the state.

A Read whose request has no id looks for what a lost Create left behind: by its known name, or by
the tag ``pocket:urn``; its answer has an empty id when nothing is there, and its failure the
status ALREADY_EXISTS when what is there is not ours.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from pocket.errors import DeploymentError
from pocket.provider import functions, machine, ownership, schema, serving
from pocket.provider.aws import AccountError, Aws, Settings, aws_of, structured
from pocket.provider.check import GENERATED, check
from pocket.provider.compare import Difference, differences, inputs_from, same
from pocket.provider.requests import RefusedError
from pocket.provider.resource import ResourceType, Subject
from pocket.provider.shapes import did_you_mean
from pocket.provider.types import TABLE
from pocket.provider.values import (
    UNKNOWN,
    Properties,
    from_struct,
    has_unknown,
    mark_secrets,
    plain,
    secret_names,
    to_struct,
)

CONFIG_KEYS = frozenset(
    [
        "accessKey",
        "allowedAccountIds",
        "assumeRole",
        "assumeRoles",
        "assumeRoleWithWebIdentity",
        "customCaBundle",
        "defaultTags",
        "ec2MetadataServiceEndpoint",
        "ec2MetadataServiceEndpointMode",
        "endpoints",
        "forbiddenAccountIds",
        "httpProxy",
        "httpsProxy",
        "ignoreTags",
        "insecure",
        "maxRetries",
        "noProxy",
        "profile",
        "region",
        "retryMode",
        "s3UsEast1RegionalEndpoint",
        "s3UsePathStyle",
        "secretKey",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "stsRegion",
        "tagPolicyCompliance",
        "token",
        "tokenBucketRateLimiterCapacity",
        "useDualstackEndpoint",
        "useFipsEndpoint",
        "userAgents",
        "version",
        "pluginDownloadURL",
    ]
)
_KINDS = provider_pb2.PropertyDiff.Kind
_STEPS = re.compile(r"(\[\*\]|\.\*(?=[.\[]|$))")


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider: one object an account and region, safe to call from many threads."""

    def __init__(
        self, config: Mapping[str, Any] | None = None, *, loopback_only: bool = False
    ) -> None:
        self._loopback_only = loopback_only
        self.aws = self._aws(config or {})

    def _aws(self, values: Mapping[str, Any]) -> Aws:
        return aws_of(replace(Settings.parse(values), loopback_only=self._loopback_only))

    # --- the plugin and its configuration ---

    def GetPluginInfo(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=schema.PULUMI_AWS_VERSION)

    def Handshake(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def GetSchema(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return provider_pb2.GetSchemaResponse(schema=schema.package_schema())

    def CheckConfig(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        news = from_struct(request.news)
        failures = [
            provider_pb2.CheckFailure(
                property=key,
                reason=f"the provider has no setting {key}{did_you_mean(key, CONFIG_KEYS)}",
            )
            for key in news
            if key not in CONFIG_KEYS
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        # Structured settings are JSON text in one engine's state, and structures in another's.
        olds, news = (
            {key: structured(value) for key, value in plain(from_struct(side)).items()}
            for side in (request.olds, request.news)
        )
        changed = [
            k for k in sorted({*olds, *news}) if k in CONFIG_KEYS and olds.get(k) != news.get(k)
        ]
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key == "region"],
        )

    def Configure(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        values = {
            key.removeprefix("aws:config:"): value for key, value in request.variables.items()
        }
        values.update({k: v for k, v in plain(from_struct(request.args)).items() if v != UNKNOWN})
        self.aws = self._aws(values)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    def Cancel(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    # --- resources ---

    def Check(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        row = row_of(request.urn)
        inputs, problems = check(
            row,
            self.aws,
            request.urn,
            from_struct(request.olds),
            from_struct(request.news),
            request.randomSeed,
        )
        return provider_pb2.CheckResponse(
            inputs=to_struct(inputs),
            failures=[
                provider_pb2.CheckFailure(property=p.property, reason=p.reason) for p in problems
            ],
        )

    def Diff(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        row = row_of(request.urn)
        olds, news = _old_inputs(row, request), plain(from_struct(request.news))
        changed = [
            difference
            for difference in differences(row, olds, news, plain(from_struct(request.olds)))
            if not _covered(difference, request.ignoreChanges)
        ]
        for difference in changed:
            if difference.refused:
                raise DeploymentError(
                    f"{difference.path}: {difference.refused}",
                    where=request.urn,
                    fix="Undo the change, or replace the resource by another.",
                )
        return _diff_response(row, self.aws, changed, olds, news)

    def Create(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        row, marked = row_of(request.urn), from_struct(request.properties)
        inputs = _clean(marked)
        if request.preview:
            subject = Subject(row, self.aws, request.urn, "", inputs)
            return provider_pb2.CreateResponse(properties=_answer(row, _foreseen(subject), marked))
        subject = Subject(row, self.aws, request.urn, "", _known(row, request.urn, inputs))
        try:
            self.aws.refuse_other_accounts()
            outputs = machine.create(subject, request.timeout or 1800.0)
        except machine.PartlyCreatedError as error:
            error.properties = mark_secrets(error.properties, secret_names(marked))
            serving.report_partial(error, request.properties, context)
            raise
        except (RefusedError, AccountError) as error:
            serving.report_refused(error, context)
            raise
        return provider_pb2.CreateResponse(id=subject.id, properties=_answer(row, outputs, marked))

    def Read(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        row, marked = row_of(request.urn), from_struct(request.inputs)
        state = from_struct(request.properties)
        inputs = {k: v for k, v in _clean(marked).items() if not has_unknown(v)}
        self.aws.refuse_other_accounts()
        subject = Subject(row, self.aws, request.urn, request.id, inputs, outputs=_clean(state))
        outputs = machine.read(subject) if subject.id else self._left_behind(subject, context)
        if outputs is None:
            return provider_pb2.ReadResponse()
        marks = {**state, **marked}
        found = {**inputs_from(row, inputs, outputs), **_generated_mark(marked)}
        return provider_pb2.ReadResponse(
            id=subject.id,
            properties=_answer(row, outputs, marks),
            inputs=to_struct(mark_secrets(found, secret_names(marks))),
        )

    def _left_behind(self, subject: Subject, context: Any) -> Properties | None:
        """The outputs of what a lost Create left, with ``subject.id`` set; None if nothing."""
        try:
            return machine.left_behind(subject)
        except ownership.ForeignError as error:
            serving.report_foreign(error, context)
            raise

    def Update(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        row, marked = row_of(request.urn), from_struct(request.news)
        state, inputs = _clean(from_struct(request.olds)), _clean(marked)
        olds = _old_inputs(row, request)
        if not request.preview:
            self.aws.refuse_other_accounts()
        if not request.preview and not (changed := differences(row, olds, inputs, state)):
            olds = _as_left(row, self.aws, request, inputs, state)
        elif not request.preview:
            _refuse_unwritable(row, request.urn, changed)
        subject = Subject(row, self.aws, request.urn, request.id, inputs, olds, state)
        if request.preview:
            outputs = {**state, **inputs, **dict.fromkeys(row.volatile, UNKNOWN)}
        else:
            subject.inputs = _known(row, request.urn, inputs)
            outputs = machine.update(subject, request.timeout or 1800.0)
        return provider_pb2.UpdateResponse(properties=_answer(row, outputs, marked))

    def Delete(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        row, state = row_of(request.urn), _clean(from_struct(request.properties))
        olds = _clean(from_struct(request.old_inputs))
        subject = Subject(row, self.aws, request.urn, request.id, {}, olds, {**olds, **state})
        self.aws.refuse_other_accounts()
        machine.delete(subject, request.timeout or 1800.0)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        answer = functions.invoke(self.aws, request.tok, plain(from_struct(request.args)))
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(to_struct(answer))
        return response


def row_of(urn: str) -> ResourceType:
    """The table's row for a resource. Raises DeploymentError for a type that is not in it."""
    token = urn.split("::")[2].rsplit("$", 1)[-1] if "::" in urn else urn
    if token not in TABLE:
        raise DeploymentError(
            f"the resource type {token} is not in the provider's table{did_you_mean(token, TABLE)}",
            where=urn,
            fix="Add a row to pocket/provider/types; then `python -m pocket.provider.generate`.",
        )
    return TABLE[token]


def _clean(marked: Properties) -> Properties:
    return {key: value for key, value in plain(marked).items() if key != GENERATED}


def _known(row: ResourceType, urn: str, inputs: Properties) -> Properties:
    unknown = sorted(name for name, value in inputs.items() if has_unknown(value))
    if unknown:
        raise DeploymentError(f"{', '.join(unknown)} of {row.title} is not known yet", where=urn)
    return inputs


def _generated_mark(marked: Properties) -> Properties:
    return {GENERATED: marked[GENERATED]} if GENERATED in marked else {}


def _old_inputs(row: ResourceType, request: Any) -> Properties:
    """The inputs before: as recorded, or from a state that recorded none, out of its outputs."""
    if request.old_inputs.fields:
        return _clean(from_struct(request.old_inputs))
    state = _clean(from_struct(request.olds))
    wanted = from_struct(request.news)
    return {k: v for k, v in state.items() if k in row.schema.inputs and k in wanted}


def _as_left(
    row: ResourceType, aws: Aws, request: Any, inputs: Properties, state: Properties
) -> Properties:
    """The inputs as AWS has them, of a resource whose creation was not finished: an update without
    a difference is asked for only then. What AWS never tells is written again."""
    subject = Subject(row, aws, request.urn, request.id, inputs, outputs=state)
    found = inputs_from(row, inputs, machine.read(subject) or {})
    return {name: value for name, value in found.items() if name not in row.hidden}


def _refuse_unwritable(row: ResourceType, urn: str, changed: list[Difference]) -> None:
    """Refuse what the plugin changes in place and this provider has no call for; doing nothing, or
    replacing, would be something else than the preview said."""
    names = {each.property for each in changed if not each.replaces} - row.changeable
    if names:
        raise DeploymentError(
            f"{', '.join(sorted(names))}: changed in place on AWS, and not by this provider",
            where=urn,
            fix="Replace the resource (`pulumi state taint`), or undo the change here.",
        )


def _covered(difference: Difference, ignored: Any) -> bool:
    return any(path == "*" or _at_or_below(path).match(difference.path) for path in ignored)


def _at_or_below(path: str) -> re.Pattern[str]:
    """What lies at a property path or below; ``[*]`` and ``.*`` in it stand for any one step."""
    step = r"(?:\.[^.\[]+|\[[^\]]*\])"
    known = (step if part in ("[*]", ".*") else re.escape(part) for part in _STEPS.split(path))
    return re.compile("".join(known) + r"(?=[.\[]|$)")


def _diff_response(
    row: ResourceType, aws: Aws, changed: list[Difference], olds: Properties, news: Properties
) -> Any:
    response = provider_pb2.DiffResponse
    replaces = sorted({difference.property for difference in changed if difference.replaces})
    detailed = {
        difference.path: provider_pb2.PropertyDiff(
            kind=_KINDS.Value(f"{difference.kind}{'_replace' * difference.replaces}".upper()),
            inputDiff=True,
        )
        for difference in changed
    }
    return response(
        changes=response.DIFF_SOME if changed else response.DIFF_NONE,
        diffs=sorted({difference.property for difference in changed}),
        replaces=replaces,
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=bool(replaces) and _same_identity(row, aws, olds, news),
    )


def _same_identity(row: ResourceType, aws: Aws, olds: Properties, news: Properties) -> bool:
    """Whether the replacement would have the name of the replaced, so that both cannot exist at
    once.
    """
    if row.identity is None:
        return False
    name = row.name.property if row.name else ""
    if name and name in (news.get(GENERATED) or ()):
        return False
    if name:
        return same(row, name, olds.get(name), news.get(name))
    aws = aws.of_some_account()
    try:
        before = row.identity(Subject(row, aws, inputs=olds))
        after = row.identity(Subject(row, aws, inputs=news))
    except (KeyError, StopIteration):  # what it is made of is not there on one side
        return False
    return bool(before == after)


def _foreseen(subject: Subject) -> Properties:
    """The outputs of a creation as a preview knows them."""
    row, inputs = subject.row, subject.inputs
    outputs = {name: inputs.get(name, UNKNOWN) for name in row.schema.outputs}
    outputs["region"] = subject.region
    if row.tags is not None:
        outputs["tags"], outputs["tagsAll"] = inputs.get("tags"), inputs.get("tagsAll") or {}
    return outputs


def _answer(row: ResourceType, outputs: Properties, marked: Properties) -> Any:
    return to_struct(mark_secrets(outputs, {*secret_names(marked), *row.secrets}))
