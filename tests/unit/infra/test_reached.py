"""Where users reach the services in the cluster, and which images run there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from contracts.environment import Environment
from contracts.images import OWN, PushedImage, PushedImages
from contracts.outputs import PlatformOutputs, ServiceOutputs
from contracts.version import VERSION
from infra.stack import CONCERNS

TIERS = ("dev", "staging", "prod")
DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(OWN)}
OUTSIDE = {"load_balancer": "internet", "load_balancer_networks": ["203.0.113.0/24"]}
HERE = {"name": "test", "tier": "dev", "account": "123456789012", "region": "eu-central-1"}


def outputs_of(plan: Any) -> PlatformOutputs:
    """The outputs as their readers parse them."""
    return PlatformOutputs.parse(plan.outputs)


@pytest.mark.parametrize("name", TIERS)
def test_services_are_found_in_the_cluster(name: str, planned: Callable[..., Any]) -> None:
    plan = planned(name)
    outputs = outputs_of(plan)
    assert outputs.tracking == ServiceOutputs(namespace="mlflow", service="mlflow", port=80)
    assert outputs.pipelines == ServiceOutputs(
        namespace="kubeflow", service="ml-pipeline", port=8888
    )
    assert outputs.gateway == ServiceOutputs(
        namespace="istio-system", service="side-door", port=8080
    )
    releases = {one.inputs["name"]: one.inputs["namespace"] for one in plan.of("v3:Release")}
    assert releases[outputs.tracking.service] == outputs.tracking.namespace


@pytest.mark.parametrize("name", TIERS)
def test_the_side_door_leads_to_the_gateway_and_nothing_else_does(
    name: str, planned: Callable[..., Any]
) -> None:
    plan = planned(name)
    gateway = outputs_of(plan).gateway
    assert gateway is not None
    (side_door,) = (one for one in plan.of("core/v1:Service") if one.name == gateway.service)
    spec = side_door.inputs["spec"]
    assert spec["type"] == "ClusterIP"
    assert [port["port"] for port in spec["ports"]] == [gateway.port]
    (door,) = plan.of("networking.istio.io/v1:Gateway")
    assert door.inputs["spec"]["selector"] == spec["selector"]
    servers = {server["port"]["number"]: server for server in door.inputs["spec"]["servers"]}
    assert servers.keys() == {80, 443, gateway.port}
    assert "tls" not in servers[gateway.port]
    assert servers[80]["tls"] == {"httpsRedirect": True}
    policies = {
        one.inputs["metadata"]["name"]: one.inputs["spec"]
        for one in plan.of("networking.k8s.io/v1:NetworkPolicy")
        if one.inputs["metadata"]["namespace"] == gateway.namespace
    }
    for rule in policies["allow"]["ingress"]:
        if any("ipBlock" in peer for peer in rule["from"]):
            assert gateway.port not in {port["port"] for port in rule["ports"]}


@pytest.mark.parametrize("name", TIERS)
def test_namespaces_are_those_that_are_made(name: str, planned: Callable[..., Any]) -> None:
    plan = planned(name)
    made = {one.inputs["metadata"]["name"] for one in plan.of("core/v1:Namespace")}
    assert set(outputs_of(plan).namespaces.values()) == made
    assert outputs_of(plan).namespaces.items() >= {
        ("pipelines", "kubeflow"),
        ("models", "serving"),
        ("operator", "millwright"),
        ("tracking", "mlflow"),
    }


def test_the_laptop_has_no_service_in_a_cluster(planned: Callable[..., Any]) -> None:
    outputs = outputs_of(planned("local"))
    assert (outputs.tracking, outputs.pipelines, outputs.gateway) == (None, None, None)
    assert outputs.namespaces == {}


def test_what_is_not_installed_is_not_told(planned_from: Callable[..., Any]) -> None:
    outputs = outputs_of(planned_from(on_cluster={"components": ["seldon"]}))
    assert (outputs.tracking, outputs.pipelines) == (None, None)
    assert outputs.gateway is not None
    assert "tracking" not in outputs.namespaces


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "ml.example.com"}, ""),
        ({"host": "*.example.com", **OUTSIDE}, ""),
        ({"host": "ml.example.com", **OUTSIDE}, "https://ml.example.com"),
    ],
)
def test_the_front_door_by_its_name(
    settings: Mapping[str, object], url: str, planned_from: Callable[..., Any]
) -> None:
    gateway = outputs_of(planned_from(on_cluster={"components": [], **settings})).gateway
    assert gateway is not None
    assert gateway.url == url


def pushed(version: str) -> PushedImages:
    """All three images, of a version."""
    images = {
        name: PushedImage(repository=f"registry/{name}", tag=version, digest=digest)
        for name, digest in DIGESTS.items()
    }
    return PushedImages(environment="test", version=version, images=images)


def test_images_that_were_pushed_are_run_by_digest(run_with: Callable[..., Any]) -> None:
    environment = Environment.parse({**HERE, "on_cluster": {"components": ["seldon", "operator"]}})
    plan = run_with(environment, CONCERNS, pushed(VERSION))
    assert outputs_of(plan).images == {
        name: f"registry/millwright/test/{name}@{digest}" for name, digest in DIGESTS.items()
    }
    (deployment,) = plan.of("apps/v1:Deployment")
    (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry/millwright/test/operator@{DIGESTS['operator']}"
    (settings,) = (one for one in plan.of("core/v1:ConfigMap") if one.name.endswith("operator"))
    model_server = settings.inputs["data"]["MILLWRIGHT_IMAGE"]
    assert model_server == f"registry/millwright/test/runtime@{DIGESTS['runtime']}"


def test_another_version_is_run_by_its_tag(run_with: Callable[..., Any]) -> None:
    environment = Environment.parse(
        {
            **HERE,
            "registry": {"tag": "9.9.9"},
            "on_cluster": {"components": ["seldon", "operator"]},
        }
    )
    plan = run_with(environment, CONCERNS, pushed(VERSION))
    assert outputs_of(plan).images == {}
    (deployment,) = plan.of("apps/v1:Deployment")
    (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry/millwright/test/operator:9.9.9"


@pytest.mark.parametrize("name", ["local", *TIERS])
def test_each_of_our_images_has_a_repository(name: str, planned: Callable[..., Any]) -> None:
    assert outputs_of(planned(name)).registries.keys() >= set(OWN)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mlflow.mlflow", True),
        ("mlflow.mlflow.svc.cluster.local:80", True),
        # A port-forward, and Prometheus at a pod's own address.
        ("127.0.0.1:40123", True),
        ("localhost:40123", True),
        ("10.64.7.200:5000", True),
        ("10.65.7.200:5000", False),
        ("evil.example.com", False),
        ("evil.example.com:5000", False),
        ("127.0.0.1.evil.example.com", False),
    ],
)
def test_by_which_names_mlflow_may_be_called(
    host: str, allowed: bool, planned: Callable[..., Any]
) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    (release,) = (one for one in planned("prod").of("v3:Release") if one.name == "mlflow")
    names = release.inputs["values"]["serverAllowedHosts"]
    assert is_allowed_host_header(names, host) is allowed
