"""A cluster's snapshots hold its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.redshift.models import RedshiftBackend

from pocket.emulator.core.patching import replace
from pocket.emulator.redshift_data.runs import folder
from pocket.emulator.redshift_data.warehouse import Warehouse


def keep_snapshots(warehouse: Warehouse) -> None:
    """A snapshot holds the cluster's rows, and what is restored from it has them."""

    def place(backend: RedshiftBackend, name: str) -> str:
        return f"snapshots/{folder(backend.account_id, backend.region_name, name)}"

    @replace(RedshiftBackend, "create_cluster_snapshot")
    def create(
        original: Callable[..., Any],
        backend: RedshiftBackend,
        cluster_identifier: str,
        snapshot_identifier: str,
        *given: Any,
        **asked: Any,
    ) -> Any:
        snapshot = original(backend, cluster_identifier, snapshot_identifier, *given, **asked)
        cluster = folder(backend.account_id, backend.region_name, cluster_identifier)
        warehouse.copy(cluster, place(backend, snapshot_identifier))
        return snapshot

    @replace(RedshiftBackend, "restore_from_cluster_snapshot")
    def restore(original: Callable[..., Any], backend: RedshiftBackend, **asked: Any) -> Any:
        cluster = original(backend, **asked)
        name = folder(backend.account_id, backend.region_name, cluster.cluster_identifier)
        warehouse.copy(place(backend, asked["snapshot_identifier"]), name)
        return cluster

    @replace(RedshiftBackend, "delete_cluster_snapshot")
    def delete(
        original: Callable[..., Any], backend: RedshiftBackend, snapshot_identifier: str
    ) -> Any:
        snapshot = original(backend, snapshot_identifier)
        warehouse.forget(place(backend, snapshot_identifier))
        return snapshot
