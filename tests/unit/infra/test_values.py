"""Charts' values are spelt as the charts read them: Helm ignores a key that it does not know.

Beside each chart's module stands a schema of its values at the version that is installed. A new
version needs a new look at the chart's values, and so a schema that says so.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.on_cluster import install

FOLDER = Path(install.__file__).parent / "values"
SCHEMAS: dict[str, dict[str, Any]] = {
    file.name.removesuffix(".schema.json"): json.loads(file.read_text())
    for file in sorted(FOLDER.glob("*.schema.json"))
}
CHARTS = sorted(SCHEMAS)
TIERS = ("dev", "staging", "prod")
KeyPath = tuple[str, ...]


def releases(plan: Any) -> dict[str, Mapping[str, Any]]:
    """The inputs of each chart's release."""
    return {one.inputs["chart"]: one.inputs for one in plan.of("helm.sh/v3:Release")}


def problems(chart: str, values: object) -> list[str]:
    """What the chart's schema finds."""
    found = Draft202012Validator(SCHEMAS[chart]).iter_errors(values)
    return [f"{error.json_path}: {error.message}" for error in found]


def spelt(
    schema: Mapping[str, Any], values: Mapping[str, Any], at: KeyPath = ()
) -> Iterator[KeyPath]:
    """The path of every key whose spelling is the chart's; a person's own keys are free."""
    if isinstance(schema.get("additionalProperties"), Mapping):
        return
    for key, value in values.items():
        yield (*at, key)
        if isinstance(value, Mapping):
            yield from spelt(schema["properties"][key], value, (*at, key))


def misspelt(values: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
    """The values with one key's last letters swapped or, where they are alike, one doubled."""
    changed: dict[str, Any] = copy.deepcopy(dict(values))
    place = changed
    for key in path[:-1]:
        place = place[key]
    last = path[-1]
    wrong = last[:-2] + last[-1] + last[-2] if last[-1] != last[-2] else last + last[-1]
    place[wrong] = place.pop(last)
    return changed


@pytest.mark.parametrize("name", TIERS)
def test_every_release_has_a_schema_of_its_version(name: str, planned: Callable[..., Any]) -> None:
    for chart, release in releases(planned(name)).items():
        about = SCHEMAS[chart]["x-chart"]
        assert about["name"] == chart
        assert about["version"] == release["version"], f"{chart}: read the new version's values"
        assert about["repository"] == release["repositoryOpts"]["repo"]


def test_every_schema_has_a_release(planned: Callable[..., Any]) -> None:
    assert set(CHARTS) == releases(planned("prod")).keys()


@pytest.mark.parametrize("chart", CHARTS)
def test_a_schema_is_one(chart: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[chart])


@pytest.mark.parametrize("name", TIERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_values_are_the_charts(chart: str, name: str, planned: Callable[..., Any]) -> None:
    assert problems(chart, releases(planned(name))[chart].get("values", {})) == []


def test_what_only_some_environments_set_is_the_charts(planned_from: Callable[..., Any]) -> None:
    settings = {"load_balancer": "internet", "load_balancer_networks": ["203.0.113.0/24"]}
    for chart, release in releases(planned_from(on_cluster=settings)).items():
        assert problems(chart, release.get("values", {})) == [], chart


@pytest.mark.parametrize("chart", CHARTS)
def test_a_misspelt_key_is_refused(chart: str, planned: Callable[..., Any]) -> None:
    values = releases(planned("prod"))[chart]["values"]
    paths = list(spelt(SCHEMAS[chart], values))
    assert paths
    for path in paths:
        assert problems(chart, misspelt(values, path)), ".".join(path)


@pytest.mark.parametrize(
    ("chart", "path", "value"),
    [
        ("keda", ("operator", "replicaCount"), "two"),
        ("cluster-autoscaler", ("resources", "limits", "memory"), "600 MB"),
        ("gateway", ("service", "type"), "Loadbalancer"),
        ("kube-prometheus-stack", ("prometheus", "prometheusSpec", "retention"), "15 days"),
        ("mlflow", ("backendStore", "postgres", "enabled"), "yes"),
    ],
)
def test_a_wrong_kind_of_value_is_refused(
    chart: str, path: KeyPath, value: object, planned: Callable[..., Any]
) -> None:
    values: Any = copy.deepcopy(dict(releases(planned("prod"))[chart]["values"]))
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert problems(chart, values)
