"""The label: an expression over the raw columns, checked before it runs.

A misspelt column in ``model.yaml`` should be found by name, with the column that was meant, and not
as a query engine's parser error in the middle of a pipeline. An expression that looks across rows
would let the future in, so it is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import duckdb
import ibis
import sqlglot
from ibis.common.exceptions import IbisError
from sqlglot import exp

from contracts.document import suggest
from contracts.errors import DocumentError, PipelineError
from contracts.model import ModelSpec

DIALECT = "duckdb"
"""The SQL in which expressions are written; other engines get a translation."""

BESIDE_THE_ROW = frozenset(
    {
        *("current_timestamp", "current_time", "localtime", "localtimestamp", "current_localtime"),
        *("current_localtimestamp", "getdate", "sysdate", "current_user", "session_user"),
        *("current_role", "current_catalog", "current_setting", "getvariable", "getenv", "version"),
    }
)
"""Functions of the moment, or of who asks, that the engine does not count among those."""
ACROSS_ROWS = (exp.AggFunc, exp.Window, exp.Query)
"""What looks at more than the row itself."""


def with_label(rows: ibis.Table, spec: ModelSpec, keep: Sequence[str]) -> ibis.Table:
    """The rows' columns ``keep`` and their label, a floating-point number, null where unknown.

    For classification the expression is a condition, and the label 1 where it holds and 0 where it
    does not; for regression it is a number.

    Raises:
        DocumentError: the expression is not one, names no column or one that does not exist, or
        gives the wrong kind of value.
        PipelineError: the engine cannot compute it from these columns.
    """
    label = spec.source.label
    expression = parse_expression(label.expression, rows.columns, where=place(spec))
    kept = (exp.column(name, quoted=True) for name in keep)
    query = (
        exp.select(*kept, exp.alias_(exp.paren(expression), label.name, quoted=True))
        .from_("rows")
        .sql(dialect=DIALECT)
    )
    try:
        labelled = rows.alias("rows").sql(query, dialect=DIALECT)
    except Exception as error:
        raise PipelineError(
            f"the label {label.expression!r} cannot be computed: {str(error).splitlines()[0]}",
            where=place(spec),
            fix="compare a column with a value of its own type",
        ) from error
    check_kind(labelled[label.name].type(), spec)
    return labelled.mutate(**{label.name: labelled[label.name].cast("float64")})


def rehearse_label(row: ibis.Table, spec: ModelSpec) -> None:
    """Compute the label of a row without values, which shows what is wrong with the expression's
    own ones: ``placed > '2024-13-01'``.

    Raises:
        DocumentError: see `with_label`.
        PipelineError: likewise.
    """
    try:
        with_label(row, spec, keep=()).to_pyarrow()
    except (duckdb.Error, IbisError) as error:
        raise PipelineError(
            f"the label {spec.source.label.expression!r} cannot be computed: "
            f"{str(error).splitlines()[0]}",
            where=place(spec),
        ) from error


def place(spec: ModelSpec) -> str:
    """Where a person wrote it."""
    return f"model {spec.name}: source.label.expression"


def parse_expression(text: str, columns: tuple[str, ...], *, where: str) -> exp.Condition:
    """One expression about one row, over columns that exist.

    Raises:
        DocumentError: it is not that; every unknown column is listed.
    """
    try:
        expression = sqlglot.parse_one(text, dialect=DIALECT)
    except sqlglot.errors.SqlglotError as error:
        listed = getattr(error, "errors", ())
        reason = listed[0]["description"] if listed else str(error)
        raise DocumentError(
            f"{text!r} is not an expression: {reason}",
            where=where,
            fix='write one such as "amount > 15"',
        ) from None
    across = expression.find(*ACROSS_ROWS)
    if across is not None:
        raise DocumentError(
            f"{across.sql(dialect=DIALECT)!r} looks at more than one row",
            where=where,
            fix="a label is about its own row alone",
        )
    changing = [call for call in expression.find_all(exp.Func) if is_changing(call)]
    if changing:
        named = ", ".join(repr(call.sql(dialect=DIALECT)) for call in changing)
        raise DocumentError(
            f"{named} gives another value each time",
            where=where,
            fix="a label must be the same whenever it is computed: use the row's columns alone",
        )
    if not isinstance(expression, exp.Condition):
        raise DocumentError(
            f"{text!r} is a statement, not an expression",
            where=where,
            fix='write one such as "amount > 15"',
        )
    names = list(dict.fromkeys(column.name for column in expression.find_all(exp.Column)))
    problems = tuple(
        f"{name}: unknown column; {suggest(name, columns)}" for name in names if name not in columns
    )
    if problems or not names:
        raise DocumentError(
            f"{text!r} names {'unknown columns' if names else 'no column'}",
            where=where,
            problems=problems,
        )
    return expression


def is_changing(call: exp.Func) -> bool:
    """Whether a call with the same arguments may give another value later, or to somebody else."""
    name = call.sql(dialect=DIALECT).partition("(")[0].lower()
    if name == "age":  # of one moment: until now
        return len(call.expressions) == 1
    return name in BESIDE_THE_ROW or name in changing_functions()


@functools.cache
def changing_functions() -> frozenset[str]:
    """The functions of which the engine says that they are not the same each time."""
    query = "select function_name from duckdb_functions() where stability <> 'CONSISTENT'"
    with duckdb.connect() as engine:
        return frozenset(name for (name,) in engine.execute(query).fetchall())


def check_kind(type_: ibis.expr.datatypes.DataType, spec: ModelSpec) -> None:
    """A condition for classification, a number for regression.

    Raises:
        DocumentError: it is something else.
    """
    expected = "a condition" if spec.task == "classification" else "a number"
    fits = type_.is_boolean() if spec.task == "classification" else type_.is_numeric()
    if not fits:
        raise DocumentError(
            f"{spec.source.label.expression!r} gives {type_}, but {spec.task} needs {expected}",
            where=place(spec),
        )
