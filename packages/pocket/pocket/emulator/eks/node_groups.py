"""Node groups: what EKS refuses of their sizes, labels and taints, which moto takes.

Source: https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moto.eks.models import EKSBackend

from pocket.emulator.core.patching import replace
from pocket.emulator.eks.kinds import refusal

MOST_TAINTS: Final = 50
RESERVED: Final = ("kubernetes.io", "k8s.io", "eks.amazonaws.com")


def follow_node_groups() -> None:
    """A group's size lies between its bounds, and its labels and taints are a person's own."""

    @replace(EKSBackend, "create_nodegroup")
    def create(original: Callable[..., Any], backend: EKSBackend, **asked: Any) -> Any:
        _refuse_sizes(asked.get("scaling_config") or {})
        _refuse_marks(asked.get("labels") or {}, asked.get("taints") or [])
        return original(backend, **asked)

    @replace(EKSBackend, "update_nodegroup_config")
    def update(
        original: Callable[..., Any],
        backend: EKSBackend,
        cluster_name: str,
        nodegroup_name: str,
        **asked: Any,
    ) -> Any:
        if sizes := asked.get("scaling_config"):
            group = backend.describe_nodegroup(cluster_name, nodegroup_name)
            _refuse_sizes({**group.scaling_config, **sizes})
        labels, taints = asked.get("labels") or {}, asked.get("taints") or {}
        _refuse_marks(labels.get("addOrUpdateLabels") or {}, taints.get("addOrUpdateTaints") or [])
        return original(backend, cluster_name, nodegroup_name, **asked)


def _refuse_sizes(sizes: Mapping[str, int]) -> None:
    least, most, desired = (sizes.get(key) for key in ("minSize", "maxSize", "desiredSize"))
    if most is not None and most < 1:
        raise refusal(f"maxSize {most} must be at least 1")
    if least is not None and most is not None and least > most:
        raise refusal(f"Minimum capacity {least} can't be greater than maximum size {most}")
    if least is not None and desired is not None and least > desired:
        raise refusal(f"Minimum capacity {least} can't be greater than desired size {desired}")
    if desired is not None and most is not None and desired > most:
        raise refusal(f"desired capacity {desired} can't be greater than max size {most}")


def _refuse_marks(labels: Mapping[str, str], taints: Sequence[Mapping[str, str]]) -> None:
    for what, key in (
        *(("Labels", key) for key in labels),
        *(("Taints", taint["key"]) for taint in taints),
    ):
        domain, slash, _ = key.rpartition("/")
        for reserved in RESERVED:
            if slash and f".{domain}".endswith(f".{reserved}"):
                raise refusal(f"{what} cannot contain the reserved prefix {reserved}/: {key}")
    if len(taints) > MOST_TAINTS:
        raise refusal(f"A node group has at most {MOST_TAINTS} taints, not {len(taints)}")
    pairs = [(taint["key"], taint.get("effect")) for taint in taints]
    if len(set(pairs)) < len(pairs):
        raise refusal("Taints cannot have the same key and effect twice")
