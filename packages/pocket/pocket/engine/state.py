"""A stack's state in Pulumi's own form: deployment version 3, field by field as ``pulumi stack
export`` gives it.

Keeping Pulumi's form, and nothing beside it, is what lets a stack move between this engine and the
Pulumi CLI in both directions. A resource in memory holds plain values with secrets in the clear; on
the way to disk each secret is encrypted where it stands, so that equal secrets do not show as
equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pocket.engine import urns
from pocket.engine.secrets import Crypter
from pocket.engine.values import SECRET, SIGNATURE, Properties, Value, secret
from pocket.errors import DeploymentError

ENGINE_VERSION = "v3.272.0"
"""The Pulumi version whose state form this is; ``manifest.magic`` is its digest."""

OperationKind = Literal["creating", "updating", "deleting", "reading"]

FIELDS = {
    "urn": "urn",
    "custom": "custom",
    "delete": "delete",
    "id": "id",
    "type": "type",
    "inputs": "inputs",
    "outputs": "outputs",
    "parent": "parent",
    "protect": "protect",
    "taint": "taint",
    "external": "external",
    "dependencies": "dependencies",
    "init_errors": "initErrors",
    "provider": "provider",
    "property_dependencies": "propertyDependencies",
    "pending_replacement": "pendingReplacement",
    "additional_secret_outputs": "additionalSecretOutputs",
    "aliases": "aliases",
    "custom_timeouts": "customTimeouts",
    "import_id": "importID",
    "retain_on_delete": "retainOnDelete",
    "deleted_with": "deletedWith",
    "replace_with": "replaceWith",
    "created": "created",
    "modified": "modified",
    "source_position": "sourcePosition",
    "stack_trace": "stackTrace",
    "ignore_changes": "ignoreChanges",
    "hide_diff": "hideDiff",
    "replace_on_changes": "replaceOnChanges",
    "replacement_trigger": "replacementTrigger",
    "refresh_before_update": "refreshBeforeUpdate",
    "view_of": "viewOf",
    "resource_hooks": "resourceHooks",
    "extension_ref": "extensionRef",
    "snippet_id": "snippetID",
}
"""Our name of each field of a resource, and Pulumi's. What stands at its default is left out of the
file."""

FEATURES = {
    "refresh_before_update": "refreshBeforeUpdate",
    "view_of": "views",
    "resource_hooks": "hooks",
    "taint": "taint",
    "replace_with": "replaceWith",
    "extension_ref": "extensionParameterization",
}
"""Fields that a document must announce when a resource has them: it is of version 4 then."""

PROPERTY_FIELDS = ("inputs", "outputs", "replacement_trigger")
ALWAYS = ("urn", "custom", "type")


@dataclass(frozen=True)
class ResourceState:
    """One resource of a stack. Frozen: a change is a new state, so that a state once saved stays
    what it was."""

    urn: str
    type: str
    custom: bool = False
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    delete: bool = False
    protect: bool = False
    taint: bool = False
    external: bool = False
    pending_replacement: bool = False
    retain_on_delete: bool = False
    init_errors: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    import_id: str = ""
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()
    created: str = ""
    modified: str = ""
    source_position: str = ""
    stack_trace: tuple[Mapping[str, str], ...] = ()
    ignore_changes: tuple[str, ...] = ()
    hide_diff: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    replacement_trigger: Value = None
    refresh_before_update: bool = False
    view_of: str = ""
    resource_hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extension_ref: str = ""
    snippet_id: str = ""

    @property
    def name(self) -> str:
        return urns.name_of(self.urn)

    def all_dependencies(self) -> set[str]:
        """The URNs of everything that must be there for this resource: whatever it names."""
        named = {self.parent, self.deleted_with, *self.dependencies}
        named.update(urn for several in self.property_dependencies.values() for urn in several)
        if self.provider:
            named.add(urns.split_reference(self.provider)[0])
        return named - {""}

    def settled(self, names: Mapping[str, str]) -> ResourceState:
        """The same state as it is kept: references renamed, and the aliases, now spent, gone."""
        state = self.renamed(names) if names else self
        return replace(state, aliases=()) if state.aliases else state

    def without_missing(self, present: Collection[str]) -> ResourceState:
        """The same state without its references to what is gone (its provider must be there)."""
        if self.all_dependencies().issubset(present):
            return self
        return replace(
            self,
            parent=self.parent if self.parent in present else "",
            deleted_with=self.deleted_with if self.deleted_with in present else "",
            dependencies=tuple(urn for urn in self.dependencies if urn in present),
            property_dependencies={
                key: tuple(urn for urn in several if urn in present)
                for key, several in self.property_dependencies.items()
            },
        )

    def renamed(self, names: Mapping[str, str]) -> ResourceState:
        """The same state with the URNs it refers to renamed (those that aliases have moved)."""
        if not self.all_dependencies() & names.keys():
            return self
        provider = self.provider
        if provider:
            urn, identity = urns.split_reference(provider)
            provider = f"{names.get(urn, urn)}::{identity}"
        return replace(
            self,
            parent=names.get(self.parent, self.parent),
            deleted_with=names.get(self.deleted_with, self.deleted_with),
            dependencies=tuple(names.get(urn, urn) for urn in self.dependencies),
            property_dependencies={
                key: tuple(names.get(urn, urn) for urn in several)
                for key, several in self.property_dependencies.items()
            },
            provider=provider,
        )


DEFAULTS = {one.name: one.default for one in fields(ResourceState)}


@dataclass(frozen=True)
class Operation:
    """An operation that had begun and whose end is not known."""

    kind: OperationKind
    resource: ResourceState


@dataclass(frozen=True)
class Deployment:
    """A whole state: resources in an order in which each comes after what it needs, and what was in
    progress."""

    resources: tuple[ResourceState, ...] = ()
    pending: tuple[Operation, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def now() -> str:
    """The time in the form that Pulumi's state uses."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def dump_resource(state: ResourceState, crypter: Crypter) -> dict[str, Any]:
    """A resource as the file has it, its secrets encrypted."""
    found: dict[str, Any] = {}
    for ours, theirs in FIELDS.items():
        value = getattr(state, ours)
        if ours in PROPERTY_FIELDS:
            value = encrypt(value, crypter, f"{state.urn}|{theirs}")
        if value or ours in ALWAYS:
            found[theirs] = value
    return found


