"""Redshift's functions and operators, executed: values and types as its documentation has them.

The pages are those of https://docs.aws.amazon.com/redshift/latest/dg/.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pocket.emulator.redshift_data.results import described
from pocket.emulator.redshift_data.sql import SqlError, translate
from pocket.emulator.redshift_data.sql.functions import FUNCTIONS
from pocket.emulator.redshift_data.warehouse import Warehouse

TABLE = """
CREATE TABLE sales (
  i int, b bigint, h smallint, d numeric(8, 2), f float8, r real, s varchar(20), at timestamp
);
INSERT INTO sales VALUES
  (1, 10, 1, 10.25, 1.5, 0.5, 'a', '2008-01-05 14:30:15.25'),
  (2, 20, 2, 2.00, 2.5, 0.5, 'a ', '2008-02-29 00:00:00'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
"""
COUNTED = (
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n FROM t"
)
DAY = "TIMESTAMP '2009-09-09 12:08:43.101'"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    def no_s3() -> Any:
        raise AssertionError("these statements need no S3")

    made = Warehouse(tmp_path_factory.mktemp("functions"), no_s3)
    made.execute(made.session("cluster", "dev"), translate(TABLE))
    return made


def answer(warehouse: Warehouse, sql: str) -> tuple[list[Any], str]:
    """The first column of a query, and the type that the Data API names for it."""
    session = warehouse.session("cluster", "dev")
    try:
        (outcome,) = warehouse.execute(session, translate(sql))
    finally:
        session.close()
    assert outcome.rows is not None
    name, _, precision, scale = described(outcome.rows.schema.field(0).type)
    rows = [next(iter(row.values())) for row in outcome.rows.to_pylist()]
    return rows, f"numeric({precision},{scale})" if name == "numeric" else name


VALUES: list[tuple[str, object, str]] = [
    # r_numeric_computations201: types of results
    ("7 / 2", 3, "int4"),
    ("-7 / 2", -3, "int4"),
    ("7::smallint / 2::smallint", 3, "int2"),
    ("7::bigint / 2", 3, "int8"),
    ("7 / 2::float8", 3.5, "float8"),
    ("7::real / 2::real", 3.5, "float4"),
    ("1::real + 1", 2.0, "float8"),
    ("17.50::numeric(8,2) / 2.00::numeric(8,2)", Decimal("8.750000000"), "numeric(17,9)"),
    ("7.0 / 2", Decimal("3.500000000000"), "numeric(13,12)"),
    ("5 % 3", 2, "int4"),
    ("mod(-7, 3)", -1, "int4"),
    ("2 ^ 3", 8.0, "float8"),
    # r_AVG, r_SUM, r_MEDIAN, r_COUNT, r_MAX, r_STDDEV_functions
    ("avg(x) FROM (SELECT 1 AS x UNION ALL SELECT 2)", 1, "int8"),
    ("avg(i) FROM sales", 1, "int8"),
    ("avg(h) FROM sales", 1, "int8"),
    ("avg(d) FROM sales", Decimal("6.13"), "numeric(38,2)"),
    ("avg(f) FROM sales", 2.0, "float8"),
    ("avg(r) FROM sales", 0.5, "float8"),
    ("avg(DISTINCT r) FROM sales", 0.5, "float8"),
    ("avg(i) OVER () FROM sales LIMIT 1", 1, "int8"),
    ("sum(i) FROM sales", 3, "int8"),
    ("sum(b) FROM sales", 30, "int8"),
    ("sum(d) FROM sales", Decimal("12.25"), "numeric(38,2)"),
    ("sum(r) FROM sales", 1.0, "float8"),
    ("sum(i) / 2 FROM sales", 1, "int8"),
    ("count(i) FROM sales", 2, "int8"),
    ("count(*) FROM sales", 3, "int8"),
    ("max(h) FROM sales", 2, "int2"),
    ("median(i) FROM sales", Decimal("1.5"), "numeric(38,1)"),
    ("stddev(i) FROM sales", pytest.approx(0.70710678), "float8"),
    ("listagg(i) WITHIN GROUP (ORDER BY i DESC) FROM sales", "21", "varchar"),
    # r_Character_types: blanks at the end say nothing where texts are compared
    ("'a ' = 'a'", True, "bool"),
    ("'a  ' <> 'a'", False, "bool"),
    ("'a ' < 'a'", False, "bool"),
    ("'a ' IN ('b', 'a')", True, "bool"),
    ("'a' BETWEEN 'a ' AND 'b'", True, "bool"),
    ("count(*) FROM sales WHERE s = 'a'", 2, "int8"),
    ("count(DISTINCT s) FROM sales", 1, "int8"),
    ("count(*) FROM sales x JOIN sales y ON x.s = y.s", 4, "int8"),
    ("count(*) FROM sales WHERE s IN (SELECT 'a')", 2, "int8"),
    ("NULLIF('a ', 'a')", None, "varchar"),
    ("CASE 'a ' WHEN 'a' THEN 1 ELSE 2 END", 1, "int4"),
    ("DECODE('a ', 'a', 1, 2)", 1, "int4"),
    ("len('a ')", 2, "int4"),
    ("len('a '::char(3))", 1, "int4"),
    ("' a' = 'a'", False, "bool"),
    # REGEXP_REPLACE, REGEXP_SUBSTR, REGEXP_COUNT, REGEXP_INSTR
    ("regexp_replace('aaa', 'a', 'b')", "bbb", "varchar"),
    ("regexp_replace('a1b2', '[0-9]')", "ab", "varchar"),
    ("regexp_replace('aaa', 'a', 'b', 2)", "abb", "varchar"),
    ("regexp_replace('the fox', 'FOX', 'cat', 1, 'i')", "the cat", "varchar"),
    ("regexp_replace('a', 'a', NULL)", None, "varchar"),
    ("regexp_substr('a1b22', '[0-9]+', 1, 2)", "22", "varchar"),
    ("regexp_substr('abc', '[0-9]+')", "", "varchar"),
    ("regexp_count('a1b22', '[0-9]')", 3, "int4"),
    ("regexp_instr('ab1', '[0-9]')", 3, "int4"),
    # pattern-matching-conditions
    ("'abc' SIMILAR TO 'a%'", True, "bool"),
    ("'abc' SIMILAR TO 'a'", False, "bool"),
    ("'abc' SIMILAR TO 'a_c'", True, "bool"),
    ("'abc' SIMILAR TO '(abc|d)'", True, "bool"),
    ("'a.c' SIMILAR TO 'a.c'", True, "bool"),
    ("'abc' SIMILAR TO 'a.c'", False, "bool"),
    ("'abc' NOT SIMILAR TO 'a%'", False, "bool"),
    (r"'a_c' LIKE 'a\\_c'", True, "bool"),
    (r"'abc' LIKE 'a\\_c'", False, "bool"),
    ("'a%' LIKE 'a^%' ESCAPE '^'", True, "bool"),
    ("'ABC' ILIKE 'a%'", True, "bool"),
    ("'abc' ~ '^b'", False, "bool"),
    ("'abc' !~ '^b'", True, "bool"),
    # r_CONCAT, r_concat_op, r_SUBSTRING, r_LEFT, r_INITCAP, r_LPAD, r_SPLIT_PART and others
    ("concat('a', NULL)", None, "varchar"),
    ("concat('a', 'b')", "ab", "varchar"),
    ("'a' || NULL", None, "varchar"),
    ("substring('caterpillar', 6, 4)", "pill", "varchar"),
    ("substring('caterpillar', 6, 8)", "pillar", "varchar"),
    ("substring('caterpillar', -2, 6)", "cat", "varchar"),
    ("substring('caterpillar', -5, 4)", "", "varchar"),
    ("substring('caterpillar' FROM 6 FOR 4)", "pill", "varchar"),
    ("left('Chicago', 3)", "Chi", "varchar"),
    ("right('Chicago', 3)", "ago", "varchar"),
    ("initcap('Nibh.Enim@egestas.ca')", "Nibh.Enim@Egestas.Ca", "varchar"),
    ("lpad('Chicago', 9, '.')", "..Chicago", "varchar"),
    ("rpad('Chicago', 3)", "Chi", "varchar"),
    ("split_part('abc$def$ghi', '$', 2)", "def", "varchar"),
    ("split_part('abc$def$ghi', '$', 4)", "", "varchar"),
    ("translate('mint tea', 'inea', 'osin')", "most tin", "varchar"),
    ("strpos('dogfish', 'fish')", 4, "int4"),
    ("charindex('fish', 'dogfish')", 4, "int4"),
    ("position('fish' IN 'dogfish')", 4, "int4"),
    ("btrim('xyzaxyzbxyzcxyz', 'xyz')", "axyzbxyzc", "varchar"),
    ("octet_length('français')", 9, "int4"),
    ("len('français')", 8, "int4"),
    # r_ROUND, r_TRUNC, r_CEILING_FLOOR, r_SIGN, r_LOG
    ("round(28.05)", Decimal(28), "numeric(4,0)"),
    ("round(28.05, 1)", Decimal("28.1"), "numeric(4,1)"),
    ("trunc(111.15)", Decimal(111), "numeric(5,0)"),
    ("trunc(-1.5)::int", -1, "int4"),
    ("ceiling(28.05)::int", 29, "int4"),
    ("floor(-1.5)::int", -2, "int4"),
    ("ceil(3)", 3, "int4"),
    ("sign(-2.5)", Decimal(-1), "numeric(1,0)"),
    ("sign(-2)", -1, "int4"),
    ("log(100)", 2.0, "float8"),
    ("power(2, 3)", 8.0, "float8"),
    # r_CAST_function, r_Numeric_types201
    ("2.5::int", 3, "int4"),
    ("'42'::int", 42, "int4"),
    ("1.5::numeric", Decimal(2), "numeric(18,0)"),
    ("1::float", 1.0, "float8"),
    ("1::float4", 1.0, "float4"),
    ("1.0::float8::varchar", "1", "varchar"),
    ("'Fourscore and seven'::varchar(5)", "Fours", "varchar"),
    ("'é'::varchar(1)", "", "varchar"),
    ("convert(int, 2.5)", 3, "int4"),
    # conditional expressions
    ("NVL(NULL, 1, 2)", 1, "int4"),
    ("COALESCE(NULL, 1.5, 2)", Decimal("1.5"), "numeric(11,1)"),
    ("GREATEST(1, NULL, 3)", 3, "int4"),
    ("DECODE(NULL, NULL, 'none', 'some')", "none", "varchar"),
    ("NVL2(NULL, 1, 2)", 2, "int4"),
    # r_DATEADD_function, r_DATEDIFF_function, r_EXTRACT_function and others
    ("dateadd(month, 18, '2008-02-28')::varchar", "2009-08-28 00:00:00", "varchar"),
    ("datediff(qtr, '1998-07-01', current_date) > 40", True, "bool"),
    ("datediff(week, '2009-01-01', '2009-12-31')", 52, "int8"),
    (f"extract(minute FROM {DAY})", 8, "int4"),
    (f"extract(ms FROM {DAY})", 101, "int4"),
    (f"date_part(minute, {DAY})", 8.0, "float8"),
    ("date_part(dow, DATE '2008-01-05')", 6.0, "float8"),
    ("date_part(week, TIMESTAMP '2022-05-02 04:05:06')", 18.0, "float8"),
    ("date_trunc('month', DATE '2008-09-17')::varchar", "2008-09-01 00:00:00", "varchar"),
    ("add_months('2008-03-31', 1)::varchar", "2008-04-30 00:00:00", "varchar"),
    ("add_months('2008-04-30', 1)::varchar", "2008-05-31 00:00:00", "varchar"),
    ("last_day('2008-02-01')::varchar", "2008-02-29", "varchar"),
    (f"trunc({DAY})::varchar", "2009-09-09", "varchar"),
    ("DATE '2008-03-01' - DATE '2008-02-01'", 29, "int4"),
    ("(DATE '2008-02-28' + 2)::varchar", "2008-03-01", "varchar"),
    (f"to_char({DAY}, 'YYYY-MM-DD HH24:MI:SS')", "2009-09-09 12:08:43", "varchar"),
    ("to_date('02 Oct 2001', 'DD Mon YYYY')::varchar", "2001-10-02", "varchar"),
    # JSON_EXTRACT_PATH_TEXT
    ("json_extract_path_text('{\"f4\":{\"f6\":\"star\"}}', 'f4', 'f6')", "star", "varchar"),
    ("json_extract_path_text('{\"f4\":1}', 'f5')", "", "varchar"),
    # the rest: one of each
    ("abs(-2)", 2, "int4"),
    ("abs(-2.5)", Decimal("2.5"), "numeric(2,1)"),
    ("sqrt(16)", 4.0, "float8"),
    ("exp(0)", 1.0, "float8"),
    ("dexp(0)", 1.0, "float8"),
    ("ln(1)", 0.0, "float8"),
    ("dlog1(1)", 0.0, "float8"),
    ("dlog10(100)", 2.0, "float8"),
    ("cbrt(27)", pytest.approx(3.0), "float8"),
    ("pow(2, 3)", 8.0, "float8"),
    ("pi()", pytest.approx(3.14159265), "float8"),
    ("random() < 1", True, "bool"),
    ("degrees(radians(180))", pytest.approx(180.0), "float8"),
    ("sin(0) + tan(0) + asin(0) + atan(0) + atan2(0, 1)", 0.0, "float8"),
    ("cos(0) + acos(1)", 1.0, "float8"),
    ("cot(1)", pytest.approx(0.64209262), "float8"),
    ("length('cat')", 3, "int4"),
    ("char_length('cat')", 3, "int4"),
    ("character_length('cat')", 3, "int4"),
    ("textlen('cat')", 3, "int4"),
    ("upper('a')", "A", "varchar"),
    ("lower('A')", "a", "varchar"),
    ("substr('caterpillar', 6, 4)", "pill", "varchar"),
    ("trim('  a ')", "a", "varchar"),
    ("trim(LEADING 'x' FROM 'xax')", "ax", "varchar"),
    ("trim(TRAILING 'x' FROM 'xax')", "xa", "varchar"),
    ("ltrim('xxa', 'x')", "a", "varchar"),
    ("rtrim('axx', 'x')", "a", "varchar"),
    ("replace('Shows', 'S', 'Th')", "Thhows", "varchar"),
    ("reverse('abc')", "cba", "varchar"),
    ("repeat('ab', 2)", "abab", "varchar"),
    ("replicate('ab', 2)", "abab", "varchar"),
    ("chr(65)", "A", "varchar"),
    ("ascii('amazon')", 97, "int4"),
    ("md5('Amazon Redshift')", "f7415e33f972c03abd4f3fed36748f7a", "varchar"),
    ("sha1('')", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "varchar"),
    ("sha('') = func_sha1('')", True, "bool"),
    ("left(sha2('', 256), 8)", "e3b0c442", "varchar"),
    ("getdate() > '2013-01-01'", True, "bool"),
    ("timeofday() LIKE '%UTC'", True, "bool"),
    ("sysdate > '2013-01-01'", True, "bool"),
    ("date_cmp('2008-01-01', '2008-01-02')", -1, "int4"),
    ("timestamp_cmp('2008-01-02', '2008-01-01')", 1, "int4"),
    (
        "convert_timezone('EST', 'UTC', TIMESTAMP '2008-01-01')::varchar",
        "2008-01-01 05:00:00",
        "varchar",
    ),
    ("date_add('day', 1, DATE '2008-01-01')::varchar", "2008-01-02 00:00:00", "varchar"),
    ("date_diff('day', DATE '2008-01-01', DATE '2008-02-01')", 31, "int8"),
    ("pgdate_part(year, DATE '2008-01-01')", 2008.0, "float8"),
    ("to_timestamp('2008-01-02', 'YYYY-MM-DD')::varchar", "2008-01-02 00:00:00+00", "varchar"),
    ("json_serialize(json_parse('[1,2]'))", "[1,2]", "varchar"),
    ("is_valid_json('{')", False, "bool"),
    ("json_array_length('[1,2,3]')", 3, "int4"),
    ("json_extract_array_element_text('[111,112]', 1)", "112", "varchar"),
    ("isnull(NULL, 4)", 4, "int4"),
    ("least(3, NULL, 1)", 1, "int4"),
    ("count(*) FROM generate_series(1, 3)", 3, "int8"),
    ("min(i) FROM sales", 1, "int4"),
    ("any_value(h) FROM sales WHERE h = 2", 2, "int2"),
    ("stddev_samp(i) FROM sales", pytest.approx(0.70710678), "float8"),
    ("stddev_pop(i) FROM sales", 0.5, "float8"),
    ("variance(i) FROM sales", 0.5, "float8"),
    ("var_samp(i) FROM sales", 0.5, "float8"),
    ("var_pop(i) FROM sales", 0.25, "float8"),
    ("bool_and(i = 1) FROM sales", False, "bool"),
    ("bool_or(i = 1) FROM sales", True, "bool"),
    ("rank() OVER (ORDER BY i) FROM sales", 1, "int8"),
    ("dense_rank() OVER (ORDER BY i) FROM sales", 1, "int8"),
    ("ntile(2) OVER (ORDER BY i) FROM sales", 1, "int8"),
    ("cume_dist() OVER (ORDER BY r) FROM sales WHERE r > 0", 1.0, "float8"),
    ("percent_rank() OVER (ORDER BY i) FROM sales", 0.0, "float8"),
    ("lag(i) OVER (ORDER BY i) FROM sales ORDER BY i", None, "int4"),
    ("lead(i) OVER (ORDER BY i) FROM sales ORDER BY i", 2, "int4"),
    ("lag(i) IGNORE NULLS OVER (ORDER BY i DESC) FROM sales WHERE i = 2", None, "int4"),
    ("first_value(i) OVER (ORDER BY i ROWS UNBOUNDED PRECEDING) FROM sales", 1, "int4"),
    ("last_value(i) OVER (ORDER BY i ROWS UNBOUNDED PRECEDING) FROM sales ORDER BY i", 1, "int4"),
    ("nth_value(i, 1) OVER (ORDER BY i ROWS UNBOUNDED PRECEDING) FROM sales", 1, "int4"),
    (f"sum(n) FROM ({COUNTED})", 6, "int8"),
    (
        "h FROM sales JOIN (SELECT 'a' AS k) y ON s = k JOIN (SELECT 'a' AS k) z USING (k)",
        1,
        "int2",
    ),
    # r_ORDER_BY_clause: NULL is the largest
    ("i FROM sales ORDER BY i LIMIT 1", 1, "int4"),
    ("i FROM sales ORDER BY i DESC LIMIT 1", None, "int4"),
    ("row_number() OVER (ORDER BY i DESC) FROM sales ORDER BY i LIMIT 1", 3, "int8"),
]


@pytest.mark.parametrize(("sql", "value", "kind"), VALUES, ids=[sql for sql, *_ in VALUES])
def test_a_value_and_its_type(warehouse: Warehouse, sql: str, value: object, kind: str) -> None:
    (first, *_), named = answer(warehouse, f"SELECT {sql}")
    assert first == value
    assert named == kind


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT list_value(i) FROM sales", "LIST_VALUE"),
        ("SELECT ifnull(i, 1) FROM sales", "IFNULL"),
        ("SELECT now()", "NOW"),
        ("SELECT date_format(at, 'x') FROM sales", "DATE_FORMAT"),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FROM sales", "PERCENTILE_CONT"),
        ("SELECT i IS DISTINCT FROM 1 FROM sales", "NULLSAFENEQ"),
        ("SELECT sum(i) FILTER (WHERE i > 1) FROM sales", "FILTER"),
        ("SELECT at - at FROM sales", "DATEDIFF"),
        ("SELECT to_char(i, '999') FROM sales", "TO_CHAR"),
        (f"SELECT to_char({DAY}, 'Q')", "'Q'"),
        ("SELECT dateadd(epoch, 1, at) FROM sales", "EPOCH"),
        ("SELECT date_part(fortnight, at) FROM sales", "FORTNIGHT"),
        ("SELECT '1'::uuid", "UUID"),
        ("SELECT initcap('a', 2)", "INITCAP of 2 arguments"),
        ("SELECT regexp_replace('a', 'a', 'b', 1, 'p')", "parameters"),
        ("SELECT regexp_replace('a', '(a)', '$1')", "REGEXP_REPLACE"),
        ("SELECT s FROM sales GROUP BY s", "blanks"),
        ("SELECT DISTINCT s FROM sales", "blanks"),
        ("SELECT s FROM sales UNION SELECT 'b '", "blanks"),
        ("SELECT 'b' UNION SELECT * FROM (SELECT 'b ' AS x)", "blanks"),
        ("SELECT DISTINCT * FROM (SELECT 'b ' AS x)", "blanks"),
        ("SELECT count(*) FROM sales JOIN (SELECT 'a' AS s) x USING (s)", "blanks"),
        ("SELECT DISTINCT ON (i) i FROM sales", "DISTINCT ON"),
        ("SELECT * FROM sales TABLESAMPLE (10)", "TABLESAMPLE"),
        ("SELECT sum(i) OVER (ORDER BY i) FROM sales", "frame clause: SUM"),
        ("SELECT '2.5'::int", "invalid input syntax for integer"),
        ("SELECT left('a', -1)", "negative"),
        ("SELECT substring('a', 1, -1)", "negative"),
        ("SELECT split_part('a', 'b', 0)", "field position"),
        ("SELECT mod(1.5::float8, 2)", "MOD"),
        ("SELECT 5 % (1 - 1)", "Divide by zero"),
        ("SELECT 1.5 / (1 - 1)", "Divide by zero"),
        ("SELECT 1::float8 / (1 - 1)", "Divide by zero"),
        ("CREATE TABLE c (c char(3)); INSERT INTO c VALUES ('a ')", "CHAR column"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_here_is_refused_by_its_name(
    warehouse: Warehouse, sql: str, named: str
) -> None:
    with pytest.raises(SqlError, match=named):
        warehouse.execute(warehouse.session("cluster", "dev"), translate(sql))


def test_every_function_is_tried() -> None:
    """A function that nobody tried is a promise that nothing keeps."""
    tried = " ".join(sql.lower() for sql, *_ in VALUES)
    assert sorted(n for n in FUNCTIONS if f"{n}(" not in tried and f"{n} >" not in tried) == []
