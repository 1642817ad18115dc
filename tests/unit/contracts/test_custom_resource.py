"""The CRD in the tree is that of today's contracts, structural, and agrees with the documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from contracts.custom_resource import (
    COLUMNS,
    ModelRolloutSpec,
    ModelRolloutStatus,
    cluster_plan,
    crd,
    text,
)
from contracts.errors import DocumentError
from contracts.model import ModelSpec
from contracts.rollout import RolloutSpec, RolloutStatus, Target

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]  # type: ignore
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
FORBIDDEN = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "const", "prefixItems", "title"}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each value's schema with its path."""
    yield path, schema
    for name, one in schema.get("properties", {}).items():
        yield from nodes(one, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from nodes(schema[inner], f"{path}[]")


def at(path: str) -> dict[str, Any]:
    return dict(nodes(SCHEMA))[path]


def example(**spec: Any) -> dict[str, Any]:
    return {"artifact": {"version": "2", "uri": "s3://a/2"}, **spec}


def test_the_crd_is_current():
    written = ROOT / "manifests" / "operator" / "crd.yaml"
    assert written.read_text() == text(), "run `make generate`"


def test_the_schema_is_structural():
    for path, schema in nodes(SCHEMA):
        assert schema.get("type") in TYPES, f"{path} has no type"
        assert not FORBIDDEN & schema.keys(), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert schema["type"] != "array" or "items" in schema, path
        for bound in ("exclusiveMinimum", "exclusiveMaximum"):
            assert isinstance(schema.get(bound, True), bool), f"{path}: a flag in OpenAPI 3.0"


def test_every_key_that_a_person_writes_is_explained():
    for path, schema in nodes(SCHEMA["properties"]["spec"]):
        name = path.rpartition(".")[2]
        assert name in ("version", "") or path.endswith("[]") or schema.get("description"), path


def test_columns_point_at_fields():
    for name, path, kind, _ in COLUMNS:
        if path.startswith(".status"):
            assert at(path)["type"] in (kind, "integer"), name


@pytest.mark.parametrize(
    ("path", "default"),
    [
        (".spec.plan.interval", "10s"),
        (".spec.plan.weight.step", "1%"),
        (".spec.plan.guards", {"errors": {"negligible": "1%"}}),
        (".spec.serving.replicas", 1),
    ],
)
def test_defaults_are_those_of_the_documents(path: str, default: object):
    assert at(path)["default"] == default


def test_defaults_are_what_the_document_makes_of_nothing():
    plain = ModelRolloutSpec.parse(example()).model_dump(mode="json", exclude_none=True)
    for part in ("serving", "plan"):
        for name, schema in SCHEMA["properties"]["spec"]["properties"][part]["properties"].items():
            if "default" in schema:
                assert schema["default"] == plain[part][name], f"{part}.{name}"


def test_the_example_is_taken_by_both():
    document = yaml.safe_load((ROOT / "manifests/examples/model-rollout.yaml").read_text())
    jsonschema.Draft4Validator(SCHEMA).validate(document)
    ModelRolloutSpec.parse(document["spec"])


def test_every_status_fits_the_schema():
    status = ModelRolloutStatus(
        model="m",
        stable=Target(version="1", uri="s3://a/1"),
        accepted=ModelRolloutSpec.parse(example()),
        conditions=(),
    )
    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    known = SCHEMA["properties"]["status"]["properties"]
    assert written.keys() <= known.keys(), "the API server would drop them unsaid"
    jsonschema.Draft4Validator(SCHEMA["properties"]["status"]).validate(written)
    assert ModelRolloutStatus.parse(written) == status
    assert status.rollout() == RolloutStatus(model="m", stable=status.stable)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"plan": {"weight": {"step": "0.5%"}}}, "cannot be expressed by Seldon"),
        ({"serving": {"replicas": 3, "autoscaling": {"max_replicas": 2}}}, "at least replicas"),
        ({"plan": {"interval": "10m", "deadline": "5m"}}, "time for looks"),
        ({"serving": {"imagee": "x"}}, "did you mean 'image'"),
    ],
)
def test_what_cannot_be_followed_is_refused(spec: dict[str, Any], said: str):
    with pytest.raises(DocumentError, match=said):
        ModelRolloutSpec.parse(example(**spec))


def test_a_models_plan_fits_the_cluster():
    plan = ModelSpec.find(ROOT / "models", "flight-delay").rollout
    made = cluster_plan(plan)
    assert made.weight.step == 0.01
    assert made.guards == plan.guards
    finer = RolloutSpec.parse({"weight": {"start": "0.1%", "max": "20%"}})
    assert cluster_plan(finer).weight.start == 0.01
