"""What a plan would install in the cluster, as a person reviews it.

A chart's release is written as what Helm would be told (chart, repository, version, values), a
plain object as its YAML. What is known only once AWS has answered says so in its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pocket.engine import Result
from pocket.engine.values import Value, has_secrets, is_unknown

PREFIX = "kubernetes:"
RELEASE = "kubernetes:helm.sh/v3:Release"
DIRECTORY = "kubernetes:kustomize/v2:Directory"
UNKNOWN = "(known once it is applied)"
SECRET = "(secret)"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One thing that would be in the cluster."""

    kind: str
    """``Release``, ``Kustomization`` or the object's kind."""
    name: str
    namespace: str
    source: str
    """The chart's repository or the kustomization's folder; empty for a plain object."""
    version: str
    document: dict[str, Any]
    """What is written for review."""

    @property
    def file(self) -> str:
        """Where it is written, under the folder of the manifests."""
        return f"{self.namespace or '_cluster'}/{self.kind.lower()}-{self.name}.yaml"


def installed(result: Result, project: Path) -> list[Installed]:
    """What a plan would have in the cluster, releases first, each by namespace and name.

    Args:
        result: a preview's result.
        project: the checkout's folder; folders in it are shown without it.
    """
    found = [
        describe(step.type, step.new.inputs, project)
        for step in result.steps
        if step.type.startswith(PREFIX) and step.new is not None and str(step.op) != "delete"
    ]
    first = {"Release": 0, "Kustomization": 1}
    return sorted(found, key=lambda one: (first.get(one.kind, 2), one.namespace, one.file))


def describe(kind: str, inputs: dict[str, Value], project: Path) -> Installed:
    """One resource of a plan."""
    shown = {key: readable(value) for key, value in inputs.items()}
    if kind == RELEASE:
        repository = shown.get("repositoryOpts", {}).get("repo", "")
        return Installed(
            kind="Release",
            name=shown["name"],
            namespace=shown["namespace"],
            source=repository,
            version=shown["version"],
            document={
                "release": shown["name"],
                "namespace": shown["namespace"],
                "chart": shown["chart"],
                "repository": repository,
                "version": shown["version"],
                "values": shown.get("values", {}),
            },
        )
    if kind == DIRECTORY:
        folder = str(shown["directory"]).removeprefix(f"{project}/")
        upstream = bases(project / folder)
        versions = {one.rsplit("?ref=", 1)[1] for one in upstream if "?ref=" in one}
        return Installed(
            kind="Kustomization",
            name=Path(folder).name,
            namespace=shown.get("namespace", ""),
            source=folder,
            version=", ".join(sorted(versions)),
            document={
                "kustomization": folder,
                "namespace": shown.get("namespace", ""),
                "resources": upstream,
            },
        )
    version, name = kind.removeprefix(PREFIX).split(":")
    metadata = shown.get("metadata", {})
    document = {"apiVersion": version.removeprefix("core/"), "kind": name, **shown}
    return Installed(
        kind=name,
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
        source="",
        version=version,
        document=document,
    )


def bases(folder: Path) -> list[str]:
    """What a kustomization is made from."""
    found = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [str(one) for one in found.get("resources", ())]


def readable(value: Value) -> Any:
    """A value without marks."""
    if has_secrets(value):
        return SECRET
    if is_unknown(value):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: readable(inner) for key, inner in value.items()}
    return [readable(inner) for inner in value] if isinstance(value, list) else value


def write(found: list[Installed], folder: Path) -> Iterator[Path]:
    """Write each thing to a file of its own, in place of what was written before."""
    if folder.exists():
        shutil.rmtree(folder)
    for one in found:
        path = folder / one.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(one.document, sort_keys=False, allow_unicode=True))
        yield path


def settings(values: Any, prefix: str = "") -> Iterator[str]:
    """A chart's values as Helm's ``--set`` would name them: ``operator.replicaCount=2``."""
    if isinstance(values, dict) and values:
        for key, inner in sorted(values.items()):
            yield from settings(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(values, list) and values and not isinstance(values[0], dict):
        yield f"{prefix}={{{','.join(str(one) for one in values)}}}"
    else:
        text = str(values).lower() if isinstance(values, bool) else values
        yield f"{prefix}={text}"
