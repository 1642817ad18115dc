"""What Seldon Core 1.17.1 makes of a SeldonDeployment: documents from a document.

Names, labels and the rest follow operator/controllers/seldondeployment_controller.go and
operator/apis/machinelearning.seldon.io/v1 of SeldonIO/seldon-core, tag v1.17.1 (Apache 2.0).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable

from tests.cluster.api import Json

SELDON = "machinelearning.seldon.io/v1"
ISTIO = "networking.istio.io/v1alpha3"
APPS = "apps/v1"
SCALING = "autoscaling/v2"
HTTP, GRPC, METRICS = 9000, 9500, 6000
"""The ports that the first container of a graph gets where it names none."""
PODINFO = "seldon-podinfo"
CUSTOM_NAME = "seldon.io/svc-name"


def defaulted(stored: Json) -> Json:
    """The document with what Seldon fills in before it begins; it is not written back."""
    deployment = copy.deepcopy(stored)
    metrics = METRICS
    for one in deployment["spec"]["predictors"]:
        one.setdefault("labels", {}).setdefault("version", one["name"])
        container = _pod(one)["containers"][0]
        ports = container.setdefault("ports", [])
        if "metrics" not in {port.get("name") for port in ports}:
            ports.append({"name": "metrics", "containerPort": metrics, "protocol": "TCP"})
            metrics += 1
        mount = {"name": PODINFO, "mountPath": "/etc/podinfo"}
        container.setdefault("volumeMounts", []).append(mount)
    return deployment


def predictor_key(deployment: Json, predictor: Json) -> str:
    """The name of a predictor's Service."""
    custom = predictor.get("annotations", {}).get(CUSTOM_NAME)
    return custom or _name(f"{deployment['metadata']['name']}-{predictor['name']}")


def host(deployment: Json, predictor: Json) -> str:
    """Where the predictor's Service answers in the cluster."""
    namespace = deployment["metadata"]["namespace"]
    return f"{predictor_key(deployment, predictor)}.{namespace}.svc.cluster.local"


def deployment_name(deployment: Json, predictor: Json) -> str:
    """The name of a predictor's Deployment: by its place and its containers."""
    containers = _pod(predictor)["containers"]
    names = "-".join(one["name"] for one in containers)
    return _name(f"{deployment['metadata']['name']}-{predictor['name']}-0-{names}")


def _name(name: str) -> str:
    """Kubernetes takes 63 characters."""
    return name if len(name) <= 63 else f"seldon-{hashlib.md5(name.encode()).hexdigest()}"


def _pod(predictor: Json) -> Json:
    spec: Json = predictor["componentSpecs"][0]["spec"]
    return spec


def _labels(deployment: Json, predictor: Json) -> tuple[dict[str, str], dict[str, str]]:
    """The labels a Deployment selects by, and all that its pods have."""
    key = predictor_key(deployment, predictor)
    container = _pod(predictor)["containers"][0]["name"]
    service = _name(f"{deployment['metadata']['name']}-{predictor['name']}-{container}")
    selector = {
        "seldon-deployment-id": deployment["metadata"]["name"],
        "seldon-app": key,
        f"seldon-app-svc-{container}": service,
    }
    more = {
        "app": deployment_name(deployment, predictor),
        "fluentd": "true",
        "app.kubernetes.io/managed-by": "seldon-core",
        "seldon.io/model": "true",
        **({"seldon.io/shadow": "true"} if predictor.get("shadow") else {}),
        **predictor["labels"],
    }
    return selector, {**selector, **more}


