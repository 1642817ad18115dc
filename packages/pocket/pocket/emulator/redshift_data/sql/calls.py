"""Calls whose words in DuckDB depend on the types, the number or the text of their arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sqlglot import exp

from pocket.emulator.redshift_data.sql.functions import (
    FORMATS,
    FUNCTIONS,
    PARTS,
    PREFIX,
    Function,
)
from pocket.emulator.redshift_data.sql.kinds import DATE, FLOAT8, TIMESTAMP, Kind, Kinds
from pocket.emulator.redshift_data.sql.statements import absent

_STEPS: Final = {
    **{part: f"to_{part}s" for part in ("year", "month", "day", "hour", "minute", "second")},
    **{part: f"to_{part}s" for part in ("decade", "quarter", "week", "millisecond")},
    "century": "to_centuries",
    "millennium": "to_millennia",
    "microsecond": "to_microseconds",
}
"""DuckDB's interval of so many parts."""


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call in DuckDB's words, as it is written here."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def function(node: exp.Anonymous) -> Function:
    """The row of a call.

    Raises:
        SqlError: there is none of that name, or it takes another number of arguments.
    """
    name = node.name.lower()
    if name not in FUNCTIONS:
        raise absent(f"the function {node.name.upper()}")
    found = FUNCTIONS[name]
    if found.forms and not found.takes(len(node.expressions)):
        raise absent(f"the function {node.name.upper()} of {len(node.expressions)} arguments")
    return found


def call_kind(kinds: Kinds, node: exp.Anonymous) -> Kind:
    """The kind that a call gives."""
    arguments = [
        kinds(each.expressions[0] if isinstance(each, exp.Distinct) else each)
        for each in node.expressions
    ]
    return function(node).gives(arguments)


def settled(node: exp.Expr, kind: Kind) -> exp.Expr:
    """A number as the type that Redshift gives it."""
    if not kind.is_number:
        return node
    return exp.cast(node, exp.DataType.build(kind.sql(), dialect="duckdb"))


def key(value: exp.Expr, kinds: Kinds) -> exp.Expr:
    """What a text is compared by: blanks at its end say nothing
    (https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html).
    """
    kind = kinds(value)
    made = value
    if isinstance(value, exp.Literal):
        made = exp.Literal.string(value.name.rstrip(" ")) if value.is_string else value
    elif kind.is_text:
        made = call("rtrim", value, exp.Literal.string(" "))
    if made is not value:
        kinds.take(made, kind)
    return made


def unpadded(value: exp.Expr) -> exp.Expr:
    """A text that must not end in blanks."""
    return call(f"{PREFIX}unpadded", value)


# --- aggregates -----------------------------------------------------------------------------------


