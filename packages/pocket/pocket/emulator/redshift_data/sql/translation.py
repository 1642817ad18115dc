"""A text of Redshift's SQL, statement by statement, in the words of DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from pocket.emulator.redshift_data.sql.cluster import without_cluster_words
from pocket.emulator.redshift_data.sql.loading import Reader, authorized, copy, options_of, s3
from pocket.emulator.redshift_data.sql.meaning import create, fill, meaning, refuse
from pocket.emulator.redshift_data.sql.statements import (
    Execute,
    Nothing,
    SqlError,
    Statement,
    Unload,
    absent,
)


class _Words(Redshift.Tokenizer):
    """Redshift's tokens, without taking what follows UNLOAD or GRANT as one piece of text."""

    COMMANDS: ClassVar[set[TokenType]] = set()


# Functions of Redshift that neither DuckDB has nor sqlglot translates.
MACROS = (
    "redshift_divisor(x) AS CASE WHEN x = 0 THEN error('Divide by zero') ELSE x END",
    "isnull(x, y) AS coalesce(x, y)",
    "btrim(x) AS trim(x), (x, y) AS trim(x, y)",
    "replicate(x, n) AS repeat(x, n)",
    "timeofday() AS strftime(now(), '%a %b %d %H:%M:%S.%f %Y UTC')",
    "date_cmp(x, y) AS sign(epoch_us(x::TIMESTAMP) - epoch_us(y::TIMESTAMP))",
    "timestamp_cmp(x, y) AS sign(epoch_us(x::TIMESTAMP) - epoch_us(y::TIMESTAMP))",
    "dexp(x) AS exp(x)",
    "dlog1(x) AS ln(x)",
    "dlog10(x) AS log10(x)",
    "len(x) AS length(x)",
    "json_parse(x) AS x::JSON",
    "json_serialize(x) AS x::VARCHAR",
    "is_valid_json(x) AS json_valid(x)",
    "json_array_length(x) AS json_array_length(x::JSON)",
)


_UPKEEP = frozenset({"VACUUM", "ANALYZE", "GRANT", "REVOKE", "LOCK", "RESET"})
_REFUSED_COMMANDS = {
    "CALL": "stored procedures",
    "CANCEL": "CANCEL (use the API's CancelStatement)",
    "SHOW": "SHOW (use the API's ListTables and DescribeTable)",
    "DECLARE": "cursors",
    "FETCH": "cursors",
    "PREPARE": "prepared statements",
}


_REFUSED_OBJECTS = frozenset(
    {
        "EXTERNAL",
        "PROCEDURE",
        "FUNCTION",
        "LIBRARY",
        "MODEL",
        "DATASHARE",
        "USER",
        "GROUP",
        "ROLE",
        "MATERIALIZED",
        "MASKING",
        "RLS",
        "DATABASE",
    }
)


_ROWS = (exp.Query, exp.Describe, exp.Values)


def split(text: str) -> list[str]:
    """The single statements of a text, without their semicolons."""
    return [text[tokens[0].start : tokens[-1].end + 1] for tokens in _groups(text)]


def translate(text: str, parameters: Mapping[str, str] | None = None) -> list[Statement]:
    """The statements of a text, each with the parameters (`:name`) it uses filled in.

    Raises:
        SqlError: not Redshift's SQL, or something that the laptop's warehouse does not have.
    """
    given = dict(parameters or {})
    used: set[str] = set()
    statements = [_translate(text, tokens, given, used) for tokens in _groups(text)]
    unused = sorted(set(given) - used)
    if unused:
        raise SqlError(f"Parameters list contains unused parameters: {', '.join(unused)}")
    return statements


def _groups(text: str) -> Iterator[list[Token]]:
    try:
        tokens = list(_Words().tokenize(text))
    except SqlglotError as failure:
        raise SqlError(f"ERROR: syntax error: {failure}") from failure
    group: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            if group:
                yield group
            group = []
        else:
            group.append(token)
    if group:
        yield group


def _translate(
    text: str, tokens: list[Token], parameters: Mapping[str, str], used: set[str]
) -> Statement:
    words = [token.text.upper() for token in tokens]
    first = words[0]
    if first == "COPY":
        return copy(tokens)
    if first == "UNLOAD":
        return _unload(tokens, parameters, used)
    if first in _UPKEEP:
        return Nothing(first)
    if first in _REFUSED_COMMANDS:
        raise absent(_REFUSED_COMMANDS[first])
    if first in ("CREATE", "DROP", "ALTER"):
        for word in words[1:4]:
            if word in _REFUSED_OBJECTS:
                raise absent(f"{first} {word}")
    if first == "MERGE" and words[-2:] == ["REMOVE", "DUPLICATES"]:
        raise absent("MERGE ... REMOVE DUPLICATES")
    if first == "ALTER" and "APPEND" in words:
        raise absent("ALTER TABLE APPEND")
    if first == "SET" and "TIMEZONE" not in words[1:2] and "SEARCH_PATH" not in words[1:2]:
        return Nothing("SET")
    if first == "EXPLAIN":
        explained = _translate(text, tokens[1:], parameters, used)
        if not isinstance(explained, Execute):
            raise SqlError("ERROR: EXPLAIN takes a query")
        *before, last = explained.sql
        return Execute((*before, f"EXPLAIN {last}"), True)
    source = text[tokens[0].start : tokens[-1].end + 1]
    if first == "CREATE":
        source = without_cluster_words(text, tokens)
    return _parsed(source, parameters, used)


def _parsed(source: str, parameters: Mapping[str, str], used: set[str]) -> Execute:
    try:
        tree = sqlglot.parse_one(source, dialect="redshift")
    except SqlglotError as failure:
        raise SqlError(f"ERROR: syntax error: {_plain(failure)}") from failure
    before: list[str] = []
    tree = fill(tree, parameters, used)
    refuse(tree)
    if isinstance(tree, exp.Create):
        before = create(tree)
    tree = tree.transform(meaning)
    # Quoted, since DuckDB reserves words that Redshift does not (`at`, say).
    sql = tree.sql("duckdb", identify=True, unsupported_level=sqlglot.ErrorLevel.IGNORE)
    if isinstance(tree, exp.Merge):
        sql = re.sub(r"INSERT \((VALUES\(.*?\))\)$", r"INSERT \1", sql)
    return Execute((*before, sql), isinstance(tree, _ROWS))


def _plain(failure: SqlglotError) -> str:
    """A parser's message without its terminal colours and the line breaks."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[\d+m", "", str(failure))).strip()


def _unload(tokens: Sequence[Token], parameters: Mapping[str, str], used: set[str]) -> Unload:
    words = Reader(tokens)
    words.expect("UNLOAD")
    words.expect("(")
    text = words.next("a query")
    words.expect(")")
    words.expect("TO")
    target = s3(words.next("a target"))
    form, options, partition_by = options_of("UNLOAD", words)
    authorized("UNLOAD", options)
    queries = [_translate(text, list(group), parameters, used) for group in _groups(text)]
    if len(queries) != 1 or not isinstance(queries[0], Execute) or not queries[0].has_rows:
        raise SqlError("ERROR: UNLOAD takes one query")
    return Unload(
        queries[0],
        target,
        form,
        partition_by,
        overwrite="ALLOWOVERWRITE" in options or "CLEANPATH" in options,
        options=options,
    )