def _meta(
    deployment: Json,
    name: str,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Json:
    return {
        "name": name,
        "namespace": deployment["metadata"]["namespace"],
        "labels": labels or {},
        "annotations": annotations or {},
        "ownerReferences": [
            {
                "apiVersion": SELDON,
                "kind": "SeldonDeployment",
                "name": deployment["metadata"]["name"],
                "uid": deployment["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def apps_deployment(deployment: Json, predictor: Json) -> Json:
    selector, labels = _labels(deployment, predictor)
    annotations = {
        "prometheus.io/path": "/prometheus",
        "prometheus.io/scrape": "true",
        **predictor.get("annotations", {}),
    }
    component = predictor["componentSpecs"][0]
    replicas = component.get("replicas", predictor.get("replicas"))
    # Meant to be 10%, but written as a number, which has no percent: none may be away.
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
    spec: Json = {
        "selector": {"matchLabels": selector},
        "strategy": strategy,
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": _whole_pod(deployment, predictor),
        },
    }
    if replicas is not None and "hpaSpec" not in component:
        spec["replicas"] = replicas
    if "progressDeadlineSeconds" in predictor:
        spec["progressDeadlineSeconds"] = predictor["progressDeadlineSeconds"]
    own = predictor.get("annotations")
    meta = _meta(deployment, deployment_name(deployment, predictor), labels, own)
    return {"apiVersion": APPS, "kind": "Deployment", "metadata": meta, "spec": spec}


def _whole_pod(deployment: Json, predictor: Json) -> Json:
    """The pod that was asked for, and what Seldon puts into it."""
    pod = copy.deepcopy(_pod(predictor))
    pod.setdefault("terminationGracePeriodSeconds", 20)
    fields = [{"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]
    pod.setdefault("volumes", []).append({"name": PODINFO, "downwardAPI": {"items": fields}})
    container = pod["containers"][0]
    container.setdefault("imagePullPolicy", "IfNotPresent")
    _add_ports(container)
    for probe, delay in (("livenessProbe", 60), ("readinessProbe", 20)):
        container.setdefault(probe, {"tcpSocket": {"port": HTTP}, "initialDelaySeconds": delay})
    pause = {"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 10"]}}
    container.setdefault("lifecycle", {"preStop": pause})
    variables = _variables(deployment, predictor, container)
    container.setdefault("env", []).extend(
        {"name": name, "value": value} for name, value in variables.items()
    )
    if uri := predictor["graph"].get("modelUri"):
        _fetch(pod, container, uri)
    return pod


def _add_ports(container: Json) -> None:
    named = {port.get("name") for port in container["ports"]}
    container["ports"] += [
        {"name": name, "containerPort": port, "protocol": "TCP"}
        for name, port in (("http", HTTP), ("grpc", GRPC))
        if name not in named
    ]


def _variables(deployment: Json, predictor: Json, container: Json) -> dict[str, str]:
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    parameters = predictor["graph"].get("parameters", [])
    return {
        "PREDICTIVE_UNIT_SERVICE_PORT": ports["http"],
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": ports["http"],
        "MLSERVER_HTTP_PORT": ports["http"],
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": ports["grpc"],
        "MLSERVER_GRPC_PORT": ports["grpc"],
        **({"PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters)} if parameters else {}),
        "PREDICTIVE_UNIT_ID": container["name"],
        "MLSERVER_MODEL_NAME": container["name"],
        "PREDICTIVE_UNIT_IMAGE": container["image"],
        "PREDICTOR_ID": predictor["name"],
        "PREDICTOR_LABELS": json.dumps(predictor["labels"], sort_keys=True),
        "SELDON_DEPLOYMENT_ID": deployment["metadata"]["name"],
        "SELDON_EXECUTOR_ENABLED": "true",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": ports["metrics"],
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_METRICS_PORT": ports["metrics"],
        "MLSERVER_METRICS_ENDPOINT": "/prometheus",
    }


def _fetch(pod: Json, container: Json, uri: str) -> None:
    """The container that brings a `modelUri` into a volume, as the chart configures it."""
    volume = f"{container['name']}-provision-location"
    mount = {"name": volume, "mountPath": "/mnt/models"}
    pod["volumes"].append({"name": volume, "emptyDir": {}})
    container["volumeMounts"].append({**mount, "readOnly": True})
    pod.setdefault("initContainers", []).append(
        {
            "name": f"{container['name']}-model-initializer",
            "image": "seldonio/rclone-storage-initializer:1.17.1",
            "args": [uri, "/mnt/models"],
            "volumeMounts": [mount],
            "resources": {
                "limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "100m", "memory": "100Mi"},
            },
        }
    )


def scalers(deployment: Json) -> Iterable[Json]:
    """A HorizontalPodAutoscaler of the same name for each Deployment that asks for one."""
    for one in deployment["spec"]["predictors"]:
        asked = one["componentSpecs"][0].get("hpaSpec")
        if asked:
            name = deployment_name(deployment, one)
            labels = {"seldon-deployment-id": deployment["metadata"]["name"]}
            target = {"apiVersion": APPS, "kind": "Deployment", "name": name}
            spec = {"scaleTargetRef": target, "maxReplicas": asked["maxReplicas"]}
            if "minReplicas" in asked:
                spec["minReplicas"] = asked["minReplicas"]
            yield {
                "apiVersion": SCALING,
                "kind": "HorizontalPodAutoscaler",
                "metadata": _meta(deployment, name, labels),
                "spec": {**spec, "metrics": asked.get("metricsv2", [])},
            }


def services_of(deployment: Json) -> Iterable[Json]:
    """A predictor's Service, which traffic goes to, and its container's own."""
    for one in deployment["spec"]["predictors"]:
        selector, _ = _labels(deployment, one)
        key = predictor_key(deployment, one)
        for label, name in selector.items():
            if label != "seldon-deployment-id":
                labels = {
                    "seldon-deployment-id": deployment["metadata"]["name"],
                    "seldon-app": key,
                    "app.kubernetes.io/managed-by": "seldon-core",
                    "seldon.io/model": "true",
                    **({"seldon.io/shadow": "true"} if one.get("shadow") else {}),
                    label: name,
                }
                yield {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": _meta(deployment, name, labels, one.get("annotations")),
                    "spec": {
                        "selector": {label: name},
                        "ports": [
                            {"name": "http", "port": HTTP, "targetPort": HTTP},
                            {"name": "grpc", "port": GRPC, "targetPort": GRPC},
                        ],
                    },
                }


def virtual_service(deployment: Json) -> Json:
    """The routes with the weights; a shadow is a mirror, not a route."""
    meta = deployment["metadata"]
    predictors = deployment["spec"]["predictors"]
    prefix = f"/seldon/{meta['namespace']}/{meta['name']}/"
    headers = {
        "seldon": {"exact": meta["name"]},
        "namespace": {"exact": meta["namespace"]},
    }
    rest: Json = {"match": [{"uri": {"prefix": prefix}}], "rewrite": {"uri": "/"}}
    grpc: Json = {"match": [{"uri": {"regex": r".*tensorflow.*|.*seldon.protos.*|.*inference.*"}}]}
    grpc["match"][0]["headers"] = headers
    http = []
    for route, port in ((rest, HTTP), (grpc, GRPC)):
        live = [_destination(deployment, one, port) for one in predictors if not one.get("shadow")]
        shadow = [one for one in predictors if one.get("shadow")]
        whole: Json = {**route, "route": live}
        for one in shadow:
            whole["mirror"] = _destination(deployment, one, port)["destination"]
        http.append(whole)
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": _meta(deployment, _name(meta["name"])),
        "spec": {
            "hosts": ["*"],
            "gateways": ["istio-system/seldon-gateway"],
            "http": http,
        },
    }


def _destination(deployment: Json, predictor: Json, port: int) -> Json:
    destination = {
        "host": host(deployment, predictor),
        "subset": predictor["name"],
        "port": {"number": port},
    }
    weight = predictor.get("traffic", 0)
    # As in Istio's own JSON, a weight of zero is left out.
    return {"destination": destination, **({"weight": weight} if weight else {})}


def destination_rule(deployment: Json, predictor: Json) -> Json:
    version = predictor["labels"]["version"]
    subset = {"name": predictor["name"], "labels": {"version": version}}
    idle = {"connectionPool": {"http": {"idleTimeout": "60s"}}}
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": _meta(deployment, predictor_key(deployment, predictor)),
        "spec": {
            "host": host(deployment, predictor),
            "subsets": [subset],
            "trafficPolicy": idle,
        },
    }
