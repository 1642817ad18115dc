"""Tables in DuckDB's words: their columns, and what Redshift lets a column hold."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from pocket.emulator.redshift_data.sql.kinds import kind_of_type
from pocket.emulator.redshift_data.sql.statements import absent

_PLAIN_VARCHAR: Final = 256
_LONGEST_VARCHAR: Final = 65535


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
    if column.kind is None or (kind := kind_of_type(column.kind)) is None:
        raise absent(f"the type {column.kind.sql('redshift') if column.kind else 'of a column'}")
    if kind.family == "char":
        kept.append(_unpadded(column.name))
    bound = _byte_limit(column.kind)
    if bound is not None:
        name = exp.column(column.this.copy())
        check = exp.LTE(this=exp.func("strlen", name), expression=exp.Literal.number(bound))
        kept.append(exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=check)))
        column.set("kind", exp.DataType.build("TEXT"))
    column.set("constraints", kept)
    return before


def _unpadded(name: str) -> exp.ColumnConstraint:
    """Redshift cuts blanks at the end of a CHAR, and a column here keeps what it is given."""
    column = exp.column(exp.to_identifier(name.lower(), quoted=True))
    refused = absent("a text with blanks at its end in a CHAR column")
    case = exp.Case(
        ifs=[
            exp.If(
                this=exp.Like(this=column, expression=exp.Literal.string("% ")),
                true=exp.func("error", exp.Literal.string(str(refused))),
            )
        ],
        default=exp.true(),
    )
    return exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=case))


def _byte_limit(kind: exp.DataType | None) -> int | None:
    """How many bytes a text column takes; None for other types."""
    if kind is None or kind.this not in exp.DataType.TEXT_TYPES:
        return None
    if not kind.expressions:
        if kind.this in (exp.DataType.Type.CHAR, exp.DataType.Type.NCHAR):
            return 1
        return _PLAIN_VARCHAR
    size = kind.expressions[0].name
    return int(size) if size.isdigit() else _LONGEST_VARCHAR
