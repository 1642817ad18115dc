"""Millwright's operator and its definition of a rollout, from ``manifests/operator``.

The files are the operator's own; here they are only installed, each object as what it is, with the
images from the environment's registry. The namespace is not taken from them: it has its labels,
quota and policies from the table of namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from contracts.errors import InfrastructureError
from infra.on_cluster.monitoring import Monitoring
from infra.on_cluster.part import Part, Site
from infra.on_cluster.seldon import Seldon
from infra.registry import Registry

MANIFESTS: Final = Path(__file__).resolve().parents[2] / "manifests" / "operator"
NAMESPACE: Final = "millwright"
DEFINITION: Final = "CustomResourceDefinition"
# PyYAML without libyaml takes a second for the definition's schema.
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
IMAGES: Final = re.compile(r"millwright/(operator|runtime):[\w.-]+")
"""Our images as the files name them: the repository, which the environment has one for."""

CONNECTED: Final = {
    "monitoring": ("MILLWRIGHT_PROMETHEUS", "http://prometheus-operated.monitoring:9090"),
    "mlflow": ("MLFLOW_TRACKING_URI", "http://mlflow.mlflow"),
}
"""The operator's setting for each component that it speaks to, and where that is here."""

ORIGINS: Final = "MILLWRIGHT_ORIGINS"
"""The operator's setting of the origins whose pages may ask the model servers."""

Images = Mapping[str, pulumi.Input[str]]
"""Repository name to an image there, with its version."""


class Operator(Part):
    """The definition first, then everything else."""

    part = "operator"
    component = "operator"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        images = site.platform[Registry].images()
        after = site.ready(Seldon, Monitoring)
        documents = list(objects(MANIFESTS))
        definitions = [
            self._object(document, images, after)
            for document in documents
            if document["kind"] == DEFINITION
        ]
        for document in documents:
            if document["kind"] != DEFINITION:
                self._object(document, images, [*after, *definitions])
        self.register_outputs({})

    def _object(
        self, document: dict[str, Any], images: Images, after: list[pulumi.Resource]
    ) -> pulumi.Resource:
        if document["kind"] == "ConfigMap":
            here = [CONNECTED[part] for part in CONNECTED if self.site.wants(part)]
            if origins := self.site.environment.on_cluster.origins:
                here.append((ORIGINS, " ".join(origins)))
            document = {**document, "data": {**document["data"], **dict(here)}}
        name = f"{document['kind']}-{document['metadata']['name']}".lower()
        metadata = document["metadata"]
        labels = {**self.labels(), **metadata.get("labels", {})}
        properties = {**document, "metadata": {**metadata, "labels": labels}}
        return pulumi.CustomResource(
            token(document["apiVersion"], document["kind"]),
            re.sub(r"[^a-z0-9-]+", "-", name),
            with_images(properties, images),
            self.child(*after, namespace=metadata.get("namespace", "")),
        )


def objects(folder: Path) -> Iterator[dict[str, Any]]:
    """Every object of a folder's YAML files, but namespaces.

    Raises:
        InfrastructureError: a document is not a Kubernetes object.
    """
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.load_all(file.read_text(), Loader=LOADER):
            if document is None or document.get("kind") in ("Namespace", "Kustomization"):
                continue
            if not document.get("apiVersion") or not document.get("metadata", {}).get("name"):
                raise InfrastructureError(
                    "a Kubernetes object has an apiVersion, a kind and a metadata.name",
                    where=str(file),
                )
            yield document


def token(api_version: str, kind: str) -> str:
    """Pulumi's type of an object: ``kubernetes:apps/v1:Deployment``, with ``core`` written out."""
    return f"kubernetes:{api_version if '/' in api_version else f'core/{api_version}'}:{kind}"


def with_images(value: Any, images: Images) -> Any:
    """A document whose images of ours come from the environment's registry."""
    if isinstance(value, Mapping):
        return {key: with_images(inner, images) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_images(inner, images) for inner in value]
    named = IMAGES.fullmatch(value) if isinstance(value, str) else None
    return images[named[1]] if named else value
