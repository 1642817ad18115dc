"""EC2: tags that go with what they are on, and what in a network is in use."""

from __future__ import annotations

from pocket.emulator.core.context import Context
from pocket.emulator.ec2 import network, tags


def install(context: Context) -> None:
    """Correct moto's EC2."""
    tags.install(context)
    network.install(context)
