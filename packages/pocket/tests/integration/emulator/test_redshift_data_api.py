"""The Redshift Data API of the local cloud, through boto3 and through Feast."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
_ROLE = "arn:aws:iam::123456789012:role/warehouse"


class Database:
    """A cluster's database, or a work group's, spoken to as Feast does: execute, wait, read."""

    def __init__(self, client: Client, cluster: str = "", workgroup: str = "") -> None:
        self.api = client("redshift-data")
        who = {"ClusterIdentifier": cluster, "DbUser": "admin"}
        self.where = {**({"WorkgroupName": workgroup} if workgroup else who), "Database": "dev"}

    def run(self, sql: str, **more: Any) -> dict[str, Any]:
        identifier = self.api.execute_statement(Sql=sql, **self.where, **more)["Id"]
        return self.wait(identifier)

    def wait(self, identifier: str) -> dict[str, Any]:
        while True:
            statement = self.api.describe_statement(Id=identifier)
            if statement["Status"] not in ("SUBMITTED", "PICKED", "STARTED"):
                return statement

    def rows(self, sql: str, **more: Any) -> list[list[Any]]:
        statement = self.run(sql, **more)
        assert statement["Status"] == "FINISHED", statement.get("Error")
        pages = self.api.get_paginator("get_statement_result").paginate(Id=statement["Id"])
        return [
            [None if field.get("isNull") else next(iter(field.values())) for field in record]
            for page in pages
            for record in page["Records"]
        ]

    def error(self, sql: str, **more: Any) -> str:
        statement = self.run(sql, **more)
        assert statement["Status"] == "FAILED"
        return str(statement["Error"])


@pytest.fixture(scope="module")
def cluster(client: Client) -> str:
    client("redshift").create_cluster(
        ClusterIdentifier="demo",
        NodeType="ra3.large",
        MasterUsername="admin",
        MasterUserPassword="Str0ngEnough",
        DBName="dev",
    )
    return "demo"


@pytest.fixture(scope="module")
def database(client: Client, cluster: str) -> Database:
    return Database(client, cluster)


@pytest.fixture(scope="module")
def bucket(client: Client) -> str:
    name = f"warehouse-{uuid.uuid4().hex[:8]}"
    client("s3").create_bucket(Bucket=name)
    return name


def put_parquet(client: Client, bucket: str, key: str, table: pa.Table) -> None:
    body = io.BytesIO()
    pq.write_table(table, body)
    client("s3").put_object(Bucket=bucket, Key=key, Body=body.getvalue())


def test_values_come_in_the_fields_of_their_types(database: Database) -> None:
    statement = database.run(
        "SELECT 7/2 AS i, 1.5::float8 AS f, TRUE AS b, NULL AS n, 'a'::varchar AS s, "
        "'2013-01-02 03:04:05'::timestamp AS t, 1.25::numeric(6,2) AS d"
    )
    assert statement["HasResultSet"]
    result = database.api.get_statement_result(Id=statement["Id"])
    assert result["Records"] == [
        [
            {"longValue": 3},
            {"doubleValue": 1.5},
            {"booleanValue": True},
            {"isNull": True},
            {"stringValue": "a"},
            {"stringValue": "2013-01-02 03:04:05"},
            {"stringValue": "1.25"},
        ]
    ]
    types = {column["name"]: column["typeName"] for column in result["ColumnMetadata"]}
    assert types["f"] == "float8"
    assert types["t"] == "timestamp"
    assert types["d"] == "numeric"


def test_long_results_come_in_pages(database: Database) -> None:
    rows = database.rows("SELECT generate_series FROM generate_series(1, 2500)")
    assert [row[0] for row in rows] == list(range(1, 2501))


def test_parameters_take_their_places(database: Database) -> None:
    parameters = [{"name": "word", "value": "it's"}, {"name": "count", "value": "2"}]
    rows = database.rows(
        "SELECT :word AS word FROM generate_series(1, 5) LIMIT :count", Parameters=parameters
    )
    assert rows == [["it's"], ["it's"]]


def test_a_failure_is_a_failed_statement_with_its_reason(database: Database) -> None:
    assert "no_such_table" in database.error("SELECT * FROM no_such_table")
    assert "Divide by zero" in database.error("SELECT a / (a - a) FROM (SELECT 1 AS a)")
    assert "RATIO_TO_REPORT" in database.error("SELECT ratio_to_report(1) OVER ()")
    assert "syntax error" in database.error("SELEC 1")


def test_what_fails_half_way_leaves_nothing(database: Database) -> None:
    database.error("CREATE TABLE half (a int); INSERT INTO half VALUES (1); SELECT * FROM nothing")
    assert "half" in database.error("SELECT * FROM half")


def test_a_batch_is_one_transaction_with_parts(database: Database) -> None:
    accepted = database.api.batch_execute_statement(
        Sqls=[
            "CREATE TABLE batch (a int)",
            "INSERT INTO batch VALUES (1), (2)",
            "SELECT count(*) FROM batch",
        ],
        **database.where,
    )
    statement = database.wait(accepted["Id"])
    assert [part["Status"] for part in statement["SubStatements"]] == ["FINISHED"] * 3
    last = database.api.get_statement_result(Id=f"{accepted['Id']}:3")
    assert last["Records"] == [[{"longValue": 2}]]


def test_tables_are_listed_and_described(database: Database) -> None:
    database.run(
        "CREATE TABLE Described (Id bigint NOT NULL DISTKEY, name varchar(10) ENCODE zstd, "
        "at timestamp SORTKEY)"
    )
    listed = database.api.list_tables(
        ClusterIdentifier="demo", Database="dev", DbUser="admin", TablePattern="descr%"
    )
    assert [table["name"] for table in listed["Tables"]] == ["described"]
    described = database.api.describe_table(**database.where, Table="described")["ColumnList"]
    assert [(column["name"], column["typeName"], column["nullable"]) for column in described] == [
        ("id", "int8", 0),
        ("name", "varchar", 1),
        ("at", "timestamp", 1),
    ]


def test_a_text_longer_than_its_column_is_refused(database: Database) -> None:
    database.run("CREATE TABLE narrow (s varchar(3))")
    assert database.run("INSERT INTO narrow VALUES ('abc')")["Status"] == "FINISHED"
    assert "CHECK" in database.error("INSERT INTO narrow VALUES ('abcd')")


def test_copy_goes_by_place_and_unload_writes_parquet(
    client: Client, database: Database, bucket: str
) -> None:
    put_parquet(client, bucket, "in/1", pa.table({"x": [1, 2], "y": ["a", "b"]}))
    put_parquet(client, bucket, "in/2", pa.table({"x": [3], "y": [None]}))
    database.run("CREATE TABLE loaded (id int, word varchar)")
    copy = f"COPY loaded FROM 's3://{bucket}/in/' IAM_ROLE '{_ROLE}' FORMAT AS PARQUET"
    assert database.run(copy)["ResultRows"] == 3
    unload = (
        f"UNLOAD ('SELECT id, sum(id) over () AS total, word FROM loaded WHERE word=''a''') "
        f"TO 's3://{bucket}/out/' IAM_ROLE '{_ROLE}' FORMAT AS PARQUET"
    )
    assert database.run(unload)["Status"] == "FINISHED"
    listed = client("s3").list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]
    assert [item["Key"] for item in listed] == ["out/0000_part_00.parquet"]
    body = client("s3").get_object(Bucket=bucket, Key="out/0000_part_00.parquet")["Body"].read()
    assert pq.read_table(io.BytesIO(body)).to_pylist() == [{"id": 1, "total": 1, "word": "a"}]
    assert "not empty" in database.error(unload)


def test_copy_says_what_does_not_fit(client: Client, database: Database, bucket: str) -> None:
    put_parquet(client, bucket, "wide/1", pa.table({"x": [1], "y": [2]}))
    database.run("CREATE TABLE thin (id int)")
    copy = "COPY thin FROM 's3://{}/{}' IAM_ROLE 'r' PARQUET"
    assert "number of columns" in database.error(copy.format(bucket, "wide/"))
    assert "does not exist" in database.error(copy.format(bucket, "nothing/"))
    assert "NoSuchBucket" in database.error(copy.format("no-such-bucket-at-all", "x"))


def test_calls_that_aws_refuses_are_refused(client: Client, database: Database) -> None:
    for changes, reason in [
        ({"ClusterIdentifier": "nobody"}, "endpoint doesn't exist"),
        ({"DbUser": ""}, "DbUser or SecretArn"),
    ]:
        with pytest.raises(ClientError, match=reason) as refusal:
            database.api.execute_statement(Sql="SELECT 1", **{**database.where, **changes})
        assert refusal.value.response["Error"]["Code"] == "ValidationException"
    finished = database.run("CREATE TEMP TABLE t (a int)")
    with pytest.raises(ClientError, match="does not have result"):
        database.api.get_statement_result(Id=finished["Id"])
    with pytest.raises(ClientError, match="already in FINISHED"):
        database.api.cancel_statement(Id=finished["Id"])


def test_a_long_statement_is_cancelled(database: Database) -> None:
    slow = "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000) b"
    identifier = database.api.execute_statement(Sql=slow, **database.where)["Id"]
    assert database.api.cancel_statement(Id=identifier)["Status"]
    assert database.wait(identifier)["Status"] == "ABORTED"
    assert database.rows("SELECT 1") == [[1]]


def test_feast_joins_point_in_time_through_its_own_redshift_store(
    client: Client, database: Database, bucket: str, tmp_path: Path
) -> None:
    from feast import Entity, FeatureStore, FeatureView, Field, RedshiftSource, RepoConfig
    from feast.infra.offline_stores.redshift import RedshiftOfflineStoreConfig
    from feast.types import Float64, Int64

    start = datetime(2013, 1, 1, tzinfo=UTC)
    readings = pa.table(
        {
            "origin": ["JFK", "JFK", "LGA", "LGA"],
            "at": pa.array([start + timedelta(hours=h) for h in (0, 2, 0, 30)], pa.timestamp("us")),
            "wind": [1.0, 2.0, 3.0, 4.0],
            "planes": [10, 20, 30, 40],
        }
    )
    put_parquet(client, bucket, "weather/part", readings)
    database.run(
        "CREATE TABLE weather (origin varchar, at timestamp, wind float8, planes bigint) "
        "SORTKEY (at)"
    )
    database.run(f"COPY weather FROM 's3://{bucket}/weather/' IAM_ROLE '{_ROLE}' PARQUET")
    store = FeatureStore(
        config=RepoConfig(
            project="flights",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store=None,
            offline_store=RedshiftOfflineStoreConfig(
                type="redshift",
                region="us-east-1",
                cluster_id="demo",
                database="dev",
                user="admin",
                s3_staging_location=f"s3://{bucket}/feast",
                iam_role=_ROLE,
            ),
            entity_key_serialization_version=3,
        )
    )
    origin = Entity(name="origin", join_keys=["origin"])
    view = FeatureView(
        name="weather",
        entities=[origin],
        ttl=timedelta(hours=24),
        schema=[Field(name="wind", dtype=Float64), Field(name="planes", dtype=Int64)],
        source=RedshiftSource(table="weather", timestamp_field="at", database="dev"),
        online=False,
    )
    store.apply([origin, view])
    asked = pd.DataFrame(
        {
            "origin": ["JFK", "JFK", "LGA", "EWR"],
            "event_timestamp": [start + timedelta(hours=h) for h in (1, 3, 26, 1)],
        }
    )
    joined = store.get_historical_features(
        entity_df=asked, features=["weather:wind", "weather:planes"]
    ).to_df()
    joined = joined.sort_values(["origin", "event_timestamp"]).reset_index(drop=True)
    assert joined["origin"].tolist() == ["EWR", "JFK", "JFK", "LGA"]
    # Before the second reading, after it, and one that is older than the view's 24 hours.
    assert joined["wind"].fillna(-1).tolist() == [-1, 1.0, 2.0, -1]
    assert joined["planes"].fillna(-1).tolist() == [-1, 10, 20, -1]


def test_a_snapshot_brings_back_what_was_in_the_warehouse(client: Client) -> None:
    redshift = client("redshift")
    redshift.create_cluster(
        ClusterIdentifier="first",
        NodeType="ra3.large",
        MasterUsername="admin",
        MasterUserPassword="Str0ngEnough",
        DBName="dev",
    )
    first = Database(client, "first")
    first.run("CREATE TABLE flights (id int, late boolean)")
    first.run("INSERT INTO flights VALUES (1, true), (2, false)")
    redshift.create_cluster_snapshot(SnapshotIdentifier="before", ClusterIdentifier="first")
    first.run("DELETE FROM flights")
    final = {"FinalClusterSnapshotIdentifier": "final", "SkipFinalClusterSnapshot": False}
    redshift.delete_cluster(ClusterIdentifier="first", **final)
    for name, rows in (("before", [[1, True], [2, False]]), ("final", [])):
        restored = {"ClusterIdentifier": f"restored-{name}"}
        redshift.restore_from_cluster_snapshot(**restored, SnapshotIdentifier=name)
        again = Database(client, f"restored-{name}")
        assert again.rows("SELECT * FROM flights ORDER BY id") == rows
        again.run("INSERT INTO flights VALUES (3, true)")
        redshift.delete_cluster(**restored, SkipFinalClusterSnapshot=True)
        redshift.delete_cluster_snapshot(SnapshotIdentifier=name)


def test_a_work_group_runs_statements_on_its_namespace(client: Client, bucket: str) -> None:
    serverless = client("redshift-serverless")
    serverless.create_namespace(namespaceName="numbers", dbName="dev", manageAdminPassword=True)
    secret = serverless.get_namespace(namespaceName="numbers")["namespace"][
        "adminPasswordSecretArn"
    ]
    assert (
        '"password"' in client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    )
    for name in ("works", "second"):
        serverless.create_workgroup(workgroupName=name, namespaceName="numbers", baseCapacity=8)
    database = Database(client, workgroup="works")
    database.run("CREATE TABLE t (a int)")
    database.run("INSERT INTO t VALUES (7)")
    target = f"s3://{bucket}/works/"
    database.run(f"UNLOAD ('SELECT a FROM t') TO '{target}' IAM_ROLE '{_ROLE}' FORMAT PARQUET")
    copied = database.run(f"COPY t FROM '{target}' IAM_ROLE '{_ROLE}' FORMAT PARQUET")
    assert copied["Status"] == "FINISHED", copied.get("Error")
    assert Database(client, workgroup="second").rows("SELECT a FROM t") == [[7], [7]]
    assert database.api.list_tables(**database.where)["Tables"][0]["name"] == "t"
    with pytest.raises(ClientError, match="endpoint doesn't exist"):
        Database(client, workgroup="other").run("SELECT 1")
    for name in ("works", "second"):
        serverless.delete_workgroup(workgroupName=name)
    serverless.delete_namespace(namespaceName="numbers")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client("secretsmanager").get_secret_value(SecretId=secret)
    serverless.create_namespace(namespaceName="numbers", dbName="dev")
    serverless.create_workgroup(workgroupName="works", namespaceName="numbers")
    assert "does not exist" in database.error("SELECT * FROM t")
    serverless.delete_workgroup(workgroupName="works")
    serverless.delete_namespace(namespaceName="numbers")