def joined(node: exp.Expr, kinds: Kinds, over: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """An aggregate in DuckDB's words and of Redshift's type.

    Args:
        node: the call, or its ordering (``WITHIN GROUP``) around it.
        over: puts an aggregate over the call's window.
    """
    inner = node.this if isinstance(node, exp.WithinGroup) else node
    name, kind = inner.name.lower(), kinds(node)
    arguments = list(inner.expressions)
    distinct = isinstance(arguments[0], exp.Distinct) if arguments else False
    values = list(arguments[0].expressions) if distinct else arguments
    if not values or (len(values) > 1 and name != "listagg"):
        raise absent(f"{name.upper()} of {len(values)} arguments")
    if distinct and kinds(values[0]).is_text and name != "listagg":
        values[0] = key(values[0], kinds)
    if name == "listagg":
        return over(_listagg(node, values, distinct=distinct))

    def of(aggregate: str) -> exp.Expr:
        chosen = [value.copy() for value in values]
        return over(
            exp.Anonymous(
                this=aggregate,
                expressions=[exp.Distinct(expressions=chosen)] if distinct else chosen,
            )
        )

    if name == "avg" and kind != FLOAT8:
        if not kind.is_number:
            raise absent(f"{node.sql('redshift')}, of which the type is not known; cast it:")
        return settled(exp.Paren(this=exp.Div(this=of("sum"), expression=of("count"))), kind)
    return settled(of(name), kind)


def _listagg(node: exp.Expr, values: list[exp.Expr], *, distinct: bool) -> exp.Expr:
    text, *rest = values
    separator = rest[0] if rest else exp.Literal.string("")
    order = node.expression if isinstance(node, exp.WithinGroup) else None
    written = exp.cast(text, "TEXT")
    first: exp.Expr = exp.Distinct(expressions=[written]) if distinct else written
    last = exp.Order(this=separator, expressions=order.expressions) if order else separator
    return exp.Anonymous(this="string_agg", expressions=[first, last])


# --- moments --------------------------------------------------------------------------------------


def _part_of(node: exp.Expr) -> str:
    """A part of a date, by DuckDB's name."""
    name = node.name.lower()
    if name not in PARTS:
        raise absent(f"the date part {name.upper()}")
    return PARTS[name]


def _moment(value: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kinds(value).family == "time":
        raise absent("this function of a TIME")
    return value if kinds(value).family == "timestamptz" else exp.cast(value, TIMESTAMP.sql())


def part(name: str, value: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A part of a moment."""
    wanted = _part_of(exp.var(name))
    if wanted == "microsecond":
        raise absent("the date part MICROSECOND of a moment")
    found = call("date_part", exp.Literal.string(wanted), _moment(value, kinds))
    # Those of the second, not of the minute.
    return (
        exp.Mod(this=found, expression=exp.Literal.number(1000))
        if wanted == "millisecond"
        else found
    )


def _add(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 3)
    unit, count, value = node.expressions
    wanted = _part_of(unit)
    if wanted not in _STEPS:
        raise absent(f"{node.name.upper()} of the date part {wanted.upper()}")
    step = call(_STEPS[wanted], exp.cast(count, "INT"))
    return exp.Paren(this=exp.Add(this=_moment(value, kinds), expression=step))


def _difference(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 3)
    unit, first, second = node.expressions
    wanted = _part_of(unit)
    if wanted not in _STEPS:
        raise absent(f"{node.name.upper()} of the date part {wanted.upper()}")
    moments = (exp.cast(_moment(each, kinds), TIMESTAMP.sql()) for each in (first, second))
    return call("date_diff", exp.Literal.string(wanted), *moments)


def _date_part(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    return settled(part(node.expressions[0].name, node.expressions[1], kinds), FLOAT8)


def _date_trunc(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    wanted = _part_of(node.expressions[0])
    if wanted in ("dow", "doy", "epoch"):
        raise absent(f"DATE_TRUNC of the date part {wanted.upper()}")
    return call("date_trunc", exp.Literal.string(wanted), _moment(node.expressions[1], kinds))


def _trunc(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    value, kind = node.expressions[0], kinds(node.expressions[0])
    if kind.family in ("timestamp", "date"):
        return exp.cast(value, DATE.sql())
    if not kind.is_number:
        raise absent(f"{node.sql('redshift')}, of which the type is not known; cast it:")
    made = exp.Anonymous(this="trunc", expressions=node.expressions)
    return (
        made
        if kind.family == "numeric" and len(node.expressions) > 1
        else settled(made, kinds(node))
    )


_WORDS: Final = re.compile(
    '"[^"]*"|'
    + "|".join(sorted((re.escape(word) for word in FORMATS), key=len, reverse=True))
    + "|.",
    re.IGNORECASE | re.DOTALL,
)


def _format(node: exp.Expr, what: str, *, reads: bool) -> exp.Expr:
    """A format in strftime's words."""
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise absent(f"{what} with a computed format")
    parts = []
    for word in _WORDS.findall(node.name):
        form = FORMATS.get(word, FORMATS.get(word.upper(), None if word.isalpha() else word))
        if not form and reads and word.upper() in ("MON", "MONTH"):
            form = "%b" if word.upper() == "MON" else "%B"
        if not form:
            raise absent(f"{what} with {word!r} in its format")
        parts.append(word.strip('"') if word.startswith('"') else form)
    return exp.Literal.string("".join(parts))


def _to_char(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    value, form = node.expressions
    if kinds(value).family not in ("date", "timestamp", "timestamptz"):
        raise absent("TO_CHAR of what is not a date or a timestamp")
    return call("strftime", value, _format(form, "TO_CHAR", reads=False))


def _to_date(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    text, form = node.expressions
    moment = call("strptime", text, _format(form, node.name.upper(), reads=True))
    return exp.cast(moment, DATE.sql() if node.name.lower() == "to_date" else "TIMESTAMPTZ")


# --- the rest -------------------------------------------------------------------------------------


def _takes(node: exp.Expr, *counts: int) -> None:
    if len(node.expressions) not in counts:
        raise absent(f"the function {node.name.upper()} of {len(node.expressions)} arguments")


def _native(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    names = {"nvl": "coalesce", "isnull": "coalesce"}
    name = node.name.lower()
    if not node.expressions:
        raise absent(f"the function {name.upper()} without arguments")
    return exp.Anonymous(this=names.get(name, name), expressions=node.expressions)


def _nvl2(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 3)
    value, there, missing = node.expressions
    test = exp.Not(this=exp.Is(this=value, expression=exp.Null()))
    return exp.Case(ifs=[exp.If(this=test, true=there)], default=missing)


def _equal(first: exp.Expr, second: exp.Expr, kinds: Kinds, kind: type[exp.Expr]) -> exp.Expr:
    if kinds(first).is_text or kinds(second).is_text:
        first, second = key(first, kinds), key(second, kinds)
    return kind(this=first.copy(), expression=second.copy())


def _nullif(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    first, second = node.expressions
    same = _equal(first, second, kinds, exp.EQ)
    return exp.Case(ifs=[exp.If(this=same, true=exp.Null())], default=first)


def _decode(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """NULL is like NULL (https://docs.aws.amazon.com/redshift/latest/dg/r_DECODE_expression.html)."""
    value, *rest = node.expressions
    if len(rest) < 2:
        raise absent(f"the function DECODE of {len(rest) + 1} arguments")
    branches = [
        exp.If(this=_equal(value, test, kinds, exp.NullSafeEQ), true=result)
        for test, result in zip(rest[::2], rest[1::2], strict=False)
    ]
    return exp.Case(ifs=branches, default=rest[-1] if len(rest) % 2 else exp.Null())


def _mod(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    first, second = node.expressions
    if kinds(first).is_float or kinds(second).is_float:
        raise absent("MOD of floating point numbers")
    divisor = call(f"{PREFIX}divisor", second)
    return exp.Paren(this=exp.Mod(this=first, expression=divisor))


def _path(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    value, *names = node.expressions
    if not names or not all(isinstance(name, exp.Literal) and name.is_string for name in names):
        raise absent("JSON_EXTRACT_PATH_TEXT with a computed path")
    path = "$" + "".join(f'."{name.name}"' for name in names)
    found = call("json_extract_string", exp.cast(value, "JSON"), exp.Literal.string(path))
    return call("coalesce", found, exp.Literal.string(""))


def _sha2(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    _takes(node, 2)
    if node.expressions[1].name not in ("256", "0"):
        raise absent("SHA2 of other than 256 bits")
    return call("sha256", node.expressions[0])


FORMS: Final[Mapping[str, Callable[[exp.Expr, Kinds], exp.Expr]]] = {
    **dict.fromkeys(("coalesce", "nvl", "greatest", "least", "generate_series"), _native),
    "isnull": _native,
    "nvl2": _nvl2,
    "nullif": _nullif,
    "decode": _decode,
    "mod": _mod,
    "trunc": _trunc,
    **dict.fromkeys(("dateadd", "date_add"), _add),
    **dict.fromkeys(("datediff", "date_diff"), _difference),
    **dict.fromkeys(("date_part", "pgdate_part"), _date_part),
    "date_trunc": _date_trunc,
    "to_char": _to_char,
    **dict.fromkeys(("to_date", "to_timestamp"), _to_date),
    "json_extract_path_text": _path,
    "sha2": _sha2,
}
