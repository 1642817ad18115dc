"""Node groups: what EKS refuses of their sizes, which moto takes.

Source: https://docs.aws.amazon.com/eks/latest/APIReference/API_NodegroupScalingConfig.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.eks.models import EKSBackend

from pocket.emulator.core.patching import replace
from pocket.emulator.eks.kinds import refusal


def follow_node_groups() -> None:
    """A group's size lies between its bounds, whatever of the three is given."""

    @replace(EKSBackend, "create_nodegroup")
    def create(original: Callable[..., Any], backend: EKSBackend, **asked: Any) -> Any:
        _refuse_sizes(asked.get("scaling_config") or {})
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
