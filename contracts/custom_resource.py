"""`ModelRollout`, a model's rollout as a Kubernetes resource, and its CRD made from these classes.

Without this module there would be two descriptions of a rollout, one in Python and one in YAML,
and they would part. The spec's `plan` has the same keys as the `rollout:` part of `model.yaml`, so
that it can be copied; the status is the `RolloutStatus` that the laptop keeps in a file, with what
Kubernetes and its readers expect beside it.

``python -m contracts.custom_resource FILE`` writes the CRD (``make generate``); a test keeps it
current.

A CRD's schema has to be *structural*: no references, every value with one type, defaults that are
valid. (Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions".) So a duration is
text here ("10s"), where `model.yaml` also takes a number of seconds.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, TypeAdapter, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from contracts.backends import BACKENDS, SELDON
from contracts.document import DURATION, SHARE, Document, Share, descriptions, documents_in
from contracts.model import ServingSpec
from contracts.rollout import WHOLE, Guards, RolloutSpec, RolloutStatus, Target, WeightPlan
from contracts.signals import SIGNALS

GROUP = "millwright.dev"
VERSION = "v1alpha1"
KIND = "ModelRollout"
PLURAL = "modelrollouts"
API_VERSION = f"{GROUP}/{VERSION}"

ORDER = f"{GROUP}/order"
"""Annotation with what a person says to a rollout: `abort`, or `abort 3` for version 3 only."""
DECISION = f"{GROUP}/decision"
"""Annotation of an Event with the decision's numbers, so that a person can recompute it."""
KEPT = 20
"""Decisions that the status of a resource keeps; all of them are Events."""
Json = dict[str, object]


class Autoscaling(Document):
    """More servers when they are busy."""

    max_replicas: int = Field(ge=1, le=1000)
    """At most this many servers for each version; at least `replicas`."""
    cpu: int = Field(default=70, ge=1, le=100)
    """The share of the CPU request, in percent, that is aimed at."""


class ClusterServing(ServingSpec):
    """How each version is served in the cluster."""

    image: str | None = None
    """The model server's image; the operator's own setting when left out."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of every server, such as AWS_REGION. No secrets: anyone who can read
    the rollout reads them."""
    service_account: str | None = None
    """The account that the servers run under, with the right to read the artifact."""
    autoscaling: Autoscaling | None = None
    """Left out: always `replicas` servers."""

    @model_validator(mode="after")
    def ordered(self) -> Self:
        """Scaling goes up."""
        if self.autoscaling and self.autoscaling.max_replicas < self.replicas:
            raise ValueError(
                f"autoscaling.max_replicas ({self.autoscaling.max_replicas}) must be at least "
                f"replicas ({self.replicas})"
            )
        return self


class ClusterWeightPlan(WeightPlan):
    """How the candidate's share of the traffic may grow; in steps that the backend can express."""

    step: Share = SELDON.finest / WHOLE
    """The smallest step: a multiple of 1%, because Seldon's traffic is a whole percentage."""


class ClusterPlan(RolloutSpec):
    """The plan of the rollout: the `rollout:` part of `model.yaml`."""

    weight: ClusterWeightPlan = ClusterWeightPlan()


class ModelRolloutSpec(Document):
    """Which version of the model is wanted, how it is served and how it gets there."""

    artifact: Target
    """The version that is wanted. Another one starts a rollout."""
    serving: ClusterServing = ClusterServing()
    """How each version is served."""
    plan: ClusterPlan = ClusterPlan()
    """What is watched, how sure to be, and how much harm is acceptable."""

    @model_validator(mode="after")
    def expressible(self) -> Self:
        """A backend would round finer steps, and the weight would never be confirmed."""
        backend, step = BACKENDS[self.serving.backend], self.plan.weight.step
        steps = step * WHOLE / backend.finest
        if steps < 0.999 or abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"plan.weight.step: {step:.2%} cannot be expressed by {backend.title}; "
                f"write {backend.finest * 100 / WHOLE:g}%"
            )
        return self


class Condition(Document):
    """One of Kubernetes' conditions."""

    type: Literal["Accepted", "Serving", "Settled"]
    """Accepted: the spec can be followed. Serving: a version serves with confirmed weights.
    Settled: the rollout is over."""
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: str = Field(alias="lastTransitionTime")
    observed_generation: int = Field(default=0, alias="observedGeneration")


class ModelRolloutStatus(RolloutStatus):
    """How the rollout stands: all that the operator knows, saved before it acts."""

    observed_generation: int = Field(default=0, alias="observedGeneration")
    """The generation of the spec that this status answers."""
    share: str = ""
    """The candidate's share of the traffic, as a person reads it."""
    served: int = 0
    """How many of the candidate's requests were judged in this rollout."""
    obeyed: str = ""
    """The order that was obeyed last and may still stand in the annotation."""
    accepted: ModelRolloutSpec | None = None
    """The last spec that could be followed: it counts while a later one is refused."""
    conditions: tuple[Condition, ...] = ()

    def rollout(self) -> RolloutStatus:
        """What the controller goes on from."""
        return RolloutStatus(**{name: getattr(self, name) for name in RolloutStatus.model_fields})


