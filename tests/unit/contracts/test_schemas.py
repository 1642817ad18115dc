"""The JSON Schemas in the tree are those of today's contracts, and say yes to today's documents."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from contracts.schemas import DOCUMENTS, schema

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_schemas_are_current(name: str) -> None:
    written = ROOT / "manifests" / "schemas" / f"{name}.json"
    assert written.read_text() == schema(name), "run `make generate`"


@pytest.mark.parametrize("document", sorted((ROOT / "models").glob("*/model.yaml")), ids=str)
def test_editors_accept_the_models(document: Path) -> None:
    # Through JSON, as an editor sees YAML: dates are text there.
    value = json.loads(json.dumps(yaml.safe_load(document.read_text()), default=str))
    jsonschema.validate(value, json.loads(schema("model")))


@pytest.mark.parametrize("stack", sorted(ROOT.glob("Pulumi.*.yaml")), ids=str)
def test_editors_accept_the_environments(stack: Path) -> None:
    value = yaml.safe_load(stack.read_text())["config"]["millwright:environment"]
    jsonschema.validate(value, json.loads(schema("environment")))
