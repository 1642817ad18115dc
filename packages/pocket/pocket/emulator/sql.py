"""Redshift's SQL in the words of DuckDB.

The local warehouse executes what it is asked, so that a wrong query fails on the laptop and not
first on AWS. sqlglot knows most of the difference between the two dialects; this module knows the
rest: what Redshift adds for its clusters (distribution, sorting, encodings), what it means
differently (names fold to lower case, constraints only inform, a plain VARCHAR holds 256 bytes,
dividing by zero fails), and what is not here and so is refused by its name rather than answered
wrongly.

Pure: text in, statements out.

Source: https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_commands.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType


class _Words(Redshift.Tokenizer):
    """Redshift's tokens, without taking what follows UNLOAD or GRANT as one piece of text."""

    COMMANDS: ClassVar[set[TokenType]] = set()


_PLAIN_VARCHAR = 256
_LONGEST_VARCHAR = 65535


class SqlError(Exception):
    """A statement that cannot be executed; the text is what the Data API reports as its error."""


@dataclass(frozen=True)
class Execute:
    """SQL for DuckDB, in order; the last one gives the rows when `has_rows`."""

    sql: tuple[str, ...]
    has_rows: bool


@dataclass(frozen=True)
class Copy:
    """Load every object under an S3 prefix into a table."""

    table: str
    columns: tuple[str, ...]
    source: str
    format: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unload:
    """Write a query's rows as objects under an S3 prefix."""

    query: Execute
    target: str
    format: str
    partition_by: tuple[str, ...] = ()
    overwrite: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Nothing:
    """A statement about a cluster's upkeep or rights, of which there are none here."""

    command: str


Statement = Execute | Copy | Unload | Nothing

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
_REFUSED_FUNCTIONS = frozenset({"ratio_to_report", "fnv_hash", "crc32", "strtol", "object"})
_SYSTEM_VIEWS = re.compile(r"(stl|stv|svl|svv|svcs|sys)_\w+|pg_table_def|pg_(?!sleep)\w+")
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
        return _copy(tokens)
    if first == "UNLOAD":
        return _unload(tokens, parameters, used)
    if first in _UPKEEP:
        return Nothing(first)
    if first in _REFUSED_COMMANDS:
        raise _absent(_REFUSED_COMMANDS[first])
    if first in ("CREATE", "DROP", "ALTER"):
        for word in words[1:4]:
            if word in _REFUSED_OBJECTS:
                raise _absent(f"{first} {word}")
    if first == "MERGE" and words[-2:] == ["REMOVE", "DUPLICATES"]:
        raise _absent("MERGE ... REMOVE DUPLICATES")
    if first == "ALTER" and "APPEND" in words:
        raise _absent("ALTER TABLE APPEND")
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
        source = _without_cluster_words(text, tokens)
    return _parsed(source, parameters, used)


def _parsed(source: str, parameters: Mapping[str, str], used: set[str]) -> Execute:
    try:
        tree = sqlglot.parse_one(source, dialect="redshift")
    except SqlglotError as failure:
        raise SqlError(f"ERROR: syntax error: {_plain(failure)}") from failure
    before: list[str] = []
    tree = _fill(tree, parameters, used)
    _refuse(tree)
    if isinstance(tree, exp.Create):
        before = _create(tree)
    tree = tree.transform(_meaning)
    # Quoted, since DuckDB reserves words that Redshift does not (`at`, say).
    sql = tree.sql("duckdb", identify=True, unsupported_level=sqlglot.ErrorLevel.IGNORE)
    if isinstance(tree, exp.Merge):
        sql = re.sub(r"INSERT \((VALUES\(.*?\))\)$", r"INSERT \1", sql)
    return Execute((*before, sql), isinstance(tree, _ROWS))


