"""The Data API's statements, from their submission to their end, and its requests."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
from moto.redshift.models import redshift_backends
from moto.redshiftdata.exceptions import ResourceNotFoundException, ValidationException

from pocket.emulator import redshift_serverless
from pocket.emulator.redshift_data.sql import SqlError, translate
from pocket.emulator.redshift_data.warehouse import Outcome, Warehouse

_KEPT = 1000


# A short statement is done before the answer goes out, so that a client's first look finds it
# finished; a long one is answered while it runs.
_PATIENCE = 2.0


@dataclass
class Run:
    """One statement of the API, or one of a batch."""

    id: str
    sql: str
    cluster: str
    database: str
    request: Mapping[str, Any]
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    status: str = "SUBMITTED"
    error: str = ""
    outcome: Outcome | None = None
    parts: list[Run] = field(default_factory=list)
    session: duckdb.DuckDBPyConnection | None = None
    started: float = 0.0
    ended: float = 0.0

    def goes(self, status: str, error: str = "") -> None:
        self.status, self.error, self.updated = status, error, time.time()

    @property
    def rows(self) -> pa.Table | None:
        return self.outcome.rows if self.outcome else None


class DataApi:
    """The statements and the warehouse that runs them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="warehouse")

    def submit(self, run: Run, parameters: Mapping[str, str]) -> None:
        with self._lock:
            self._runs[run.id] = run
            while len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        future: Future[None] = self._pool.submit(self._perform, run, parameters)
        wait_for([future], timeout=_PATIENCE)

    def find(self, identifier: str) -> Run:
        """The run, or a part of a batch (`<id>:<number from 1>`)."""
        name, _, number = identifier.partition(":")
        run = self._runs.get(name)
        if run is None:
            raise ResourceNotFoundException()
        if not number:
            return run
        if not number.isdigit() or not 1 <= int(number) <= len(run.parts):
            raise ResourceNotFoundException()
        return run.parts[int(number) - 1]

    def forget(self) -> None:
        """No statement, and no database, any more."""
        with self._lock:
            self._runs.clear()
        self.warehouse.forget_all()

    def all(self) -> list[Run]:
        with self._lock:
            return sorted(self._runs.values(), key=lambda run: run.created, reverse=True)

    def cancel(self, run: Run) -> bool:
        if run.status not in ("SUBMITTED", "PICKED", "STARTED"):
            raise ValidationException(
                f"Could not cancel a query that is already in {run.status} state with ID: {run.id}"
            )
        run.goes("ABORTED")
        if run.session:
            run.session.interrupt()
        return True

    def _perform(self, run: Run, parameters: Mapping[str, str]) -> None:
        if run.status == "ABORTED":
            return
        run.goes("STARTED")
        run.started = time.monotonic()
        try:
            run.session = self.warehouse.session(run.cluster, run.database)
            self._execute(run, parameters)
        except SqlError as failure:
            if run.status != "ABORTED":
                run.goes("FAILED", str(failure))
        except Exception as failure:
            run.goes("FAILED", f"ERROR: {type(failure).__name__}: {failure}")
            raise
        finally:
            run.ended = time.monotonic()
            if run.session:
                run.session.close()
                run.session = None
        for part in run.parts:
            if part.status == "SUBMITTED":
                part.goes("ABORTED")

    def _execute(self, run: Run, parameters: Mapping[str, str]) -> None:
        assert run.session
        if not run.parts:
            outcomes = self.warehouse.execute(run.session, translate(run.sql, parameters))
            run.outcome = outcomes[-1] if outcomes else None
            run.goes("FINISHED")
            return
        statements = []
        for part in run.parts:
            try:
                statements += translate(part.sql, parameters)
            except SqlError as failure:
                part.goes("FAILED", str(failure))
                raise
        outcomes = self.warehouse.execute(run.session, statements)
        for part, outcome in zip(run.parts, outcomes, strict=True):
            part.outcome = outcome
            part.goes("FINISHED")
        run.goes("FINISHED")


@dataclass(frozen=True)
class Request:
    parameters: Mapping[str, Any]
    account: str
    region: str

    def get(self, name: str) -> Any:
        return self.parameters.get(name)

    def where(self, database: str = "Database") -> tuple[str, str]:
        """(cluster's folder, database), for an existing cluster or a serverless workgroup.

        Raises:
            ValidationException: neither or both are named, or there is no such one.
        """
        cluster, workgroup = self.get("ClusterIdentifier"), self.get("WorkgroupName")
        if bool(cluster) == bool(workgroup):
            raise ValidationException(
                "Exactly one of ClusterIdentifier and WorkgroupName must be given"
            )
        if cluster and cluster not in redshift_backends[self.account][self.region].clusters:
            raise ValidationException("Redshift endpoint doesn't exist in this region.")
        if workgroup and not redshift_serverless.databases_of(self.region, workgroup):
            raise ValidationException("Redshift endpoint doesn't exist in this region.")
        if cluster and not (self.get("DbUser") or self.get("SecretArn")):
            raise ValidationException("DbUser or SecretArn must be given with ClusterIdentifier")
        name = self.get(database) or self.get("Database")
        if not name:
            raise ValidationException("Database must be given")
        # A database's name folds to lower case, and it names a file.
        if workgroup:
            return redshift_serverless.databases_of(self.region, workgroup), _file_name(name)
        return folder(self.account, self.region, cluster), _file_name(name)


def folder(account: str, region: str, name: str) -> str:
    return f"{account}-{region}-{_file_name(name)}"


def _file_name(name: str) -> str:
    if "/" in name or name.startswith("."):
        raise ValidationException(f"{name!r} is not a valid identifier")
    return name.lower()
