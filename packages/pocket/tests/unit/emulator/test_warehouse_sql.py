"""Redshift's SQL in DuckDB's words: each row executed, so that the table cannot be wishful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pocket.emulator.redshift_data.sql import (
    Copy,
    Execute,
    Nothing,
    SqlError,
    Unload,
    render,
    split,
    translate,
)
from pocket.emulator.redshift_data.warehouse import Warehouse

_TWO = "(SELECT 1 AS x UNION ALL SELECT 2)"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    def no_s3() -> Any:
        raise AssertionError("these statements need no S3")

    return Warehouse(tmp_path_factory.mktemp("warehouse"), no_s3)


def rendered(statement: object) -> tuple[str, ...]:
    """A query's SQL where there are no tables."""
    assert isinstance(statement, Execute)
    return render(statement, lambda schema, table: {})


def last_rows(warehouse: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    session = warehouse.session("cluster", "dev")
    try:
        outcome = warehouse.execute(session, translate(sql))[-1]
    finally:
        session.close()
    assert outcome.rows is not None
    return [tuple(row.values()) for row in outcome.rows.to_pylist()]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 7 / 2", 3),
        ("SELECT 7.0 / 2", 3.5),
        ("SELECT -7 / 2", -3),
        ("SELECT NVL(NULL, 4)", 4),
        ("SELECT ISNULL(NULL, 4)", 4),
        ("SELECT NVL2(NULL, 1, 2)", 2),
        ("SELECT DECODE(2, 1, 'a', 2, 'b', 'c')", "b"),
        ("SELECT LEN('four')", 4),
        ("SELECT BTRIM('  a ')", "a"),
        ("SELECT BTRIM('xxaxx', 'x')", "a"),
        ("SELECT CHARINDEX('b', 'abc')", 2),
        ("SELECT 'abcdef'::varchar(3)", "abc"),
        ("SELECT 'a' || NULL", None),
        ("SELECT DATEDIFF(hour, '2013-01-01 00:59'::timestamp, '2013-01-01 01:01'::timestamp)", 1),
        ("SELECT DATEADD(month, 1, '2013-01-31'::date)::date::varchar", "2013-02-28"),
        ("SELECT DATE_PART(dow, '2013-01-06'::date)", 0),
        ("SELECT EXTRACT(epoch FROM '1970-01-01 00:01:00'::timestamp)", 60),
        ("SELECT TRUNC('2013-01-02 03:04'::timestamp)::varchar", "2013-01-02"),
        ("SELECT TRUNC(1.7)::int", 1),
        ("SELECT TO_CHAR('2013-01-02 03:04:05'::timestamp, 'YYYY HH24:MI')", "2013 03:04"),
        ("SELECT TO_DATE('02.01.2013', 'DD.MM.YYYY')::varchar", "2013-01-02"),
        (
            "SELECT CONVERT_TIMEZONE('America/New_York', '2013-01-01 12:00'::timestamp)::varchar",
            "2013-01-01 07:00:00",
        ),
        ("SELECT CAST('2013-01-02 03:04:05'::timestamp AS VARCHAR)", "2013-01-02 03:04:05"),
        ("SELECT SPLIT_PART('a-b-c', '-', 2)", "b"),
        ("SELECT REGEXP_SUBSTR('flight 42', '[0-9]+')", "42"),
        ("SELECT 'abc' ~ 'b'", True),
        ("SELECT 'ABC' ILIKE 'a%'", True),
        ("SELECT JSON_EXTRACT_PATH_TEXT('{\"a\": {\"b\": 1}}', 'a', 'b')", "1"),
        (f"SELECT LISTAGG(x, ',') WITHIN GROUP (ORDER BY x DESC) FROM {_TWO}", "2,1"),
        (f"SELECT MEDIAN(x) FROM {_TWO}", 1.5),
        ("SELECT APPROXIMATE COUNT(DISTINCT x) FROM (SELECT 1 AS x UNION ALL SELECT 1)", 1),
        (f"SELECT TOP 1 x FROM {_TWO} ORDER BY x DESC", 2),
        (f"SELECT x FROM {_TWO} MINUS SELECT 1", 2),
        (f"SELECT x FROM {_TWO} QUALIFY ROW_NUMBER() OVER (ORDER BY x DESC) = 1", 2),
        ("SELECT STRTOL('ff', 16)", SqlError),
        ("SELECT GETDATE() > '2013-01-01'::timestamp", True),
        ("SELECT SYSDATE > '2013-01-01'::timestamp", True),
        ("SELECT at FROM (SELECT 1 AS at)", 1),
        ('SELECT "Mixed" FROM (SELECT 5 AS mixed)', 5),
        ("SELECT 1 / 0", SqlError),
        ("SELECT x / y FROM (SELECT 1 AS x, 0 AS y)", SqlError),
    ],
)  # fmt: skip
def test_a_query_gives_what_redshift_gives(
    warehouse: Warehouse, sql: str, expected: object
) -> None:
    if expected is SqlError:
        with pytest.raises(SqlError):
            last_rows(warehouse, sql)
        return
    ((value,),) = last_rows(warehouse, sql)
    assert value == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            (
                "CREATE TABLE t (id int IDENTITY(1, 2) PRIMARY KEY, s varchar(max) ENCODE zstd, "
                "j super, at timestamptz NOT NULL DEFAULT GETDATE()) "
                "DISTSTYLE KEY DISTKEY(id) COMPOUND SORTKEY(s, at) BACKUP NO; "
                "INSERT INTO t (s) VALUES ('a'), ('b'); SELECT id, s FROM t ORDER BY id"
            ),
            [(1, "a"), (3, "b")],
        ),
        (
            (
                "CREATE TABLE a (x int, PRIMARY KEY (x)); INSERT INTO a VALUES (1), (1); "
                "CREATE TABLE b (LIKE a); INSERT INTO b SELECT * FROM a; SELECT * FROM b"
            ),
            [(1,), (1,)],
        ),
        (
            (
                "CREATE TEMP TABLE s AS (SELECT 1 AS k, 10 AS v UNION ALL SELECT 2, 20); "
                "CREATE TABLE m (k int, v int); INSERT INTO m VALUES (1, 0); "
                "MERGE INTO m USING s ON m.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v "
                "WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v); SELECT k, v FROM m ORDER BY k"
            ),
            [(1, 10), (2, 20)],
        ),
        (
            (
                "BEGIN; CREATE TABLE u (k int, v int); INSERT INTO u VALUES (1, 1), (2, 2); END; "
                "DELETE FROM u USING (SELECT 1 AS k) d WHERE u.k = d.k; VACUUM u; ANALYZE u; "
                "UPDATE u SET v = 5; SELECT * FROM u"
            ),
            [(2, 5)],
        ),
        (
            (
                "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int); "
                "CREATE VIEW sales.all_orders AS SELECT count(*) AS n FROM sales.orders "
                "WITH NO SCHEMA BINDING; SELECT n FROM sales.all_orders"
            ),
            [(0,)],
        ),
    ],
    ids=["cluster words", "keys inform", "merge", "transactions and upkeep", "schemas"],
)
def test_statements_run_in_order(
    warehouse: Warehouse, sql: str, expected: list[tuple[Any, ...]]
) -> None:
    assert last_rows(warehouse, sql) == expected


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("MERGE INTO a USING b ON a.x = b.x REMOVE DUPLICATES", "REMOVE DUPLICATES"),
        ("SELECT RATIO_TO_REPORT(x) OVER () FROM t", "RATIO_TO_REPORT"),
        ("SELECT * FROM stl_query", "stl_query"),
        ("SELECT * FROM svv_table_info", "svv_table_info"),
        ("SELECT * FROM pg_table_def", "pg_table_def"),
        ("CREATE EXTERNAL SCHEMA s FROM DATA CATALOG DATABASE 'd' IAM_ROLE 'r'", "EXTERNAL"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "MATERIALIZED"),
        ("CREATE OR REPLACE PROCEDURE p() AS $$ BEGIN END $$ LANGUAGE plpgsql", "PROCEDURE"),
        ("CALL p()", "stored procedures"),
        ("ALTER TABLE a APPEND FROM b", "APPEND"),
        ("COPY t FROM 's3://b/k' IAM_ROLE 'r' MANIFEST PARQUET", "MANIFEST"),
        ("COPY t FROM 's3://b/k' IAM_ROLE 'r' DELIMITER '|'", "text format"),
    ],
)
def test_what_is_not_here_is_refused_by_its_name(sql: str, name: str) -> None:
    with pytest.raises(SqlError, match=name):
        translate(sql)


