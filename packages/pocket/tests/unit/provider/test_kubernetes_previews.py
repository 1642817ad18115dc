"""The provider of previews: what it refuses, what it compares, and that it installs nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from pocket.errors import DeploymentError
from pocket.manifests import describe, settings, write
from pocket.provider.kubernetes import KubernetesProvider
from pocket.provider.values import UNKNOWN, from_struct, to_struct

PROVIDER = KubernetesProvider()
RELEASE = "kubernetes:helm.sh/v3:Release"
CHART = {
    "name": "keda",
    "chart": "keda",
    "version": "2.20.2",
    "namespace": "keda",
    "repositoryOpts": {"repo": "https://kedacore.github.io/charts"},
    "values": {"operator": {"replicaCount": 2}},
}


def urn(kind: str) -> str:
    return f"urn:pulumi:dev::demo::demo:kubernetes:Part${kind}::name"


def check(kind: str, inputs: dict[str, Any]) -> Any:
    return PROVIDER.Check(provider_pb2.CheckRequest(urn=urn(kind), news=to_struct(inputs)))


def diff(kind: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    request = provider_pb2.DiffRequest(
        urn=urn(kind), old_inputs=to_struct(old), news=to_struct(new)
    )
    return PROVIDER.Diff(request)


def test_an_object_is_told_what_it_is() -> None:
    answer = check("kubernetes:core/v1:Namespace", {"metadata": {"name": "serving"}})
    assert not answer.failures
    assert from_struct(answer.inputs)["apiVersion"] == "v1"
    assert from_struct(answer.inputs)["kind"] == "Namespace"


@pytest.mark.parametrize(
    ("kind", "metadata", "message"),
    [
        ("kubernetes:core/v1:Secret", {"name": "a"}, "in no namespace"),
        ("kubernetes:core/v1:Secret", {"namespace": "a"}, "has a name"),
        ("kubernetes:core/v1:Secret", {"name": "A_b", "namespace": "a"}, "lower-case"),
        ("kubernetes:core/v1:Namespace", {"name": "a.b"}, "lower-case"),
        ("kubernetes:core/v1:Namespace", {"name": "a", "namespace": "b"}, "is in no namespace"),
        (
            "kubernetes:core/v1:Namespace",
            {"name": "a", "labels": {"k": "no spaces"}},
            "not a label's value",
        ),
    ],
)
def test_what_the_api_would_refuse(kind: str, metadata: dict[str, Any], message: str) -> None:
    (failure,) = check(kind, {"metadata": metadata}).failures
    assert message in failure.reason


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": ""}, "its version"),
        ({"repositoryOpts": {}}, "where the chart keda comes from"),
        ({"name": "k" * 54}, "at most 53"),
    ],
)
def test_a_release_is_pinned_and_has_a_source(changed: dict[str, Any], message: str) -> None:
    assert not check(RELEASE, CHART).failures
    (failure,) = check(RELEASE, {**CHART, **changed}).failures
    assert message in failure.reason


def test_values_update_and_names_replace() -> None:
    assert diff(RELEASE, CHART, CHART).changes == provider_pb2.DiffResponse.DIFF_NONE
    more = diff(RELEASE, CHART, {**CHART, "values": {"operator": {"replicaCount": 3}}})
    assert list(more.detailedDiff) == ["values.operator.replicaCount"]
    assert not more.replaces
    moved = diff(RELEASE, CHART, {**CHART, "namespace": "elsewhere"})
    assert list(moved.replaces) == ["namespace"]
    assert moved.deleteBeforeReplace


def test_a_preview_answers_and_nothing_is_installed() -> None:
    request = provider_pb2.CreateRequest(urn=urn(RELEASE), properties=to_struct(CHART))
    request.preview = True
    assert from_struct(PROVIDER.Create(request).properties) == CHART
    request.preview = False
    with pytest.raises(DeploymentError, match="reaches no cluster"):
        PROVIDER.Create(request)
    with pytest.raises(DeploymentError, match="reaches no cluster"):
        PROVIDER.Delete(SimpleNamespace(urn=urn(RELEASE)))


def test_what_is_written_for_review(tmp_path: Path) -> None:
    release = describe(RELEASE, {**CHART, "values": {"host": UNKNOWN, "on": True}}, tmp_path)
    role = describe(
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
        {"metadata": {"name": "operator"}, "rules": []},
        tmp_path,
    )
    files = list(write([release, role], tmp_path / "manifests"))
    assert [str(one.relative_to(tmp_path / "manifests")) for one in files] == [
        "keda/release-keda.yaml",
        "_cluster/clusterrole-operator.yaml",
    ]
    written = yaml.safe_load(files[0].read_text())
    assert written["repository"] == "https://kedacore.github.io/charts"
    assert written["values"]["host"] == "(known once it is applied)"
    assert yaml.safe_load(files[1].read_text())["apiVersion"] == "rbac.authorization.k8s.io/v1"
    assert list(settings(written["values"])) == ["host=(known once it is applied)", "on=true"]
