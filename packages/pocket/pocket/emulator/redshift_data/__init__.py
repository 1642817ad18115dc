"""The Redshift Data API with real results.

moto accepts any SQL and answers every query with the same three streets. Here each statement runs
on DuckDB (`warehouse`), after translation (`sql`), in the background as on AWS:
`ExecuteStatement` gives an id, `DescribeStatement` the state, `GetStatementResult` the rows in
pages. A statement that fails is a FAILED statement with its reason, not a failed call.

Source: https://docs.aws.amazon.com/redshift-data/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.redshift.models import RedshiftBackend
from moto.redshiftdata.responses import RedshiftDataAPIServiceResponse

from pocket.emulator import redshift_serverless
from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace
from pocket.emulator.redshift_data.catalogue import (
    describe_table,
    list_databases,
    list_schemas,
    list_tables,
)
from pocket.emulator.redshift_data.results import get_statement_result
from pocket.emulator.redshift_data.runs import DataApi, Request, folder
from pocket.emulator.redshift_data.snapshots import keep_snapshots
from pocket.emulator.redshift_data.statements import (
    batch_execute_statement,
    cancel_statement,
    describe_statement,
    execute_statement,
    list_statements,
)
from pocket.emulator.redshift_data.warehouse import Warehouse

_OPERATIONS: tuple[Callable[[DataApi, Request], object], ...] = (
    execute_statement,
    batch_execute_statement,
    describe_statement,
    get_statement_result,
    list_statements,
    cancel_statement,
    list_databases,
    list_schemas,
    list_tables,
    describe_table,
)
WITH = ("redshift",)
"""What it corrects together with this."""


def install(context: Context) -> None:
    """Put the executing API in the place of moto's."""
    api = DataApi(Warehouse(context.data / "warehouse", context.s3))
    context.at_exit(api.warehouse.close)
    context.at_reset(api.forget)
    for operation in _OPERATIONS:
        _answer_by(operation, api)

    @replace(RedshiftBackend, "delete_cluster")
    def delete_cluster(
        original: Callable[..., Any], backend: RedshiftBackend, *given: Any, **asked: Any
    ) -> Any:
        cluster = original(backend, *given, **asked)
        name = folder(backend.account_id, backend.region_name, cluster.cluster_identifier)
        api.warehouse.forget(name)
        return cluster

    keep_snapshots(api.warehouse)
    redshift_serverless.when_gone.append(api.warehouse.forget)


def _answer_by(answer: Callable[[DataApi, Request], object], api: DataApi) -> None:
    def method(self: RedshiftDataAPIServiceResponse) -> tuple[int, dict[str, str], str]:
        request = Request(
            parameters=json.loads(self.body or "{}"),
            account=self.current_account,
            region=self.region,
        )
        return 200, {}, json.dumps(answer(api, request))

    method.__name__ = answer.__name__
    setattr(RedshiftDataAPIServiceResponse, answer.__name__, method)
