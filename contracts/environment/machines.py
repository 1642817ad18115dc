"""What kind of machine an EC2 instance type is, by its name, and so which image a node of it needs.

The name says it: a family is a series, a generation and options, where the option ``g`` is a
Graviton processor (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Architecture = Literal["x86_64", "arm64"]
Accelerator = Literal["none", "nvidia", "neuron"]

FAMILY: Final = re.compile(r"(?P<series>[a-z]+?)(-?\d+)(?P<options>[a-z]*)(?P<chip>-[a-z0-9]+)?")
NVIDIA: Final = ("g", "gr", "p")
"""Series with NVIDIA GPUs, but for those of the next line."""
OTHER_GPUS: Final = ("g4ad",)
"""Families of those series with AMD's GPUs."""
NEURON: Final = ("inf", "trn")
"""Series with AWS's own accelerators."""
GRACE: Final = ("-gb",)
"""Chips that are an NVIDIA GPU and an ARM processor in one."""
UNSUPPORTED: Final = ("mac",)
"""Series that EKS has no nodes of."""

IMAGES: Final[dict[tuple[Architecture, Accelerator], str]] = {
    ("x86_64", "none"): "AL2023_x86_64_STANDARD",
    ("x86_64", "nvidia"): "AL2023_x86_64_NVIDIA",
    ("x86_64", "neuron"): "AL2023_x86_64_NEURON",
    ("arm64", "none"): "AL2023_ARM_64_STANDARD",
    ("arm64", "nvidia"): "AL2023_ARM_64_NVIDIA",
}
"""EKS's images by machine: ``amiType`` of
https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html."""


@dataclass(frozen=True)
class Machine:
    """A kind of machine: nodes of one kind run one image."""

    architecture: Architecture
    accelerator: Accelerator

    @property
    def image(self) -> str:
        """The kind of image that its nodes start from."""
        return IMAGES[self.architecture, self.accelerator]

    def __str__(self) -> str:
        parts = {"none": "", "nvidia": " with NVIDIA GPUs", "neuron": " with Neuron"}
        return f"{self.architecture}{parts[self.accelerator]}"


def machine(instance_type: str) -> Machine:
    """The kind of machine of an instance type.

    Raises:
        ValueError: EKS has no nodes of it, or it is named as no family is.
    """
    family = instance_type.partition(".")[0]
    parts = FAMILY.match(family)
    if parts is None:
        raise ValueError(f"{instance_type!r} is not an EC2 instance type such as m7i.xlarge")
    series, options, chip = parts["series"], parts["options"], parts["chip"] or ""
    if series in UNSUPPORTED:
        raise ValueError(f"{instance_type!r}: EKS has no nodes of this series")
    arm = "g" in options or series == "a" or chip.startswith(GRACE)
    accelerator: Accelerator = "none"
    if series in NVIDIA and family not in OTHER_GPUS:
        accelerator = "nvidia"
    elif series in NEURON:
        accelerator = "neuron"
    return Machine("arm64" if arm else "x86_64", accelerator)