def _plain(failure: SqlglotError) -> str:
    """A parser's message without its terminal colours and the line breaks."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[\d+m", "", str(failure))).strip()


def _absent(what: str) -> SqlError:
    return SqlError(f"ERROR: {what} is not available in the local warehouse")


# -- what a statement means
# -------------------------------------------------------------------------


def _fill(tree: exp.Expr, parameters: Mapping[str, str], used: set[str]) -> exp.Expr:
    """Put each `:name`'s value in its place, as text that takes the type of where it stands."""

    def value(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder) or not isinstance(node.this, str):
            return node
        if node.this not in parameters:
            raise SqlError(f"Parameters list is missing the parameter: {node.this}")
        used.add(node.this)
        text = parameters[node.this]
        if isinstance(node.parent, exp.Limit | exp.Offset):
            return exp.Literal.number(int(text))
        return exp.Literal.string(text)

    return tree.transform(value)


def _refuse(tree: exp.Expr) -> None:
    for table in tree.find_all(exp.Table):
        name = table.name.lower()
        if _SYSTEM_VIEWS.fullmatch(name):
            raise _absent(f"the system view {name}")
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() in _REFUSED_FUNCTIONS:
            raise _absent(f"the function {call.name.upper()}")


def _meaning(node: exp.Expr) -> exp.Expr:
    """One node in the form that gives in DuckDB what Redshift would give."""
    match node:
        case exp.Identifier():
            # Redshift folds names to lower case even within quotes, by default.
            node.set("this", node.this.lower())
        case exp.Div() if not isinstance(node.expression, exp.Literal) or (
            float(node.expression.this or 1) == 0
        ):
            node.set("expression", exp.func("redshift_divisor", node.expression))
        case exp.CurrentTimestamp() if not node.args.get("sysdate"):
            return exp.cast(exp.CurrentTimestamp(), exp.DataType.Type.TIMESTAMP)
        case exp.Trunc() | exp.Anonymous() if _truncates_time(node):
            return exp.cast(node.this, exp.DataType.Type.DATE)
        case exp.Cast() if (size := _size(node.to)) is not None:
            # A cast cuts, where a column refuses.
            whole = exp.cast(node.this, exp.DataType.Type.TEXT)
            return exp.func("left", whole, exp.Literal.number(size), dialect="duckdb")
        case exp.DataType() if node.this is exp.DataType.Type.SUPER:
            return exp.DataType.build("JSON", dialect="duckdb")
    return node


def _truncates_time(node: exp.Expr) -> bool:
    """`TRUNC(timestamp)` is a date: told from a number's by the argument's look."""
    if not isinstance(node, exp.Trunc) or node.args.get("decimals"):
        return False
    argument = node.this
    if isinstance(argument, exp.Cast):
        return argument.to.this in exp.DataType.TEMPORAL_TYPES
    return isinstance(argument, exp.CurrentTimestamp | exp.TsOrDsAdd | exp.DateAdd)


def _size(kind: exp.DataType) -> int | None:
    """The n of VARCHAR(n), where it is a number."""
    if kind.this not in exp.DataType.TEXT_TYPES or not kind.expressions:
        return None
    text = kind.expressions[0].name
    return int(text) if text.isdigit() else None


def _create(tree: exp.Create) -> list[str]:
    """Bring a CREATE into DuckDB's form; gives the statements that must come before it."""
    tree.set("properties", _kept_properties(tree.args.get("properties")))
    tree.set("no_schema_binding", None)
    schema = tree.this
    if tree.kind != "TABLE" or not isinstance(schema, exp.Schema):
        return []
    like = schema.find(exp.LikeProperty)
    if like:
        tree.set("this", schema.this)
        tree.set("expression", exp.select("*").from_(like.this.copy()).limit(0))
        return []
    before: list[str] = []
    columns: list[exp.Expression] = []
    for part in schema.expressions:
        if isinstance(part, exp.ColumnDef):
            before += _column(part, schema.this.name.lower())
            columns.append(part)
        # What is not a column is a key: in Redshift keys inform the planner and bind nothing.
    schema.set("expressions", columns)
    return before


def _kept_properties(properties: exp.Properties | None) -> exp.Properties | None:
    kept = [
        item
        for item in (properties.expressions if properties else [])
        if isinstance(item, exp.TemporaryProperty)
    ]
    return exp.Properties(expressions=kept) if kept else None