def load_resource(document: Mapping[str, Any], crypter: Crypter) -> ResourceState:
    """A resource from the file, its secrets in the clear.

    Raises:
        DeploymentError: it holds a field this engine does not know: dropping it would lose
        something.
    """
    known = {theirs: ours for ours, theirs in FIELDS.items()}
    if unknown := sorted(set(document) - set(known)):
        raise DeploymentError(
            f"the state has fields that this engine does not know: {', '.join(unknown)}",
            where=str(document.get("urn", "a resource")),
            fix="Use the Pulumi CLI that wrote this state.",
        )
    found: dict[str, Any] = {}
    for theirs, value in document.items():
        ours = known[theirs]
        if ours in PROPERTY_FIELDS:
            value = decrypt(value, crypter, f"{document['urn']}|{theirs}")
        elif isinstance(value, list):
            value = tuple(value)
        elif ours in ("property_dependencies", "resource_hooks"):
            value = {key: tuple(several or ()) for key, several in value.items()}
        found[ours] = value
    return ResourceState(**found)


def encrypt(value: Value, crypter: Crypter, place: str) -> Value:
    """A value with each secret replaced by its ciphertext; what is inside a secret is encrypted
    once, with it."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            plaintext = json.dumps(
                value["value"], separators=(",", ":"), ensure_ascii=False, sort_keys=True
            )
            return {SIGNATURE: SECRET, "ciphertext": crypter.encrypt(plaintext, place)}
        return {key: encrypt(inner, crypter, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [encrypt(inner, crypter, f"{place}[{at}]") for at, inner in enumerate(value)]
    return value


def decrypt(value: Value, crypter: Crypter, place: str) -> Value:
    """The inverse of `encrypt`; plaintext secrets (``export --show-secrets``) are taken as well."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            if "plaintext" in value:
                return secret(json.loads(value["plaintext"]))
            return secret(json.loads(crypter.decrypt(value["ciphertext"], place)))
        return {key: decrypt(inner, crypter, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [decrypt(inner, crypter, f"{place}[{at}]") for at, inner in enumerate(value)]
    return value


def dump(deployment: Deployment, crypter: Crypter) -> dict[str, Any]:
    """The whole document. The secrets provider is named whenever it is known, as the CLI does."""
    resources = [dump_resource(state, crypter) for state in deployment.resources]
    pending = [
        {"resource": dump_resource(one.resource, crypter), "type": one.kind}
        for one in deployment.pending
    ]
    return document(resources, pending, deployment.metadata, crypter)


def document(
    resources: Iterable[Mapping[str, Any]],
    pending: Iterable[Mapping[str, Any]],
    metadata: Mapping[str, Any],
    crypter: Crypter,
) -> dict[str, Any]:
    """The document around resources that are already in their file form."""
    deployment: dict[str, Any] = {
        "manifest": {
            "time": now(),
            "magic": hashlib.sha256(ENGINE_VERSION.encode()).hexdigest(),
            "version": ENGINE_VERSION,
        }
    }
    if provider := crypter.describe():
        deployment["secrets_providers"] = provider
    resources, pending = list(resources), list(pending)
    parts = {"resources": resources, "pending_operations": pending}
    deployment |= {key: several for key, several in parts.items() if several}
    deployment["metadata"] = dict(metadata)
    every = [*resources, *(one["resource"] for one in pending)]
    features = sorted(
        name for ours, name in FEATURES.items() if any(FIELDS[ours] in r for r in every)
    )
    if not features:
        return {"version": 3, "deployment": deployment}
    return {"version": 4, "features": features, "deployment": deployment}


def load(text: Mapping[str, Any], crypter: Crypter, *, where: str = "") -> Deployment:
    """A deployment from its document.

    Raises:
        DeploymentError: it is not a deployment of version 3 or 4, needs what this engine does
        not have, or refers to resources that it does not hold.
    """
    if text.get("version") not in (3, 4) or not isinstance(text.get("deployment"), Mapping):
        raise DeploymentError(
            f"this is not a deployment of version 3 or 4 (version {text.get('version')!r})",
            where=where,
            fix="Export it with `pulumi stack export`, version 3 or later of the CLI.",
        )
    if foreign := sorted(set(text.get("features") or ()) - set(FEATURES.values())):
        raise DeploymentError(
            f"the state needs what this engine does not have: {', '.join(foreign)}",
            where=where,
            fix="Use the Pulumi CLI that wrote this state.",
        )
    deployment = text["deployment"]
    resources = tuple(load_resource(one, crypter) for one in deployment.get("resources") or ())
    pending = tuple(
        Operation(one["type"], load_resource(one["resource"], crypter))
        for one in deployment.get("pending_operations") or ()
    )
    found = Deployment(resources, pending, deployment.get("metadata") or {})
    verify(found, where=where)
    return found


def verify(deployment: Deployment, *, where: str = "") -> None:
    """Refuse a state whose resources come before what they need, or need what is not there.

    Raises:
        DeploymentError: naming the resource and what it lacks.
    """
    seen: set[str] = set()
    for state in deployment.resources:
        missing = sorted(state.all_dependencies() - seen)
        if missing:
            raise DeploymentError(
                f"the state is broken: {state.urn} comes before, or without, {missing[0]}",
                where=where,
                fix="Restore a state from the history beside it, or import one that is whole.",
            )
        if state.custom and not (state.id or state.pending_replacement):
            raise DeploymentError("a custom resource of the state has no id", where=state.urn)
        seen.add(state.urn)
