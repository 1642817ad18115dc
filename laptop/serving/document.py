"""Reads the part of a SeldonDeployment that decides what runs.

The laptop takes the same document as the cluster, so it reads what Seldon reads and no more:
unknown keys belong to Kubernetes and are let through, but what decides traffic is checked, because
Seldon's own webhook lets weights of 150 and -50 pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from contracts.document import Document
from contracts.rollout import WHOLE
from serving.rollout.seldon.document import ARTIFACT, WEIGHTS

SLOW_OVER = "slow_over"
"""Graph parameter: the latency limit, such as 50ms; what takes longer is counted as slow."""
_OWN = (
    *("--artifact", "--host", "--port", "--also-port", "--name", "--predictor", "--slow-over"),
    "--grace",
)
"""Arguments of a server that are read elsewhere in the document, or are another machine's."""

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A Kubernetes label: no dots, which separate the parts of our process names."""


class _Part(Document):
    """A part of a Kubernetes object: keys that are not ours are none of our business."""

    model_config = ConfigDict(extra="ignore")


class GraphParameter(_Part):
    """One of Seldon's parameters of a model."""

    name: str
    value: str


class Graph(_Part):
    """The model; of Seldon's graphs only a single one is taken."""

    name: str
    model_uri: str = Field(default="", alias="modelUri")
    parameters: tuple[GraphParameter, ...] = ()
    children: tuple[dict[str, Any], ...] = Field(default=(), max_length=0)

    @property
    def settings(self) -> dict[str, str]:
        """The parameters by name."""
        return {parameter.name: parameter.value for parameter in self.parameters}

    @property
    def artifact(self) -> str:
        """Where the artifact is."""
        return self.settings.get(ARTIFACT) or self.model_uri

    @model_validator(mode="after")
    def artifact_is_named(self) -> Self:
        """There is something to serve."""
        if not self.artifact:
            raise ValueError(f"name the artifact in the parameter {ARTIFACT!r} or in modelUri")
        return self


class Variable(_Part):
    """An environment variable; one taken from a Secret has no value here and is left out."""

    name: str
    value: str | None = None


class Container(_Part):
    """The model server's container."""

    name: str = ""
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()


class PodSpec(_Part):
    """The pod's containers."""

    containers: tuple[Container, ...] = ()


class ComponentSpec(_Part):
    """Seldon's wrapper around a pod's spec."""

    spec: PodSpec = PodSpec()


class PredictorSpec(_Part):
    """One version: a predictor."""

    name: Label
    graph: Graph
    replicas: int | None = Field(default=None, ge=0)
    traffic: int | None = Field(default=None, ge=0, le=100)
    shadow: bool = False
    component_specs: tuple[ComponentSpec, ...] = Field(default=(), alias="componentSpecs")


class Metadata(_Part):
    """Kubernetes' metadata."""

    name: Label
    namespace: Label = "default"
    annotations: dict[str, str] = Field(default_factory=dict)


class DeploymentSpec(_Part):
    """Seldon's spec."""

    protocol: Literal["v2"]
    replicas: int = Field(default=1, ge=0)
    predictors: tuple[PredictorSpec, ...] = Field(min_length=1)