def cluster_plan(plan: RolloutSpec, backend: str = SELDON.name) -> ClusterPlan:
    """A plan of `model.yaml` in steps that the serving backend can express.

    Raises:
        DocumentError: its largest weight is below one of them.
    """
    written = plan.model_dump(mode="json", exclude_none=True)
    weight, finest = plan.weight, BACKENDS[backend].finest / WHOLE
    step = max(finest, round(weight.step / finest) * finest)
    written["weight"] = {
        **written["weight"],
        "step": f"{step * 100:.6g}%",
        "start": f"{max(weight.start, step) * 100:g}%",
    }
    return ClusterPlan.parse(written, where="the rollout's plan")


# --- The CRD --------------------------------------------------------------------------------------

COLUMNS = (
    ("Phase", ".status.phase", "string", 0),
    ("Stable", ".status.stable.version", "string", 0),
    ("Candidate", ".status.candidate.version", "string", 0),
    ("Weight", ".status.share", "string", 0),
    ("Requests", ".status.served", "integer", 0),
    ("Reason", ".status.reason", "string", 0),
    ("Age", ".metadata.creationTimestamp", "date", 0),
    ("Looks", ".status.look", "integer", 1),
    ("Harm", ".status.harm.estimate", "number", 1),
)
"""Name, path, type, and 1 for those that only `-o wide` shows."""


def _percent(path: str) -> str:
    return f"double({path}.replace('%', '').trim())"


