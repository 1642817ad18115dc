"""Rooms in moto's backends for the kinds of resource that it lacks.

A resource here is a plain dict in the shape of AWS's answer, kept on the backend of its account and
region, so that it lives and dies (and is written to disk) with everything else there.
"""

from __future__ import annotations

from typing import Any

from moto.core.base_backend import BaseBackend

Resource = dict[str, Any]
PREFIX = "pocket_"


def table(backend: BaseBackend, kind: str) -> dict[str, Resource]:
    """The resources of a kind by their name."""
    rooms: dict[str, Resource] = backend.__dict__.setdefault(PREFIX + kind, {})
    return rooms


def arn(backend: BaseBackend, service: str, rest: str) -> str:
    """The ARN of a regional resource."""
    return f"arn:{backend.partition}:{service}:{backend.region_name}:{backend.account_id}:{rest}"
