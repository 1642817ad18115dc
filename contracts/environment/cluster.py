"""EKS: the Kubernetes API and its machines."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from contracts.document import Document
from contracts.environment.fields import Arn, Cidr, InstanceType, Name, Section, matching


class Taint(Document):
    """What keeps pods off a node unless they tolerate it."""

    key: str
    value: str = "true"
    effect: Literal["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"] = "NO_SCHEDULE"


GPU_FAMILIES: Final = ("g4", "g5", "g6", "p3", "p4", "p5", "p6")


class NodeGroup(Document):
    """Machines of one kind in the cluster."""

    instance_types: tuple[InstanceType, ...]
    """Types of the same size, in order of preference."""
    min: int = Field(default=0, ge=0, le=450)
    """Fewest nodes."""
    max: int = Field(default=3, ge=1, le=450)
    """Most nodes."""
    spot: bool = False
    """Whether to take spare capacity that AWS may take back at two minutes' notice."""
    disk: int = Field(default=50, ge=20, le=16384)
    """The nodes' disks, in GiB."""
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Sizes in order, and one kind of machine in a group."""
        if not 1 <= len(self.instance_types) <= 20:
            raise ValueError("a group needs 1 to 20 instance types")
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        if len({self.is_gpu(kind) for kind in self.instance_types}) > 1:
            raise ValueError("a group mixes GPU types and others; make two groups")
        return self

    @property
    def gpu(self) -> bool:
        """Whether the nodes need the image with NVIDIA's drivers."""
        return self.is_gpu(self.instance_types[0])

    @staticmethod
    def is_gpu(instance_type: str) -> bool:
        """Whether an instance type has NVIDIA GPUs."""
        return instance_type.startswith(GPU_FAMILIES)


def system_nodes() -> dict[str, NodeGroup]:
    """One small group, on which everything runs until the table says otherwise."""
    return {"system": NodeGroup(instance_types=("m7i.large",), min=2, max=4)}


class ClusterSettings(Section):
    """EKS."""

    version: Annotated[
        str, AfterValidator(matching(r"1\.(2[89]|[34]\d)", "a Kubernetes version such as 1.35"))
    ] = "1.35"
    """The Kubernetes version. `millwright doctor` says until when EKS supports it."""
    public_access: tuple[Cidr, ...] = ()
    """Networks from which the Kubernetes API is reached; none: from inside the VPC only."""
    node_groups: dict[Name, NodeGroup] = Field(default_factory=system_nodes, min_length=1)
    """Machines by group."""
    admins: tuple[Arn, ...] = ()
    """IAM roles and users that administer the cluster."""
    viewers: tuple[Arn, ...] = ()
    """IAM roles and users that may look."""
    addons: bool = True
    """Whether EKS keeps the cluster's network, DNS, storage and identity agents current."""
    pod_identity: bool = True
    """Whether workloads' service accounts are given their roles."""
    hardened_nodes: bool = True
    """Whether nodes refuse pods the instance's metadata, on disks encrypted with our key."""

    @field_validator("public_access")
    @classmethod
    def not_everyone(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """An API open to the world is one stolen token away from being everyone's."""
        if any(ipaddress.IPv4Network(network).prefixlen < 8 for network in value):
            raise ValueError("open to the whole internet; name the networks that need it")
        return value

    @field_validator("node_groups")
    @classmethod
    def somewhere_to_run(cls, value: dict[str, NodeGroup]) -> dict[str, NodeGroup]:
        """CoreDNS and the controllers tolerate no taints."""
        if not any(group.min and not group.taints for group in value.values()):
            raise ValueError(
                "no group without taints has a min of 1 or more: the system pods could not run"
            )
        return value


class ClusterOutputs(Document):
    """Kubernetes."""

    name: str
    endpoint: str
    oidc_issuer: str = ""
