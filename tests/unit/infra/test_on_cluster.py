"""What runs in the cluster: pinned, closed by default, in the order that it needs."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from contracts.environment import Environment
from contracts.environment.on_cluster import COMPONENTS, WORKING_NAMESPACES
from contracts.errors import DocumentError, InfrastructureError
from contracts.model import ModelSpec
from contracts.rollout import WHOLE, Target
from contracts.version import VERSION
from infra.on_cluster.install import PARTS
from infra.on_cluster.namespaces import NAMESPACES, let_out
from infra.on_cluster.operator import objects, token, with_images
from infra.on_cluster.part import as_values, camel
from infra.workloads import WORKLOADS
from serving.rollout.core.observations import Predictor
from serving.rollout.seldon import seldon_deployment

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = ROOT / "manifests" / "operator"
HERE = {"name": "test", "tier": "dev", "account": "123456789012", "region": "eu-central-1"}


def test_the_laptop_has_nothing_in_a_cluster(planned: Callable) -> None:
    assert not [one for one in planned("local").resources if "kubernetes" in one.type]


def test_releases_are_pinned_and_say_where_they_come_from(planned: Callable) -> None:
    releases = planned("prod").of("helm.sh/v3:Release")
    assert len(releases) == 12
    for release in releases:
        assert release.inputs["version"].lstrip("v")[0].isdigit()
        assert release.inputs["repositoryOpts"]["repo"].startswith("https://")
        assert release.inputs["namespace"] in {*NAMESPACES, "kube-system"}
        assert release.inputs["atomic"] is True
    (seldon,) = (one for one in releases if one.inputs["chart"] == "seldon-core-operator")
    assert seldon.inputs["version"] == "1.17.1"
    assert seldon.inputs["values"]["istio"] == {
        "enabled": True,
        "gateway": "istio-system/seldon-gateway",
    }


def test_every_namespace_is_closed_and_names_its_security(planned: Callable) -> None:
    plan = planned("prod")
    namespaces = {one.inputs["metadata"]["name"]: one for one in plan.of("core/v1:Namespace")}
    assert namespaces.keys() == NAMESPACES.keys()
    levels = {
        name: one.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for name, one in namespaces.items()
    }
    assert [name for name, level in levels.items() if level == "privileged"] == ["monitoring"]
    closed = {
        one.inputs["metadata"]["namespace"]
        for one in plan.of("networking.k8s.io/v1:NetworkPolicy")
        if one.inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    assert closed == NAMESPACES.keys()


def test_nobody_from_the_internet_is_let_in(planned: Callable) -> None:
    for policy in planned("prod").of("networking.k8s.io/v1:NetworkPolicy"):
        for rule in policy.inputs["spec"].get("ingress", ()):
            blocks = [peer["ipBlock"]["cidr"] for peer in rule["from"] if "ipBlock" in peer]
            assert "0.0.0.0/0" not in blocks


def test_a_call_is_allowed_at_both_ends() -> None:
    for facts in NAMESPACES.values():
        assert set(facts.called_by) <= NAMESPACES.keys()


def test_what_a_document_may_name_is_what_there_is() -> None:
    components = {kind.component for kind in PARTS} - {""}
    assert components == set(COMPONENTS)
    assert {facts.component for facts in NAMESPACES.values()} - {""} <= components
    assert set(WORKING_NAMESPACES) <= NAMESPACES.keys()
    purposes = [facts.purpose for facts in NAMESPACES.values()]
    assert len(set(purposes)) == len(purposes)


def test_workloads_with_a_role_live_in_a_namespace() -> None:
    places = {one.namespace for one in WORKLOADS.values()}
    assert places - NAMESPACES.keys() == {"kube-system"}


def test_components_can_be_left_out(planned_from: Callable) -> None:
    plan = planned_from(on_cluster={"components": ["seldon"]})
    charts = {one.inputs["chart"] for one in plan.of("helm.sh/v3:Release")}
    assert charts == {
        *("base", "istiod", "gateway", "cert-manager"),
        *("external-secrets", "seldon-core-operator"),
    }
    assert not plan.of("kustomize/v2:Directory")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_cluster": {"components": ["operator"]}}, "add seldon"),
        ({"on_cluster": {"components": ["keda", "keda"]}}, "named twice"),
        ({"on_cluster": {"components": ["sedlon"]}}, "did you mean 'seldon'"),
        ({"on_cluster": {"load_balancer": "internet"}}, "load_balancer_networks"),
        ({"on_cluster": {"quotas": {"kube-system": {"cpu": 1, "memory": 1}}}}, "quota"),
        ({"database": {"enabled": False}}, "mlflow and pipelines need database.enabled"),
        ({"registry": {"repositories": ["runtime"]}}, "a repository named operator"),
        ({"registry": {"repositories": ["operator"]}}, "a repository named runtime"),
        ({"registry": {"tag": "latest"}}, "a version such as"),
        ({"registry": {"tag": "a/b"}}, "a version such as"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Environment.parse({**HERE, **settings})
    assert message in str(caught.value)


@dataclass(frozen=True)
class Values:
    replica_count: int = 2
    absent: int | None = None
    install: bool = field(default=True, metadata={"key": "installCRDs"})
    words: dict[str, str] = field(default_factory=lambda: {"a_b": "c"})


def test_values_are_written_as_charts_read_them() -> None:
    assert camel("pod_disruption_budget") == "podDisruptionBudget"
    assert as_values({"x": (Values(),)}) == {
        "x": [{"replicaCount": 2, "installCRDs": True, "words": {"a_b": "c"}}]
    }


def test_an_operator_is_whatever_its_files_say(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(
        yaml.safe_dump_all(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "millwright"}},
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "operator"}},
            ]
        )
    )
    assert [one["kind"] for one in objects(tmp_path)] == ["Service"]
    (tmp_path / "wrong.yaml").write_text("kind: Service\n")
    with pytest.raises(InfrastructureError, match=r"metadata\.name"):
        list(objects(tmp_path))
    assert token("v1", "Service") == "kubernetes:core/v1:Service"
    assert token("apps/v1", "Deployment") == "kubernetes:apps/v1:Deployment"


def test_our_images_come_from_the_registry() -> None:
    images = {"operator": "registry/operator:2", "runtime": "registry/runtime:2"}
    ours = {"a": ["millwright/operator:1.0.0", "x"], "b": {"c": "millwright/runtime:1.0.0"}}
    assert with_images(ours, images) == {
        "a": ["registry/operator:2", "x"],
        "b": {"c": "registry/runtime:2"},
    }
    for other in ("docker.io/millwright/operator:1", "see millwright/operator:1", 3, None):
        assert with_images(other, images) == other


def test_images_have_this_version_where_the_environment_names_none(
    planned: Callable, planned_from: Callable
) -> None:
    other = "2.0.0-rc.1"
    small = {"components": ["seldon", "operator"]}
    plans = {
        VERSION: planned("dev"),
        other: planned_from(registry={"tag": other}, on_cluster=small),
    }
    for version, plan in plans.items():
        (deployment,) = plan.of("apps/v1:Deployment")
        (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(f":{version}")
        (settings,) = (one for one in plan.of("core/v1:ConfigMap") if one.name.endswith("operator"))
        assert settings.inputs["data"]["MILLWRIGHT_IMAGE"].endswith(f":{version}")
    assert importlib.metadata.version("millwright") == VERSION
    for text in (f"millwright/operator:{VERSION}", f"millwright/runtime:{VERSION}"):
        assert any(text in file.read_text() for file in MANIFESTS.glob("*.yaml")), text


def test_the_operator_is_told_where_the_other_parts_are(
    planned: Callable, planned_from: Callable
) -> None:
    small = {"components": ["seldon", "operator"]}
    for plan, mlflow in (
        (planned("prod"), "http://mlflow.mlflow"),
        (planned_from(on_cluster=small), ""),
    ):
        settings = next(
            one for one in plan.of("core/v1:ConfigMap") if one.name.endswith("operator")
        )
        assert settings.inputs["data"]["MLFLOW_TRACKING_URI"] == mlflow
        assert settings.inputs["data"]["MILLWRIGHT_PROMETHEUS"].startswith("http://")


def test_pods_get_the_credentials_of_their_role_and_nodes_are_watched() -> None:
    """Both answer at addresses of the node, which a policy has to name."""
    environment = Environment.parse(HERE)
    site = SimpleNamespace(environment=environment, wants=lambda component: True)
    for name, facts in NAMESPACES.items():
        rules = [str(rule) for rule in let_out(name, facts, site)]
        assert any("169.254.170.23/32" in rule and "80" in rule for rule in rules)
        assert any("10250" in rule for rule in rules) is (name == "monitoring")


def test_an_account_with_a_role_is_made_by_somebody(planned: Callable) -> None:
    """By us, or by the chart or kustomization whose pods run under it."""
    plan = planned("prod")
    made = {
        (one.inputs["metadata"]["namespace"], one.inputs["metadata"]["name"])
        for one in plan.of("core/v1:ServiceAccount")
    }
    theirs = {"pipelines", "mlflow", "spark", "autoscaler", "secrets"}
    wanted = {(one.namespace, one.service_account) for one in WORKLOADS.values()}
    ours = {(one.namespace, one.service_account) for n, one in WORKLOADS.items() if n not in theirs}
    assert ours <= made <= wanted
    values = [str(one.inputs.get("values")) for one in plan.of("helm.sh/v3:Release")]
    for name in theirs - {"pipelines"}:
        assert any(WORKLOADS[name].service_account in one for one in values), name


def test_what_the_judge_reads_is_scraped(planned: Callable) -> None:
    monitors = {
        one.inputs["metadata"]["namespace"]: one.inputs["spec"]
        for one in planned("dev").of("monitoring.coreos.com/v1:PodMonitor")
    }
    assert monitors.keys() == {"istio-system", "serving", "millwright"}
    (servers,) = monitors["serving"]["podMetricsEndpoints"]
    pod = seldon_pod()
    assert servers["port"] in {one["name"] for one in pod["containers"][0]["ports"]}


def seldon_pod() -> dict[str, Any]:
    """The pod of a model server."""
    model = ModelSpec.find(ROOT / "models", "flight-delay")
    target = Target(version="1", uri="s3://artifacts/1")
    document: Any = seldon_deployment(model, [Predictor(target=target, weight=WHOLE)])
    pod: dict[str, Any] = document["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    return pod