class SeldonDeployment(_Part):
    """A SeldonDeployment, as far as it decides what runs."""

    api_version: Literal["machinelearning.seldon.io/v1"] = Field(alias="apiVersion")
    kind: Literal["SeldonDeployment"]
    metadata: Metadata
    spec: DeploymentSpec

    @model_validator(mode="after")
    def weights_are_whole(self) -> Self:
        """Predictors are named once; their weights are all of the traffic."""
        names = [predictor.name for predictor in self.spec.predictors]
        if len(set(names)) < len(names):
            raise ValueError(f"predictors are named twice in {', '.join(names)}")
        weights = self.weights()
        strangers = weights.keys() - set(names)
        if strangers:
            raise ValueError(f"{WEIGHTS} names {sorted(strangers)[0]!r}, which is no predictor")
        if sum(weights.values()) != WHOLE or min(weights.values()) < 0:
            given = ", ".join(f"{name} {weight / 100:g} %" for name, weight in weights.items())
            raise ValueError(f"the predictors' traffic must add up to 100 %; it is {given}")
        return self

    def weights(self) -> dict[str, int]:
        """PredictorPlan → weight in 1/10000; a shadow has none, it gets copies."""
        serving = [predictor for predictor in self.spec.predictors if not predictor.shadow]
        written = self.metadata.annotations.get(WEIGHTS)
        if written is not None:
            return _parse_weights(written)
        if len(serving) == 1 and serving[0].traffic is None:
            return {serving[0].name: WHOLE}
        return {predictor.name: 100 * (predictor.traffic or 0) for predictor in serving}


def _parse_weights(text: str) -> dict[str, int]:
    try:
        weights = json.loads(text)
    except ValueError:
        weights = None
    if not isinstance(weights, dict) or not all(type(value) is int for value in weights.values()):
        raise ValueError(f'{WEIGHTS} is {text!r}; write a JSON object such as {{"v1": 10000}}')
    return weights


@dataclass(frozen=True, kw_only=True)
class PredictorPlan:
    """What is to run for one version.

    Args:
        name: the predictor's name.
        artifact: its artifact's URI; absolute.
        model: the name in the V2 paths.
        replicas: how many servers.
        weight: its share of the traffic in 1/10000.
        shadow: gets a copy of each request, and answers nobody.
        slow_over: the latency limit, such as ``50ms``.
        env: environment variables of the server.
        options: further arguments of the server.
    """

    name: str
    artifact: str
    model: str
    replicas: int
    weight: int
    shadow: bool
    slow_over: str
    env: tuple[tuple[str, str], ...]
    options: tuple[str, ...] = ()

    @property
    def generation(self) -> str:
        """Names what its servers run; another one means other servers."""
        runs = [self.artifact, self.model, self.slow_over, self.env]
        text = json.dumps([*runs, self.options] if self.options else runs)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, kw_only=True)
class ServingPlan:
    """What is to run for one model."""

    name: str
    namespace: str
    predictors: tuple[PredictorPlan, ...]


def read_deployment(document: object) -> ServingPlan:
    """What a SeldonDeployment asks for.

    Raises:
        DocumentError: it is not one, or it cannot be served as it says.
    """
    seldon = SeldonDeployment.parse(document, where="SeldonDeployment")
    weights = seldon.weights()
    return ServingPlan(
        name=seldon.metadata.name,
        namespace=seldon.metadata.namespace,
        predictors=tuple(
            _predictor(spec, weights.get(spec.name, 0), seldon.spec.replicas)
            for spec in seldon.spec.predictors
        ),
    )


def _predictor(spec: PredictorSpec, weight: int, replicas: int) -> PredictorPlan:
    containers = [own for component in spec.component_specs for own in component.spec.containers]
    env = {
        variable.name: variable.value
        for container in containers
        for variable in container.env
        if variable.value is not None
    }
    return PredictorPlan(
        name=spec.name,
        artifact=_absolute(spec.graph.artifact),
        model=spec.graph.name,
        replicas=replicas if spec.replicas is None else spec.replicas,
        weight=weight,
        shadow=spec.shadow,
        slow_over=spec.graph.settings.get(SLOW_OVER, "50ms"),
        env=tuple(sorted(env.items())),
        options=tuple(
            word
            for container in containers
            if container.name == spec.graph.name
            for word in _options(container.args)
        ),
    )


def _options(arguments: Sequence[str]) -> Iterator[str]:
    """A server's arguments that are neither elsewhere in the document nor another machine's."""
    for name, value in zip(arguments[::2], arguments[1::2], strict=False):
        if name not in _OWN:
            yield from (name, value)


def _absolute(uri: str) -> str:
    return uri if "://" in uri else str(Path(uri).resolve())