def _column(column: exp.ColumnDef, table: str) -> list[str]:
    """Keep a column's type, NOT NULL and DEFAULT; gives the sequence that an IDENTITY needs."""
    kept: list[exp.Expression] = []
    before: list[str] = []
    for constraint in column.constraints:
        kind = constraint.args.get("kind")
        if isinstance(kind, exp.NotNullColumnConstraint | exp.DefaultColumnConstraint):
            kept.append(constraint)
        elif isinstance(kind, exp.GeneratedAsIdentityColumnConstraint):
            sequence = f"{table}_{column.name.lower()}_seq"
            start, step = (kind.args.get(key) for key in ("start", "increment"))
            before.append(
                f'CREATE OR REPLACE SEQUENCE "{sequence}" MINVALUE -9223372036854775808 '
                f"START {start or 1} INCREMENT {step or 1}"
            )
            following = exp.func("nextval", exp.Literal.string(sequence))
            kept.append(exp.ColumnConstraint(kind=exp.DefaultColumnConstraint(this=following)))
    bound = _byte_limit(column.kind)
    if bound is not None:
        name = exp.column(column.this.copy())
        check = exp.LTE(this=exp.func("strlen", name), expression=exp.Literal.number(bound))
        kept.append(exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=check)))
        column.set("kind", exp.DataType.build("TEXT"))
    column.set("constraints", kept)
    return before


def _byte_limit(kind: exp.DataType | None) -> int | None:
    """How many bytes a text column takes; None for other types."""
    if kind is None or kind.this not in exp.DataType.TEXT_TYPES:
        return None
    if not kind.expressions:
        if kind.this in (exp.DataType.Type.CHAR, exp.DataType.Type.NCHAR):
            return 1
        return _PLAIN_VARCHAR
    return _size(kind) or _LONGEST_VARCHAR


# -- words for the cluster
# --------------------------------------------------------------------------


def _without_cluster_words(text: str, tokens: Sequence[Token]) -> str:
    """The statement without distribution, sorting, encodings and backup: nothing to distribute."""
    cuts: list[tuple[int, int]] = []
    at = 0
    while at < len(tokens):
        length = _cluster_words(tokens, at)
        if length:
            cuts.append((tokens[at].start, tokens[at + length - 1].end + 1))
        at += length or 1
    end = tokens[-1].end + 1
    kept, position = [], tokens[0].start
    for start, stop in cuts:
        kept.append(text[position:start])
        position = stop
    return " ".join([*kept, text[position:end]])


def _cluster_words(tokens: Sequence[Token], at: int) -> int:
    """How many tokens from here on only concern the cluster."""
    word = tokens[at].text.upper()
    following = tokens[at + 1].text.upper() if at + 1 < len(tokens) else ""
    if word in ("COMPOUND", "INTERLEAVED") and following == "SORTKEY":
        return 1 + _cluster_words(tokens, at + 1)
    if word in ("DISTKEY", "SORTKEY"):
        return 1 + _in_brackets(tokens, at + 1)
    if word == "SORTKEY" or (word == "DISTSTYLE" and following):
        return 2
    if word == "ENCODE" and following and at and tokens[at - 1].text not in (",", "("):
        return 2
    if word == "BACKUP" and following in ("YES", "NO"):
        return 2
    if word == "WITH" and [t.text.upper() for t in tokens[at + 1 : at + 4]] == [
        "NO",
        "SCHEMA",
        "BINDING",
    ]:
        return 4
    return 0


def _in_brackets(tokens: Sequence[Token], at: int) -> int:
    """The number of tokens of a bracketed list that begins here; 0 when none does."""
    if at >= len(tokens) or tokens[at].token_type is not TokenType.L_PAREN:
        return 0
    for end in range(at, len(tokens)):
        if tokens[end].token_type is TokenType.R_PAREN:
            return end - at + 1
    return 0


# -- COPY and UNLOAD
# --------------------------------------------------------------------------------

