"""What a statement means: each node in the form that gives Redshift's answer in DuckDB."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from pocket.emulator.redshift_data.sql.statements import SqlError, absent

_PLAIN_VARCHAR = 256
_LONGEST_VARCHAR = 65535
_REFUSED_FUNCTIONS = frozenset({"ratio_to_report", "fnv_hash", "crc32", "strtol", "object"})
_SYSTEM_VIEWS = re.compile(r"(stl|stv|svl|svv|svcs|sys)_\w+|pg_table_def|pg_(?!sleep)\w+")


def fill(tree: exp.Expr, parameters: Mapping[str, str], used: set[str]) -> exp.Expr:
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


def refuse(tree: exp.Expr) -> None:
    for table in tree.find_all(exp.Table):
        name = table.name.lower()
        if _SYSTEM_VIEWS.fullmatch(name):
            raise absent(f"the system view {name}")
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() in _REFUSED_FUNCTIONS:
            raise absent(f"the function {call.name.upper()}")


def meaning(node: exp.Expr) -> exp.Expr:
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


def create(tree: exp.Create) -> list[str]:
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
