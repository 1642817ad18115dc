"""Executing, describing, listing and cancelling statements."""

from __future__ import annotations

import uuid

from moto.redshiftdata.exceptions import ValidationException

from pocket.emulator.redshift_data.runs import DataApi, Request, Run
from pocket.emulator.redshift_data.sql import SqlError, split


def execute_statement(api: DataApi, request: Request) -> object:
    sql = request.get("Sql")
    if not sql or not split_or_refuse(sql):
        raise ValidationException("Sql must hold a statement")
    run = _run(request, sql)
    api.submit(run, _parameters(request))
    return _accepted(run)


def batch_execute_statement(api: DataApi, request: Request) -> object:
    sqls = request.get("Sqls") or []
    if not 1 <= len(sqls) <= 40:
        raise ValidationException("Sqls must hold 1 to 40 statements")
    for sql in sqls:
        if len(split_or_refuse(sql)) != 1:
            raise ValidationException("Each of Sqls must be a single statement")
    run = _run(request, ";\n".join(sqls))
    run.parts = [
        Run(f"{run.id}:{number}", sql, run.cluster, run.database, run.request)
        for number, sql in enumerate(sqls, start=1)
    ]
    api.submit(run, _parameters(request))
    return _accepted(run)


def split_or_refuse(sql: str) -> list[str]:
    """The statements of a text; what cannot be read counts as one, which then fails."""
    try:
        return split(sql)
    except SqlError:
        return [sql]


def _run(request: Request, sql: str) -> Run:
    cluster, database = request.where()
    return Run(str(uuid.uuid4()), sql, cluster, database, request.parameters)


def _parameters(request: Request) -> dict[str, str]:
    return {item["name"]: item["value"] for item in request.get("Parameters") or []}


def _accepted(run: Run) -> dict[str, object]:
    keys = ("ClusterIdentifier", "WorkgroupName", "DbUser", "SecretArn", "Database")
    given = {key: run.request[key] for key in keys if run.request.get(key)}
    return {"Id": run.id, "CreatedAt": run.created, **given}


def describe_statement(api: DataApi, request: Request) -> object:
    run = api.find(request.get("Id") or "")
    described = {
        **_accepted(run),
        **_progress(run),
        "RedshiftPid": 1,
        "RedshiftQueryId": -1 if run.parts else abs(hash(run.id)) % 10**9,
        "QueryParameters": run.request.get("Parameters") or [],
    }
    if run.parts:
        described["SubStatements"] = [
            {"Id": part.id, "CreatedAt": part.created, **_progress(part)} for part in run.parts
        ]
    return {key: value for key, value in described.items() if value not in (None, [], "")}


def _progress(run: Run) -> dict[str, object]:
    rows = run.rows
    return {
        "Status": run.status,
        "Error": run.error or None,
        "QueryString": run.sql,
        "HasResultSet": rows is not None,
        "ResultRows": rows.num_rows
        if rows is not None
        else run.outcome.changed
        if run.outcome
        else -1,
        "ResultSize": rows.nbytes if rows is not None else -1,
        "Duration": int(max(0.0, run.ended - run.started) * 1e9),
        "UpdatedAt": run.updated,
    }


def list_statements(api: DataApi, request: Request) -> object:
    wanted, prefix = request.get("Status"), request.get("StatementName")
    found = [
        {
            "Id": run.id,
            "CreatedAt": run.created,
            "UpdatedAt": run.updated,
            "Status": run.status,
            "QueryString": run.sql,
            "QueryStrings": [part.sql for part in run.parts],
            "IsBatchStatement": bool(run.parts),
            "StatementName": run.request.get("StatementName") or "",
            "SecretArn": run.request.get("SecretArn") or "",
        }
        for run in api.all()
        if wanted in (None, "ALL", run.status)
        and (run.request.get("StatementName") or "").startswith(prefix or "")
    ]
    return {"Statements": found[: int(request.get("MaxResults") or 100)]}


def cancel_statement(api: DataApi, request: Request) -> object:
    return {"Status": api.cancel(api.find(request.get("Id") or ""))}
