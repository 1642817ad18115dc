"""What is installed in the cluster, and how what runs there is reached."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.document import Document
from contracts.environment.fields import DAY, Cidr, Days, Section, TierDefaults, matching, one_of

COMPONENTS: Final = (
    *("pipelines", "seldon", "operator", "monitoring"),
    *("keda", "spark", "mlflow", "feature_server", "autoscaler"),
)
"""What can be installed in the cluster, beside what everything there needs: namespaces, Istio,
cert-manager and External Secrets."""
WORKING_NAMESPACES: Final = ("kubeflow", "training", "serving", "features", "mlflow", "spark")
"""Namespaces where people's work runs, and so may be given a quota."""


HOST: Final = (
    r"(?=.{1,253}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
"""A DNS name, of one label or more (RFC 1035), with a wildcard in front perhaps."""


ORIGIN: Final = r"\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?"
"""A web page's origin as browsers write it (RFC 6454, 6.2)."""


class NamespaceQuota(Document):
    """The most that a namespace's pods may ask for together."""

    cpu: int = Field(ge=1, le=10_000)
    """Cores."""
    memory: int = Field(ge=1, le=100_000)
    """Memory, in GiB."""
    pods: int = Field(default=100, ge=1, le=10_000)
    """Pods."""
    gpus: int = Field(default=0, ge=0, le=1000)
    """NVIDIA GPUs."""


class OnClusterSettings(Section):
    """What is installed in the cluster."""

    tiers: ClassVar[TierDefaults] = {
        "local": {"enabled": False},
        "prod": {"replicas": 2, "metrics_kept": "30d", "metrics_disk": 200},
    }

    enabled: bool = True
    """Whether anything is installed; off where there is no Kubernetes API to reach."""
    components: tuple[Annotated[str, AfterValidator(one_of(COMPONENTS, "component"))], ...] = (
        COMPONENTS
    )
    """What is installed, beside what everything needs."""
    replicas: int = Field(default=1, ge=1, le=5)
    """How many of each controller run."""
    host: Annotated[str, AfterValidator(matching(HOST, "a host name such as ml.example.com"))] = (
        "*.millwright.internal"
    )
    """The name that clients call the models by; the gateway's certificate is made out to it."""
    load_balancer: Literal["internal", "internet"] = "internal"
    """From where the gateway's load balancer is reached."""
    load_balancer_networks: tuple[Cidr, ...] = ()
    """Networks that reach the load balancer; none: only the VPC's."""
    origins: tuple[
        Annotated[
            str, AfterValidator(matching(ORIGIN, "an origin such as https://app.example.com"))
        ],
        ...,
    ] = ()
    """Origins whose web pages may ask the models; `*` for all, none for no page. A POST of any
    other page is refused (403)."""
    metrics_kept: Days = 15 * DAY
    """How long Prometheus keeps metrics."""
    metrics_disk: int = Field(default=50, ge=10, le=16_384)
    """Prometheus's disk, in GiB."""
    quotas: dict[
        Annotated[str, AfterValidator(one_of(WORKING_NAMESPACES, "namespace with a quota"))],
        NamespaceQuota,
    ] = Field(
        default_factory=lambda: {
            "kubeflow": NamespaceQuota(cpu=64, memory=256, pods=300),
            "training": NamespaceQuota(cpu=128, memory=512, gpus=8),
            "serving": NamespaceQuota(cpu=64, memory=256, gpus=8),
            "spark": NamespaceQuota(cpu=128, memory=512, pods=300),
        }
    )
    """The most that each namespace's pods may ask for."""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """The operator steers Seldon's deployments; the internet is many networks."""
        if len(set(self.components)) != len(self.components):
            raise ValueError("a component is named twice")
        if "operator" in self.components and "seldon" not in self.components:
            raise ValueError("the operator moves the weights of Seldon's deployments: add seldon")
        if self.load_balancer == "internet" and not self.load_balancer_networks:
            raise ValueError("name in load_balancer_networks who may reach it from the internet")
        return self


class ServiceOutputs(Document):
    """A service of the environment, and the ways to reach it.

    At least one way is there: an address that answers from outside, or a Kubernetes service, which
    a command reaches through a port-forward that it opens and closes itself.
    """

    url: str = ""
    """Where it answers directly, without a trailing slash; empty where only the cluster has an
    address for it."""
    namespace: str = ""
    service: str = ""
    """The Kubernetes service's name."""
    port: int = 0
    """The Kubernetes service's port, where it speaks HTTP; 0 outside a cluster."""