def test_copy_and_unload_are_read_word_by_word() -> None:
    (copy,) = translate("COPY Sales.T (A, b) FROM 's3://b/k' IAM_ROLE 'r' FORMAT AS PARQUET")
    assert copy == Copy('"sales"."t"', ('"a"', '"b"'), "s3://b/k", "PARQUET", {"IAM_ROLE": "r"})
    (unload,) = translate(
        "UNLOAD ('SELECT a FROM t WHERE s = ''x;y''') TO 's3://b/out/' IAM_ROLE 'r' "
        "PARQUET PARTITION BY (a) ALLOWOVERWRITE"
    )
    assert isinstance(unload, Unload)
    assert rendered(unload.query) == ('SELECT "a" FROM "t" WHERE "s" = \'x;y\'',)
    assert (unload.partition_by, unload.overwrite) == (('"a"',), True)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("COPY t FROM 's3://b/k' PARQUET", "IAM_ROLE"),
        ("COPY t FROM '/etc/passwd' IAM_ROLE 'r' CSV", "s3://"),
        ("COPY t FROM 's3://b/k' IAM_ROLE 'r' PARQUET NONSENSE", "NONSENSE"),
        ("UNLOAD ('DELETE FROM t') TO 's3://b/k/' IAM_ROLE 'r' PARQUET", "one query"),
        ("SELEC 1", "syntax error"),
    ],
)
def test_what_is_wrong_is_told(sql: str, reason: str) -> None:
    with pytest.raises(SqlError, match=reason):
        translate(sql)


def test_parameters_are_filled_in_and_counted() -> None:
    (statement,) = translate("SELECT :a LIMIT :n", {"a": "it's", "n": "2"})
    assert rendered(statement) == ("SELECT 'it''s' LIMIT 2",)
    with pytest.raises(SqlError, match="unused parameters: b"):
        translate("SELECT 1", {"b": "1"})
    with pytest.raises(SqlError, match="missing the parameter: a"):
        translate("SELECT :a")


def test_splitting_respects_strings_and_comments() -> None:
    assert split("SELECT ';'; -- not; this\nSELECT 2;;") == ["SELECT ';'", "SELECT 2"]
    assert split("-- nothing") == []


def test_the_machines_files_are_out_of_reach(warehouse: Warehouse, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(SqlError):
        last_rows(warehouse, f"SELECT * FROM read_csv('{secret}')")


def test_upkeep_and_settings_are_nothing() -> None:
    commands = translate("VACUUM FULL t; GRANT SELECT ON t TO u; SET query_group TO 'x'")
    assert commands == [Nothing("VACUUM"), Nothing("GRANT"), Nothing("SET")]
