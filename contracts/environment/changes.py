"""What AWS refuses of a change, by what stands: each rule with where AWS says so.

A document may be right by itself and impossible as the next one: versions go up, one Kubernetes
minor at a time, and disks only grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from contracts.environment import Environment
from contracts.environment.limits import REFERENCE


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What stands of an environment, as far as a change depends on it; None: nothing of it."""

    kubernetes: str | None = None
    """The cluster's version."""
    postgres: str | None = None
    """The database's version."""
    disk: int | None = None
    """The database's disk as it has grown, in GiB."""
    most: int | None = None
    """What the database's disk may grow to, in GiB."""
    cache: tuple[str, str] | None = None
    """The cache's engine and its version."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A rule for going from what stands to what a document says."""

    key: str
    """The setting that breaks it."""
    source: str
    """Where AWS says so."""
    refusal: Callable[[Environment, Standing], str | None]
    """Why it cannot be, and what can."""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _kubernetes(environment: Environment, standing: Standing) -> str | None:
    if standing.kubernetes is None:
        return None
    (major, before), (_, after) = (
        _numbers(version)[:2] for version in (standing.kubernetes, environment.cluster.version)
    )
    if after < before:
        return f"the cluster runs {standing.kubernetes}, and EKS takes no version back"
    if after > before + 1:
        return (
            f"the cluster runs {standing.kubernetes}, and EKS goes one minor at a time: "
            f"{major}.{before + 1} is next"
        )
    return None


def _postgres(environment: Environment, standing: Standing) -> str | None:
    if standing.postgres is None or not environment.database.enabled:
        return None
    if _numbers(environment.database.version)[0] < _numbers(standing.postgres)[0]:
        return f"the database runs {standing.postgres}, and RDS takes no version back"
    return None


def _disk(environment: Environment, standing: Standing) -> str | None:
    if standing.disk is None or not environment.database.enabled:
        return None
    if environment.database.max_storage < standing.disk:
        return f"the database's disk has {standing.disk} GiB by now, and RDS makes none smaller"
    wanted = environment.database.max_storage
    changes = standing.most not in (None, wanted)
    # As much as it has is RDS's way to say that it grows no more.
    if changes and standing.disk < wanted and wanted * 10 < standing.disk * 11:
        return (
            f"the database's disk has {standing.disk} GiB by now, and RDS wants room for a tenth "
            f"more: max_storage {-(-standing.disk * 11 // 10)} or above"
        )
    return None


def _engine(environment: Environment, standing: Standing) -> str | None:
    if standing.cache is None:
        return None
    if (standing.cache[0], environment.cache.engine) == ("valkey", "redis"):
        return "the cache runs valkey, and ElastiCache takes none back to redis"
    return None


def _cache_version(environment: Environment, standing: Standing) -> str | None:
    if standing.cache is None or standing.cache[0] != environment.cache.engine:
        return None
    before, after = _numbers(standing.cache[1])[:2], _numbers(environment.cache.version)
    if after < before[: len(after)]:
        return f"the cache runs {standing.cache[1]}, and ElastiCache takes no version back"
    return None


STEPS: Final = (
    Step(
        key="cluster.version",
        source=f"{REFERENCE}/eks/latest/userguide/update-cluster.html",
        refusal=_kubernetes,
    ),
    Step(
        key="database.version",
        source=f"{REFERENCE}/AmazonRDS/latest/UserGuide/"
        "USER_UpgradeDBInstance.PostgreSQL.MajorVersion.html",
        refusal=_postgres,
    ),
    Step(
        key="database.max_storage",
        source=f"{REFERENCE}/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html",
        refusal=_disk,
    ),
    Step(
        key="cache.engine",
        source=f"{REFERENCE}/AmazonElastiCache/latest/dg/VersionManagement.HowTo.html",
        refusal=_engine,
    ),
    Step(
        key="cache.version",
        source=f"{REFERENCE}/AmazonElastiCache/latest/dg/VersionManagement.HowTo.html",
        refusal=_cache_version,
    ),
)


def without_effect(environment: Environment, standing: Standing) -> Iterator[str]:
    """What a document says of a setting that stands otherwise, and that nobody will change.

    The plugin leaves a smaller disk out where the disk may grow by itself, which every disk may: it
    cannot tell a disk that has grown from one that a person wants smaller.
    """
    database = environment.database
    if database.enabled and standing.disk is not None and database.storage < standing.disk:
        yield (
            f"database.storage: the disk has {standing.disk} GiB by now, and RDS makes none "
            f"smaller; {database.storage} has no effect (write {standing.disk})"
        )


def impossible(environment: Environment, standing: Standing) -> Iterator[tuple[str, str]]:
    """The settings that AWS refuses beside what stands, each with why."""
    for step in STEPS:
        if refusal := step.refusal(environment, standing):
            yield step.key, refusal
