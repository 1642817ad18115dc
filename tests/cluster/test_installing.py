"""The manifests: what they install, what they refuse, and what the operator may do."""

from __future__ import annotations

import copy
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from contracts.custom_resource import API_VERSION, GROUP, KIND
from tests.cluster.api import Api, Json, eventually, manifests
from tests.cluster.rollouts import MANIFESTS, Installed, World, install
from tests.cluster.seldon_documents import APPS

CRD = "apiextensions.k8s.io/v1"


def resource(namespace: str, **plan: Any) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "churn", "namespace": namespace},
        "spec": {"artifact": {"version": "1", "uri": "s3://artifacts/churn/1"}, "plan": plan},
    }


def test_defaults_come_from_the_api_server(api: Api, installed: Installed, namespace: str) -> None:
    made = api.apply(resource(namespace))
    assert made["spec"]["plan"]["confidence"] == 0.99
    assert made["spec"]["plan"]["guards"] == {"errors": {"negligible": "1%"}}
    assert made["spec"]["plan"]["weight"]["step"] == "1%"
    assert made["spec"]["serving"]["replicas"] == 1


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"interval": "soon"}, "interval"),
        ({"confidence": 1.5}, "confidence"),
        ({"interval": "10m", "deadline": "5m"}, "there must be time for looks"),
        ({"weight": {"step": "0.5%"}}, "step must be a whole percentage"),
        ({"weight": {"max": "100%"}}, "traffic to be compared with"),
        ({"weight": {"start": "60%", "max": "50%"}}, "start must be between"),
        ({"guards": {"drift": {}}}, "at least one of errors, slow and wrong"),
        ({"on_deadline": "pray"}, "on_deadline"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(
    api: Api, installed: Installed, namespace: str, plan: Json, said: str
) -> None:
    with pytest.raises(ApiException) as refused:
        api.apply(resource(namespace, **plan))
    assert refused.value.status == 422
    assert said in refused.value.body


def test_a_version_keeps_its_artifact(api: Api, installed: Installed, namespace: str) -> None:
    made = api.apply(resource(namespace))
    with pytest.raises(ApiException) as refused:
        api.merge(made, {"spec": {"artifact": {"uri": "s3://artifacts/another"}}})
    assert "give the new artifact a new version" in refused.value.body


def test_kubectl_get_tells_the_story(api: Api, installed: Installed) -> None:
    crd = api.get(CRD, "CustomResourceDefinition", None, f"modelrollouts.{GROUP}")
    assert crd is not None
    names = [
        one["name"].upper()
        for one in crd["spec"]["versions"][0]["additionalPrinterColumns"]
        if not one.get("priority")
    ]
    assert names == ["PHASE", "STABLE", "CANDIDATE", "WEIGHT", "REQUESTS", "REASON", "AGE"]
    assert crd["spec"]["names"]["shortNames"] == ["mro"]
    conditions = {one["type"] for one in crd["status"]["conditions"]}
    assert "NonStructuralSchema" not in conditions


def test_every_field_is_explained(api: Api, installed: Installed) -> None:
    """`kubectl explain` reads the served OpenAPI document."""
    served = eventually(
        lambda: api.call("GET", f"/openapi/v3/apis/{API_VERSION}"), "the document is served"
    )
    schemas = served["components"]["schemas"]
    schema = next(one for name, one in schemas.items() if name.endswith(f".{KIND}"))
    spec = schema["properties"]["spec"]["properties"]
    assert all("description" in one for one in spec.values())
    assert all("description" in one for one in spec["plan"]["properties"].values())


def kubectl(api: Api, *words: str) -> str:
    """What kubectl prints."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl on the PATH: what it would apply is applied by the other tests")
    context = ["--context", api.context] if api.context else []
    command = [program, "--kubeconfig", str(api.kubeconfig), *context, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kubectl_installs_it(api: Api, installed: Installed, namespace: str) -> None:
    """The command of docs/operator.md; the operator's pod is let into its own namespace."""
    built = list(yaml.safe_load_all(kubectl(api, "kustomize", str(MANIFESTS))))
    key = lambda one: (one["kind"], one["metadata"]["name"])  # noqa: E731
    assert sorted(built, key=key) == sorted(manifests(MANIFESTS), key=key)
    try:
        kubectl(api, "apply", "-k", str(MANIFESTS))
        place = ("--namespace", installed.namespace)
        kubectl(api, "rollout", "status", "deployment", installed.account, *place, "--timeout=90s")
        assert "errors" in kubectl(api, "explain", "mro.spec.plan.guards")
        api.apply(resource(namespace))
        header, row = kubectl(api, "get", "mro", "--namespace", namespace).splitlines()
        assert header.split()[:4] == ["NAME", "PHASE", "STABLE", "CANDIDATE"]
        assert row.startswith("churn")
    finally:
        install(api)
    gone = lambda: not api.list("v1", "Pod", installed.namespace)  # noqa: E731
    eventually(gone, "no operator but those of the tests")
    assert api.get(APPS, "Deployment", installed.namespace, installed.account)


MAY = (
    ("get", GROUP, "modelrollouts"),
    ("patch", GROUP, "modelrollouts/status"),
    ("create", "machinelearning.seldon.io", "seldondeployments"),
    ("get", "networking.istio.io", "virtualservices"),
)
MAY_NOT = (
    ("get", "", "secrets"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("delete", "apps", "deployments"),
    ("update", "networking.istio.io", "virtualservices"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("delete", GROUP, "modelrollouts"),
    ("delete", "", "namespaces"),
)


def may(api: Api, installed: Installed, verb: str, group: str, resource: str) -> bool:
    """What the API server's authorizer says about the operator's account."""
    name, _, subresource = resource.partition("/")
    asked = {
        "verb": verb,
        "group": group,
        "resource": name,
        "subresource": subresource,
        "namespace": "default",
    }
    groups = ["system:serviceaccounts", "system:authenticated"]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": installed.user, "groups": groups, "resourceAttributes": asked},
    }
    answer = api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_the_operator_may_do_what_it_needs_and_little_else(api: Api, installed: Installed) -> None:
    assert [one for one in MAY if not may(api, installed, *one)] == []
    assert [one for one in MAY_NOT if may(api, installed, *one)] == []


def test_the_crd_is_upgraded_under_running_rollouts(world: World, api: Api) -> None:
    """From a CRD that lacks a field, a rule and a column to the current one, and on."""
    current = next(one for one in manifests(MANIFESTS) if one["kind"] == "CustomResourceDefinition")
    older = copy.deepcopy(current)
    version = older["spec"]["versions"][0]
    version["additionalPrinterColumns"] = version["additionalPrinterColumns"][:2]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del schema["serving"]["properties"]["autoscaling"]
    schema["serving"].pop("x-kubernetes-validations")
    older["metadata"].pop("resourceVersion", None)
    try:
        replace(api, older)
        model = world.model()
        model.users()
        model.serve_first()
        model.want(2)
        before = model.until("Ramping")
    finally:
        replace(api, current)
    after = model.until("Promoted", stable=2)
    assert after["started"] == before["started"], "the same rollout went on"
    api.merge(model.reference, {"spec": {"serving": {"autoscaling": {"max_replicas": 3}}}})
    assert api.get(API_VERSION, KIND, world.namespace, model.name)["spec"]["serving"][
        "autoscaling"
    ] == {"max_replicas": 3, "cpu": 70}


def replace(api: Api, crd: Json) -> None:
    """Write the CRD whole, as an upgrade does."""
    found = api.get(CRD, "CustomResourceDefinition", None, crd["metadata"]["name"])
    assert found is not None
    meta = {**crd["metadata"], "resourceVersion": found["metadata"]["resourceVersion"]}
    api.call("PUT", api.at(crd), {**crd, "metadata": meta})