def _expressible() -> tuple[tuple[str, str], ...]:
    """A rule for each backend that knows whole percentages only."""
    step = "self.plan.weight.step"
    whole = [facts for facts in BACKENDS.values() if facts.finest == WHOLE // 100]
    return tuple(
        (
            (
                f"self.serving.backend != '{facts.name}' || "
                f"({_percent(step)} >= 1.0 && !{step}.contains('.'))"
            ),
            f"step must be a whole percentage: {facts.title} knows no finer one",
        )
        for facts in whole
    )


RULES: Mapping[type[BaseModel], tuple[tuple[str, str], ...]] = {
    ModelRolloutSpec: (
        (
            (
                "self.artifact.version == oldSelf.artifact.version "
                "? self.artifact.uri == oldSelf.artifact.uri : true"
            ),
            "a version's artifact never changes: give the new artifact a new version",
        ),
        (
            "self.serving.backend == oldSelf.serving.backend",
            "a model's serving backend never changes: what the old one serves would be left behind",
        ),
        *_expressible(),
    ),
    ClusterServing: (
        (
            "!has(self.autoscaling) || self.autoscaling.max_replicas >= self.replicas",
            "autoscaling.max_replicas must be at least replicas",
        ),
    ),
    ClusterPlan: (
        (
            (
                "self.interval.matches('d$|[ .]') || self.deadline.matches('d$|[ .]') || "
                "duration(self.interval) < duration(self.deadline)"
            ),
            "interval must be shorter than deadline: there must be time for looks",
        ),
    ),
    ClusterWeightPlan: (
        (
            f"{_percent('self.max')} < 100.0",
            "max must leave the stable version traffic to be compared with; write 50%",
        ),
        (
            (
                f"{_percent('self.start')} <= {_percent('self.max')} && "
                f"{_percent('self.start')} >= {_percent('self.step')}"
            ),
            "start must be between step and max",
        ),
    ),
    Guards: (
        (
            " || ".join(f"has(self.{row.name})" for row in SIGNALS),
            (
                f"at least one of {', '.join(row.name for row in SIGNALS[:-1])} and "
                f"{SIGNALS[-1].name} is needed to have evidence to promote on"
            ),
        ),
    ),
}
"""What the API server checks by itself, in CEL, beyond types and patterns: what would otherwise be
refused only by the operator, later."""


def crd() -> Json:
    """The CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "millwright", "app.kubernetes.io/part-of": GROUP},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["mro"],
                "categories": ["all", "millwright"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(*column) for column in COLUMNS],
                    "schema": {"openAPIV3Schema": _resource()},
                }
            ],
        },
    }


def _column(name: str, path: str, kind: str, priority: int) -> Json:
    column: Json = {"name": name, "jsonPath": path, "type": kind}
    return {**column, "priority": priority} if priority else column


def _resource() -> Json:
    return {
        "type": "object",
        "description": "A model's rollout: the version that is wanted is served as a canary, "
        "judged on evidence, and promoted or rolled back. Its name is the model's.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(ModelRolloutSpec),
            "status": _unchecked(structural(ModelRolloutStatus)),
        },
        "x-kubernetes-validations": [
            {
                "rule": "self.metadata.name.matches('^[a-z][a-z0-9-]{0,38}[a-z0-9]$')",
                "message": "the name is the model's: 2 to 40 lower-case letters, digits and "
                "dashes, beginning with a letter",
            }
        ],
    }


def structural(document: type[BaseModel]) -> Json:
    """A document's schema as Kubernetes takes it."""
    whole = document.model_json_schema(by_alias=True)
    definitions = whole.get("$defs", {})
    return _object(document, whole, definitions)


def _unchecked(schema: object) -> object:
    """Without rules: what the operator found must always be writable."""
    if isinstance(schema, dict):
        kept = {key: part for key, part in schema.items() if key != "x-kubernetes-validations"}
        return {key: _unchecked(part) for key, part in kept.items()}
    return schema


def _object(document: type[BaseModel], schema: Json, definitions: Mapping[str, Json]) -> Json:
    """An object's schema: its properties in order, its defaults as a person writes them."""
    written = schema.get("properties")
    assert isinstance(written, dict)
    named = {field.alias or name: name for name, field in document.model_fields.items()}
    properties: Json = {}
    for key, part in written.items():
        properties[key] = _value(document, named[key], part, definitions)
    made: Json = {"type": "object", "description": _prose(document.__doc__ or "")}
    if required := schema.get("required"):
        made["required"] = required
    made["properties"] = properties
    if document in RULES:
        made["x-kubernetes-validations"] = [
            {"rule": rule, "message": message} for rule, message in RULES[document]
        ]
    return made


def _value(
    document: type[BaseModel], name: str, schema: Json, definitions: Mapping[str, Json]
) -> Json:
    """One field's schema, with its own description and default."""
    field = document.model_fields[name]
    made = _plain(schema, _documents(field.annotation), definitions)
    if text := descriptions(document).get(name):
        made["description"] = _prose(text)
    default = _default(field)
    if default is not None and (default != {} or made.get("properties")):
        made["default"] = default
    if _is_conditions(made):
        made |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return made


def _is_conditions(schema: Json) -> bool:
    items = schema.get("items")
    return isinstance(items, dict) and "lastTransitionTime" in items.get("properties", {})


def _default(field: FieldInfo) -> object:
    """The default as YAML has it; None for none."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or value in ((), ""):
        return None
    annotation: Any = field.annotation
    for extra in field.metadata:
        annotation = Annotated[annotation, extra]
    adapter: TypeAdapter[object] = TypeAdapter(annotation)
    return _without_none(adapter.dump_python(value, mode="json", by_alias=True))


def _without_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return value


DROPPED = ("title", "additionalProperties", "$defs", "default", "description", "const")


def _plain(
    schema: Json, documents: Mapping[str, type[BaseModel]], defs: Mapping[str, Json]
) -> Json:
    """One type instead of references and choices."""
    if reference := schema.get("$ref"):
        name = str(reference).rsplit("/", 1)[-1]
        target = defs[name]
        if name in documents:
            return _object(documents[name], target, defs)
        return _plain(target, documents, defs)  # An enumeration.
    if choices := schema.get("anyOf"):
        return _chosen(choices, documents, defs)
    made = {key: value for key, value in schema.items() if key not in DROPPED}
    if "exclusiveMinimum" in made:
        made |= {"minimum": made["exclusiveMinimum"], "exclusiveMinimum": True}
    if "exclusiveMaximum" in made:
        made |= {"maximum": made["exclusiveMaximum"], "exclusiveMaximum": True}
    if made.get("type") == "integer":
        made["format"] = "int64"
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        made["additionalProperties"] = _plain(values, documents, defs)
    if "prefixItems" in made:
        made = _tuple(made.pop("prefixItems"), made)
    elif isinstance(items := made.get("items"), dict):
        made["items"] = _plain(items, documents, defs)
    return made


def _chosen(
    choices: object, documents: Mapping[str, type[BaseModel]], defs: Mapping[str, Json]
) -> Json:
    """The only type of a choice: what may be left out, or a unit written as text."""
    assert isinstance(choices, list)
    kinds = [choice for choice in choices if choice.get("type") != "null"]
    text = [choice for choice in kinds if choice.get("pattern") in (DURATION, SHARE)]
    kind = text[0] if text else kinds[0]
    made = _plain(kind, documents, defs)
    return {**made, "maxLength": 16} if text else made


def _tuple(parts: object, made: Json) -> Json:
    """A pair of numbers, in which there may be nothing instead of one."""
    assert isinstance(parts, list)
    items: Json = {"type": "number"}
    if any("anyOf" in part for part in parts):
        items["nullable"] = True
    return {**made, "items": items}


def _documents(annotation: object) -> dict[str, type[BaseModel]]:
    """The document classes that a field's schema may refer to, by their names there."""
    known: dict[str, type[BaseModel]] = {}
    waiting = documents_in(annotation)
    while waiting:
        document = waiting.pop()
        if document.__name__ not in known:
            known[document.__name__] = document
            waiting += [
                inner
                for field in document.model_fields.values()
                for inner in documents_in(field.annotation)
            ]
    return known


def _prose(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split())


class _Dumper(yaml.SafeDumper):
    """YAML without aliases, which kubectl takes but people do not read."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def text() -> str:
    """The CRD's file."""
    head = "# Made by `make generate` from contracts/custom_resource.py; edit that.\n"
    return head + yaml.dump(crd(), Dumper=_Dumper, sort_keys=False, width=100)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
