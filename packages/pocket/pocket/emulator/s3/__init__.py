"""S3: bucket policies that mean what they say, and intelligent tiering."""

from __future__ import annotations

from pocket.emulator.core.context import Context
from pocket.emulator.s3 import bucket_policies, tiering


def install(context: Context) -> None:
    """Correct moto's S3."""
    bucket_policies.install(context)
    tiering.install(context)