# Options by the number of words that follow them; None: refused by name.
_COPY_OPTIONS: dict[str, int | None] = {
    "IAM_ROLE": 1,
    "CREDENTIALS": 1,
    "REGION": 1,
    "STATUPDATE": 1,
    "COMPUPDATE": 1,
    "IGNOREHEADER": 1,
    "DELIMITER": 1,
    "TIMEFORMAT": 1,
    "DATEFORMAT": 1,
    "NULL": 1,
    "GZIP": 0,
    "HEADER": 0,
    "ALLOWOVERWRITE": 0,
    "CLEANPATH": 0,
    "PARALLEL": 1,
    "MAXFILESIZE": 2,
    "ROWGROUPSIZE": 2,
    "EMPTYASNULL": 0,
    "BLANKSASNULL": 0,
    "ACCEPTINVCHARS": 0,
    "FILLRECORD": 0,
    "TRUNCATECOLUMNS": None,
    "MANIFEST": None,
    "JSON": None,
    "AVRO": None,
    "ORC": None,
    "SHAPEFILE": None,
    "FIXEDWIDTH": None,
    "ENCRYPTED": None,
    "SERIALIZETOJSON": None,
}
_FORMATS = ("PARQUET", "CSV")
_FILLERS = ("AS", "FORMAT", "WITH", "ON", "OFF")


class _Reader:
    """Reads a command's tokens one after the other."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._tokens)

    def next(self, expected: str = "more") -> str:
        if not self:
            raise SqlError(f"ERROR: syntax error: expected {expected} at the end")
        self._at += 1
        return self._tokens[self._at - 1].text

    def peek(self) -> str:
        return self._tokens[self._at].text if self else ""

    def expect(self, word: str) -> None:
        found = self.next(word)
        if found.upper() != word:
            raise SqlError(f'ERROR: syntax error at or near "{found}": expected {word}')

    def bracketed(self) -> tuple[str, ...]:
        """The names of a bracketed list."""
        self.expect("(")
        names = []
        while (word := self.next(")")) != ")":
            if word != ",":
                names.append(_quoted(word))
        return tuple(names)


def _copy(tokens: Sequence[Token]) -> Copy:
    words = _Reader(tokens)
    words.expect("COPY")
    table = _quoted(words.next("a table"))
    while words.peek() == ".":
        words.next()
        table += f".{_quoted(words.next('a table'))}"
    columns = words.bracketed() if words.peek() == "(" else ()
    words.expect("FROM")
    source = _s3(words.next("a source"))
    form, options, _ = _options("COPY", words)
    _authorized("COPY", options)
    return Copy(table, columns, source, form, options)


def _unload(tokens: Sequence[Token], parameters: Mapping[str, str], used: set[str]) -> Unload:
    words = _Reader(tokens)
    words.expect("UNLOAD")
    words.expect("(")
    text = words.next("a query")
    words.expect(")")
    words.expect("TO")
    target = _s3(words.next("a target"))
    form, options, partition_by = _options("UNLOAD", words)
    _authorized("UNLOAD", options)
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


def _options(command: str, words: _Reader) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """(format, options with their words, the columns of PARTITION BY)."""
    form = ""
    options: dict[str, str] = {}
    partition_by: tuple[str, ...] = ()
    while words:
        word = words.next().upper()
        if word in _FORMATS:
            form = word
        elif word == "PARTITION BY":
            partition_by = words.bracketed()
        elif word in _COPY_OPTIONS:
            count = _COPY_OPTIONS[word]
            if count is None:
                raise _absent(f"{command} with {word}")
            while count and words.peek().upper() == "AS":
                words.next()
            options[word] = " ".join(words.next() for _ in range(count))
        elif word not in _FILLERS:
            raise SqlError(f'ERROR: syntax error at or near "{word}"')
    if not form:
        raise _absent(f"{command} of a text format other than CSV")
    return form, options, partition_by


def _authorized(command: str, options: Mapping[str, str]) -> None:
    if "IAM_ROLE" not in options and "CREDENTIALS" not in options:
        raise SqlError(f"ERROR: {command} needs an IAM_ROLE or CREDENTIALS")


def _quoted(name: str) -> str:
    return exp.to_identifier(name.lower(), quoted=True).sql("duckdb")


def _s3(address: str) -> str:
    if not re.fullmatch(r"s3://[^/]+/.*", address):
        raise SqlError(f"ERROR: only s3:// addresses with a key are available here: {address}")
    return address
