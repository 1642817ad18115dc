"""What an environment would have in its cluster, before a real API server.

`millwright preview ENV --render` writes it for people to read; here each plain object goes through
the API server's own validation and admission, with unknown fields refused, and so does a pod of
each workload: pod security, quotas and ranges are the environment's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from contracts.model import ModelSpec
from contracts.rollout import WHOLE, Target
from laptop.stack import Stack
from pocket import manifests
from project.handle import Project
from serving.rollout.core.observations import Predictor
from serving.rollout.seldon import seldon_deployment
from tests.cluster.api import APPLY, Api, Json, eventually
from tests.cluster.clusters import Cluster
from tests.cluster.rollouts import ROOT, Installed

ENVIRONMENTS = ("dev", "staging", "prod")
OTHERS = {
    *("cert-manager.io", "external-secrets.io", "networking.istio.io", "monitoring.coreos.com"),
}
"""API groups that come with charts, which nothing here installs."""


def rendered(environment: str, root: Path) -> list[Json]:
    """The documents that a preview writes, but releases and kustomizations."""
    project = root / environment
    project.mkdir()
    for part in ROOT.iterdir():
        if not part.name.startswith("."):  # Its state is kept here, not in the checkout.
            (project / part.name).symlink_to(part)
    result = Stack(Project(project, environment)).preview(lambda *_: None)
    files = manifests.write(manifests.installed(result, project), root / f"{environment}-rendered")
    # What AWS settles (images, hosts) is some name.
    found = [
        yaml.safe_load(file.read_text().replace(manifests.UNKNOWN, "aws.example")) for file in files
    ]
    return [one for one in found if "apiVersion" in one]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Json]]:
    """The documents of each environment."""
    root = tmp_path_factory.mktemp("environments")
    return {name: rendered(name, root) for name in ENVIRONMENTS}


@pytest.fixture(scope="module")
def place(
    cluster: Cluster, api: Api, installed: Installed, environments: dict[str, list[Json]]
) -> Iterator[dict[str, list[Json]]]:
    """Really applied: namespaces, quotas and ranges, since the rest is judged by them."""
    if cluster.plane is None:
        pytest.skip("where the cluster is not ours, namespaces of these names may be in use")
    before = {one["metadata"]["name"] for one in api.list("v1", "Namespace")}
    largest = sorted(environments["prod"], key=lambda one: one["kind"] != "Namespace")
    for one in largest:
        if one["kind"] in ("Namespace", "ResourceQuota", "LimitRange", "ServiceAccount"):
            api.apply(one)
    for one in largest:
        if one["kind"] == "ServiceAccount":
            eventually(lambda one=one: api.call("GET", api.at(one)), "accounts")
    yield environments
    for one in largest:
        if one["kind"] == "Namespace" and one["metadata"]["name"] not in before:
            api.delete(one)


def try_out(api: Api, document: Json) -> Json:
    """What the API server would make of it; nothing is written, and nothing unknown is ignored."""
    return api.call(
        "PATCH",
        api.at(document),
        document,
        content=APPLY,
        fieldManager="millwright",
        force="true",
        dryRun="All",
        fieldValidation="Strict",
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_object_is_one(api: Api, place: dict[str, list[Json]], environment: str) -> None:
    groups, tried = set(), 0
    for one in place[environment]:
        group = one["apiVersion"].rpartition("/")[0]
        if group in OTHERS:
            groups.add(group)
            continue
        made = try_out(api, one)
        assert made["metadata"]["name"] == one["metadata"]["name"]
        tried += 1
    assert groups == OTHERS
    assert tried > 60


def workloads(documents: list[Json]) -> Iterator[Json]:
    """A pod as each Deployment and Job would make it."""
    for one in documents:
        template = one.get("spec", {}).get("template")
        if one["kind"] in ("Deployment", "Job") and template:
            metadata = {
                "name": one["metadata"]["name"],
                "namespace": one["metadata"]["namespace"],
                "labels": template.get("metadata", {}).get("labels", {}),
            }
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": template["spec"],
            }


def server() -> Json:
    """A model server's pod, as a rollout in the environment asks for it."""
    model = ModelSpec.find(ROOT / "models", "flight-delay")
    target = Target(version="1", uri="s3://artifacts/flight-delay/1")
    document: Json = seldon_deployment(model, [Predictor(target=target, weight=WHOLE)])
    spec = document["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    metadata = {"name": "flight-delay", "namespace": "serving"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**spec, "serviceAccountName": "serving"},
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_our_pods_are_let_in(api: Api, place: dict[str, list[Json]], environment: str) -> None:
    pods = list(workloads(place[environment]))
    assert {one["metadata"]["namespace"] for one in pods} == {"millwright", "mlflow"}
    for one in [*pods, server()]:
        assert try_out(api, one)["spec"]["containers"][0]["resources"]["requests"]


def test_who_asks_for_nothing_is_given_something(api: Api, place: dict[str, list[Json]]) -> None:
    """A quota refuses pods without requests; the range of the namespace gives them some."""
    container: Json = {"name": "job", "image": "python:3.11"}
    metadata = {"name": "job", "namespace": "training"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"serviceAccountName": "training", "containers": [container]},
    }
    (made,) = try_out(api, pod)["spec"]["containers"]
    assert made["resources"] == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"memory": "1Gi"},
    }
