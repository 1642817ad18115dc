"""A text of Redshift's SQL, statement by statement, in the words of DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from pocket.emulator.redshift_data.sql.cluster import without_cluster_words
from pocket.emulator.redshift_data.sql.dialect import Dialect
from pocket.emulator.redshift_data.sql.kinds import Catalogue
from pocket.emulator.redshift_data.sql.loading import Reader, authorized, copy, options_of, s3
from pocket.emulator.redshift_data.sql.meaning import fill, meant, refuse
from pocket.emulator.redshift_data.sql.statements import (
    Execute,
    Nothing,
    SqlError,
    Statement,
    Unload,
    absent,
)
from pocket.emulator.redshift_data.sql.tables import create

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
        tokens = list(Dialect.Tokenizer().tokenize(text))
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
        return Execute(explained.tree, True, explained=True)
    source = text[tokens[0].start : tokens[-1].end + 1]
    if first == "CREATE":
        source = without_cluster_words(text, tokens)
    return _parsed(source, parameters, used)


def _parsed(source: str, parameters: Mapping[str, str], used: set[str]) -> Execute:
    try:
        tree = sqlglot.parse_one(source, dialect=Dialect)
    except SqlglotError as failure:
        raise SqlError(f"ERROR: syntax error: {_plain(failure)}") from failure
    for insert in tree.find_all(exp.Insert):
        # Of a MERGE that names no columns, which is read as a call.
        values = insert.this.find(exp.Anonymous) if isinstance(insert.this, exp.Tuple) else None
        if values and values.name.upper() == "VALUES":
            insert.set("expression", exp.Tuple(expressions=values.expressions))
            insert.set("this", None)
    tree = fill(tree, parameters, used)
    refuse(tree)
    return Execute(tree, isinstance(tree, _ROWS))


def render(statement: Execute, catalogue: Catalogue) -> tuple[str, ...]:
    """DuckDB's SQL for a statement, in order; the last one gives the rows when it has any.

    Args:
        catalogue: the tables that there are.

    Raises:
        SqlError: something that the laptop's warehouse does not have.
    """
    tree = meant(statement.tree.copy(), catalogue)
    before = create(tree) if isinstance(tree, exp.Create) else []
    # Quoted, since DuckDB reserves words that Redshift does not (`at`, say).
    sql = tree.sql("duckdb", identify=True, unsupported_level=sqlglot.ErrorLevel.IGNORE)
    return (*before, f"EXPLAIN {sql}" if statement.explained else sql)


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
