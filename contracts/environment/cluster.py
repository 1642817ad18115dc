"""EKS: the Kubernetes API and its machines."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from contracts.document import Document
from contracts.environment.fields import Arn, Cidr, InstanceType, Name, Section, matching
from contracts.environment.limits import LIMITS, distinct, unreserved, within
from contracts.environment.machines import Machine, machine

PRIVATE: Final = tuple(
    ipaddress.IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
"""Networks from which nobody reaches a public endpoint
(https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html)."""
OWN_LABEL: Final = "millwright/group"
LABEL_KEY: Final = matching(
    r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
    "a label's key such as team or example.com/team",
)
LABEL_VALUE: Final = matching(
    r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
    "a label's value: letters, digits, '-', '_' and '.' between two letters or digits",
)


class Taint(Document):
    """What keeps pods off a node unless they tolerate it."""

    key: str
    """What a toleration names."""
    value: str = "true"
    """What a toleration says of it."""
    effect: Literal["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"] = "NO_SCHEDULE"
    """What happens to pods that do not tolerate it."""

    @model_validator(mode="after")
    def takable(self) -> Self:
        """EKS keeps some prefixes; Kubernetes says what keys and values look like."""
        LABEL_KEY(unreserved(within("taint key", self.key)))
        if within("taint value", self.value):
            LABEL_VALUE(self.value)
        return self


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
    """Labels of the nodes, by which pods choose them."""
    taints: tuple[Taint, ...] = ()
    """What keeps pods off the nodes."""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Sizes in order, and one kind of machine in a group."""
        if not 1 <= len(self.instance_types) <= 20:
            raise ValueError("a group needs 1 to 20 instance types")
        distinct(self.instance_types, "the instance type")
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        machines = {machine(kind) for kind in self.instance_types}
        if len({kind.accelerator for kind in machines}) > 1:
            raise ValueError("a group mixes GPU types and others; make two groups")
        if len(machines) > 1:
            kinds = " and ".join(sorted(str(kind) for kind in machines))
            raise ValueError(f"a group mixes {kinds}; make two groups")
        return self

    @field_validator("labels")
    @classmethod
    def free_labels(cls, value: dict[str, str]) -> dict[str, str]:
        """EKS keeps some prefixes and takes no empty value; the group's name is our label."""
        if OWN_LABEL in value:
            raise ValueError(f"{OWN_LABEL!r} is set already, to the group's name")
        for key, text in value.items():
            unreserved(within("node label key", key))
            within("node label value", text)
            LABEL_KEY(key)
            LABEL_VALUE(text)
        return value

    @field_validator("taints")
    @classmethod
    def few_taints(cls, value: tuple[Taint, ...]) -> tuple[Taint, ...]:
        """EKS takes fifty, each key and effect once."""
        limit = LIMITS["taints"]
        if not limit.holds(len(value)):
            raise ValueError(f"EKS takes {limit.most} taints, not {len(value)}")
        distinct((f"{taint.key}={taint.effect}" for taint in value), "the taint")
        return value

    @property
    def machine(self) -> Machine:
        """What its nodes are, all of them."""
        return machine(self.instance_types[0])


def system_nodes() -> dict[str, NodeGroup]:
    """One small group, on which everything runs until the table says otherwise."""
    return {"system": NodeGroup(instance_types=("m7i.large",), min=2, max=4)}


GroupName = Annotated[Name, AfterValidator(matching(r".{1,36}", "a name of at most 36 characters"))]
"""With ours and the environment's name in front, EKS takes 63 characters of a node group's."""


class ClusterSettings(Section):
    """EKS."""

    version: Annotated[
        str, AfterValidator(matching(r"1\.(2[89]|[34]\d)", "a Kubernetes version such as 1.35"))
    ] = "1.35"
    """The Kubernetes version. `millwright doctor` says until when EKS supports it."""
    public_access: tuple[Cidr, ...] = ()
    """Networks from which the Kubernetes API is reached; none: from inside the VPC only."""
    node_groups: dict[GroupName, NodeGroup] = Field(default_factory=system_nodes, min_length=1)
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
        limit = LIMITS["networks of the public endpoint"]
        if not limit.holds(len(value)):
            raise ValueError(f"EKS takes {limit.most} networks, not {len(value)}")
        if any(ipaddress.IPv4Network(network).prefixlen < 8 for network in value):
            raise ValueError("open to the whole internet; name the networks that need it")
        for network in value:
            if any(ipaddress.IPv4Network(network).overlaps(private) for private in PRIVATE):
                raise ValueError(f"{network} is private, and EKS takes public networks here")
        return value

    @model_validator(mode="after")
    def let_in_once(self) -> Self:
        """EKS has one entry for a principal, and we name it by the last part of its ARN."""
        principals = (*self.admins, *self.viewers)
        distinct(principals, "the principal")
        for people in (self.admins, self.viewers):
            distinct((arn.rsplit("/", 1)[1] for arn in people), "the principal's name")
        if policies := [arn for arn in principals if ":policy/" in arn]:
            raise ValueError(f"{policies[0]!r} is a policy; name roles and users")
        return self

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
