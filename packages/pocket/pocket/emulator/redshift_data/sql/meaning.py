"""What a statement means: each node in the form that gives Redshift's answer in DuckDB.

What is in no table here or in `functions` is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sqlglot import exp

from pocket.emulator.redshift_data.sql.calls import (
    FORMS,
    call,
    call_kind,
    function,
    joined,
    key,
    part,
    settled,
    unpadded,
)
from pocket.emulator.redshift_data.sql.functions import AGGREGATES, PREFIX, SCALARS, WINDOWS
from pocket.emulator.redshift_data.sql.kinds import (
    NUMBERS,
    TEXT,
    TIMESTAMP,
    UNKNOWN,
    Catalogue,
    Kind,
    Kinds,
    arithmetic,
    kind_of_type,
)
from pocket.emulator.redshift_data.sql.statements import SqlError, absent

_SYSTEM_VIEWS: Final = re.compile(r"(stl|stv|svl|svv|svcs|sys)_\w+|pg_table_def|pg_(?!sleep)\w+")

_COMPARISONS: Final = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_OPERATORS: Final = (
    *_COMPARISONS,
    *(exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Exists, exp.Any, exp.All),
    *(exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.Escape),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Pow, exp.DPipe),
    *(exp.BitwiseAnd, exp.BitwiseOr, exp.Paren, exp.Alias, exp.AtTimeZone),
)
_SPECIAL: Final = (
    *(exp.Anonymous, exp.Cast, exp.Case, exp.If, exp.Extract, exp.Trim, exp.Substring),
    *(exp.StrPosition, exp.CurrentDate, exp.CurrentTimestamp),
)
_CHECKED: Final = (
    *(exp.Func, exp.Binary, exp.Unary, exp.Bracket, exp.Filter, exp.Lateral, exp.Pivot),
    *(exp.TableSample, exp.Unnest),
)
_JOINS: Final = ("", "INNER", "OUTER", "CROSS")
_FRAMED: Final = (*AGGREGATES, "first_value", "last_value", "nth_value")


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
    """Let through only what has a meaning here.

    Raises:
        SqlError: a view, a function, an operator or a type has none.
    """
    for table in tree.find_all(exp.Table):
        if _SYSTEM_VIEWS.fullmatch(table.name.lower()):
            raise absent(f"the system view {table.name.lower()}")
    for node in tree.walk():
        if isinstance(node, exp.Anonymous):
            function(node)
        elif isinstance(node, exp.Cast) and kind_of_type(node.to) is None:
            raise absent(f"the type {node.to.sql('redshift')}")
        elif isinstance(node, exp.Window):
            _refuse_frame(node)
        elif isinstance(node, exp.Join) and (node.kind not in _JOINS or node.method == "ASOF"):
            raise absent(f"the join {node.method or node.kind}")
        elif isinstance(node, exp.Distinct) and node.args.get("on"):
            raise absent("DISTINCT ON")
        elif not isinstance(node, _OPERATORS + _SPECIAL) and _operates(node):
            named = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__
            raise absent(f"the function or operator {named.upper()}")


def _operates(node: exp.Expr) -> bool:
    """Whether a node is an operation, and no part of a statement's form."""
    return isinstance(node, _CHECKED) and not (
        isinstance(node, exp.Dot | exp.PropertyEQ | exp.Connector)
        or node.find_ancestor(exp.Property, exp.Alter, exp.Set)
    )


def _refuse_frame(window: exp.Window) -> None:
    inner = window.find(exp.Anonymous)
    named = inner.name.lower() if inner else ""
    if named in _FRAMED and window.args.get("order") and not window.args.get("spec"):
        raise SqlError(
            f"ERROR: Aggregate window functions with an ORDER BY clause require a frame clause: "
            f"{named.upper()}"
        )


def meant(tree: exp.Expr, catalogue: Catalogue) -> exp.Expr:
    """A statement's tree in the form that gives in DuckDB what Redshift would give."""
    kinds = Kinds(catalogue, call_kind)
    for node in list(tree.walk()):
        if isinstance(node, exp.Condition | exp.Query):
            kinds(node)
    return _rewritten(tree, kinds)


def _rewritten(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A node whose parts have their forms already, in its own form."""
    for name, value in list(node.args.items()):
        if isinstance(value, exp.Expr):
            node.set(name, _rewritten(value, kinds))
        elif isinstance(value, list):
            node.set(
                name,
                [_rewritten(each, kinds) if isinstance(each, exp.Expr) else each for each in value],
            )
    kind = kinds(node) if isinstance(node, exp.Condition) else UNKNOWN
    form = next((form for types, form in _FORMS if isinstance(node, types)), None)
    made = form(node, kinds) if form else node
    if made is not node:
        kinds.take(made, kind)
    return made


# --- forms ----------------------------------------------------------------------------------------


def _identifier(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    # Redshift folds names to lower case even within quotes, by default.
    node.set("this", node.this.lower())
    return node


def _comparison(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if isinstance(node.parent, exp.Update | exp.SetItem | exp.When):  # an assignment
        return node
    keys = _keys([node.this, node.expression], kinds)
    node.set("this", keys[0])
    node.set("expression", keys[1])
    return node


def _keys(values: list[exp.Expr], kinds: Kinds) -> list[exp.Expr]:
    """Values to be compared: texts are alike whatever blanks are at their ends."""
    found = [kinds(value) for value in values]
    if any(kind.is_text for kind in found) and all(
        kind.is_text or not kind.is_known for kind in found
    ):
        return [key(value, kinds) for value in values]
    return values


def _in(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    query = node.args.get("query")
    inner = query.this if isinstance(query, exp.Subquery) else query
    if isinstance(inner, exp.Select) and kinds(node.this).is_text and len(inner.expressions) == 1:
        (projection,) = inner.expressions
        if kinds(projection).is_text:
            inner.set("expressions", [key(projection.unalias(), kinds)])
            node.set("this", key(node.this, kinds))
        return node
    this, *values = _keys([node.this, *node.expressions], kinds)
    node.set("this", this)
    node.set("expressions", values)
    return node


def _between(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    names = ("this", "low", "high")
    for name, value in zip(names, _keys([node.args[name] for name in names], kinds), strict=True):
        node.set(name, value)
    return node


def _case(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.this:
        values = [node.this, *(branch.this for branch in node.args["ifs"])]
        this, *tests = _keys(values, kinds)
        node.set("this", this)
        for branch, test in zip(node.args["ifs"], tests, strict=True):
            branch.set("this", test)
    return node


def _quotient(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    left, right = kinds(node.this), kinds(node.expression)
    kind = arithmetic(type(node), left, right)
    others = {"text", "null"}
    if kind == UNKNOWN and (left.family in others or right.family in others):
        # A literal in quotes takes the other's kind, and so does NULL.
        kind = left if left.is_number else right
    if kind.family not in NUMBERS:
        raise absent(f"{node.sql('redshift')}, of which the types are not known; cast both sides:")
    if not isinstance(node.expression, exp.Literal) or float(node.expression.this or 1) == 0:
        node.set("expression", call(f"{PREFIX}divisor", node.expression))
    if isinstance(node, exp.Mod) and kind.is_float:
        raise absent("a remainder of floating point numbers")
    return settled(_wrapped(node), kind)


def _sum(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    left, right = kinds(node.this), kinds(node.expression)
    if left.is_float and right.is_number and left != right:
        return exp.cast(_wrapped(node), "DOUBLE")
    if right.is_float and left.is_number and left != right:
        return exp.cast(_wrapped(node), "DOUBLE")
    moments = ("timestamp", "timestamptz")
    if isinstance(node, exp.Sub) and left.family in moments and right.family in moments:
        raise absent("the difference of two timestamps (use DATEDIFF)")
    if isinstance(node, exp.Sub) and left.family == right.family == "date":
        return exp.cast(_wrapped(node), "INT")
    return node


def _wrapped(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node)


def _join(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.cast(_wrapped(node), "TEXT") if node.find(exp.Null) else node


def _power(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return call(f"{PREFIX}power", node.this, node.expression)


def _like(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if isinstance(node.parent, exp.Escape):
        return node
    return exp.Escape(this=node, expression=exp.Literal.string("\\"))


_SIMILAR: Final = {"%": ".*", "_": ".", ".": r"\.", "^": r"\^", "$": r"\$"}


def _similar(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """https://docs.aws.amazon.com/redshift/latest/dg/pattern-matching-conditions-similar-to.html"""
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or isinstance(node.parent, exp.Escape):
        raise absent("SIMILAR TO with a computed pattern or an ESCAPE")
    parts = re.findall(r"\\.|\[[^\]]*\]|.", pattern.name, flags=re.DOTALL)
    text = "".join(_SIMILAR.get(each, each) for each in parts)
    return call("regexp_full_match", node.this, exp.Literal.string(text), exp.Literal.string("s"))


def _matches(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return call("regexp_matches", node.this, node.expression)


def _cast(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    kind, before = kind_of_type(node.args["to"]), kinds(node.this)
    assert kind
    this = node.this
    if kind.is_integer and before.is_text:
        this = call(f"{PREFIX}integer", this)
    if kind.is_text:
        text = call(f"{PREFIX}shortest", this) if before.is_float else exp.cast(this, "TEXT")
        size = next((size.name for size in node.args["to"].expressions), "")
        if size.isdigit():
            # A cast cuts, where a column refuses.
            text = call(f"{PREFIX}cut", text, exp.Literal.number(size))
        return call("rtrim", text, exp.Literal.string(" ")) if kind.family == "char" else text
    return exp.cast(this, exp.DataType.build(kind.sql(), dialect="duckdb"))


def _extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    moment = node.expression
    return settled(part(node.name, moment, kinds), kinds(node))


def _trim(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position")), "btrim")
    return call(f"{PREFIX}{name}", node.this, *([node.expression] if node.expression else []))


def _substring(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    start = node.args.get("start") or exp.Literal.number(1)
    length = node.args.get("length")
    return call(f"{PREFIX}substring", node.this, start, *([length] if length else []))


def _position(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return call(f"{PREFIX}strpos", node.this, node.args["substr"])


def _now(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.cast(call("now"), TIMESTAMP.sql())


def _call(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    name = node.name.lower()
    if name in FORMS:
        return FORMS[name](node, kinds)
    if name in SCALARS:
        made = call(f"{PREFIX}{name}", *node.expressions)
        rule = SCALARS[name].kind
        return made if rule == kinds(node) else settled(made, kinds(node))
    if name in WINDOWS:
        node.set("this", name)
        return node
    return _aggregate(node, kinds)


def _aggregate(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A sum or the like; its type is settled around its window, if it has one."""
    if isinstance(node.parent, exp.Window | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        return node
    return joined(node, kinds, lambda aggregate: aggregate)


def _window(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A function over a window, which is compared like any text within its parts."""
    node.set(
        "partition_by",
        [
            key(each, kinds) if kinds(each).is_text else each
            for each in node.args.get("partition_by") or []
        ],
    )
    whole = node.this
    inner = whole.this if isinstance(whole, exp.WithinGroup) else whole
    if not isinstance(inner, exp.Anonymous) or inner.name.lower() not in AGGREGATES:
        return settled(node, kinds(node)) if kinds(node).is_integer else node

    def over(aggregate: exp.Expr) -> exp.Expr:
        window = node.copy()
        window.set("this", aggregate)
        return window

    return joined(whole, kinds, over)


def _within_group(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if isinstance(node.parent, exp.Window):
        return node
    return joined(node, kinds, lambda aggregate: aggregate)


def _select(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """Texts that end in blanks are alike where rows are grouped: refused, for which of them would
    be shown nobody says.
    """
    group = node.args.get("group")
    if group:
        for each in list(group.expressions):
            value = _grouped(node, each)
            if kinds(value).is_text and not value.find(exp.Anonymous):
                group.append("expressions", unpadded(value.copy()))
    if node.args.get("distinct"):
        _show_unpadded(node, kinds)
    _join_unpadded(node, kinds)
    return node


def _show_unpadded(select: exp.Expr, kinds: Kinds) -> None:
    """Let a query give no text that ends in blanks."""
    sources = list(kinds.sources(select))
    columns = sources[0][1] if len(sources) == 1 else {}
    shown = []
    for each in select.expressions:
        made = _unpadded(each, kinds)
        if isinstance(each, exp.Star) and (named := _texts(columns)):
            made = exp.Star(replace=[exp.alias_(unpadded(exp.column(n)), n) for n in named])
        shown.append(made)
    select.set("expressions", shown)


def _texts(columns: Mapping[str, Kind]) -> list[str]:
    return [name for name, kind in columns.items() if kind.is_text]


def _join_unpadded(select: exp.Expr, kinds: Kinds) -> None:
    """Let no text that ends in blanks be joined by its name (``USING``)."""
    sources = list(kinds.sources(select))
    for join in select.args.get("joins") or []:
        for name in (each.name.lower() for each in join.args.get("using") or []):
            if any(name in _texts(columns) for _, columns in sources):
                for read in (select.args["from_"], *select.args["joins"]):
                    columns = dict(sources).get(read.this.alias_or_name.lower(), {})
                    if name in _texts(columns):
                        read.set("this", _checked(read.this, name))


def _checked(read: exp.Expr, name: str) -> exp.Expr:
    """What a query reads, without texts in a column that end in blanks."""
    alias = read.alias_or_name
    star = exp.Star(replace=[exp.alias_(unpadded(exp.column(name)), name)])
    inner = exp.Select(expressions=[star]).from_(read)
    return inner.subquery(alias) if alias else inner.subquery()


def _grouped(select: exp.Expr, value: exp.Expr) -> exp.Expr:
    """What is grouped by: a number or a name may stand for a column of the result."""
    if isinstance(value, exp.Literal) and not value.is_string:
        place = int(value.name) - 1
        chosen = select.expressions[place : place + 1]
        return chosen[0].unalias() if chosen else value
    if isinstance(value, exp.Column) and not value.table:
        for projection in select.expressions:
            if isinstance(projection, exp.Alias) and projection.alias == value.name:
                return projection.unalias()
    return value


def _unpadded(projection: exp.Expr, kinds: Kinds) -> exp.Expr:
    if projection.is_star or not kinds(projection).is_text:
        return projection
    made = exp.alias_(unpadded(projection.unalias()), projection.alias_or_name or "text")
    kinds.take(made, TEXT)
    return made


def _united(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.args.get("distinct"):
        for side in (node.this, node.expression):
            if isinstance(side, exp.Select):
                _show_unpadded(side, kinds)
    return node


def _type(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    kind = kind_of_type(node) if isinstance(node, exp.DataType) else None
    if kind is None or isinstance(node.parent, exp.Cast) or kind.is_text:
        return node
    return exp.DataType.build(kind.sql(), dialect="duckdb")


_FORMS: Final[
    tuple[tuple[tuple[type[exp.Expr], ...], Callable[[exp.Expr, Kinds], exp.Expr]], ...]
] = (
    ((exp.Identifier,), _identifier),
    (_COMPARISONS, _comparison),
    ((exp.In,), _in),
    ((exp.Between,), _between),
    ((exp.Case,), _case),
    ((exp.Div, exp.Mod), _quotient),
    ((exp.Add, exp.Sub, exp.Mul), _sum),
    ((exp.DPipe,), _join),
    ((exp.Pow,), _power),
    ((exp.Like, exp.ILike), _like),
    ((exp.SimilarTo,), _similar),
    ((exp.RegexpLike,), _matches),
    ((exp.Cast,), _cast),
    ((exp.Extract,), _extract),
    ((exp.Trim,), _trim),
    ((exp.Substring,), _substring),
    ((exp.StrPosition,), _position),
    ((exp.CurrentTimestamp,), _now),
    ((exp.Anonymous,), _call),
    ((exp.Window,), _window),
    ((exp.WithinGroup,), _within_group),
    ((exp.Select,), _select),
    ((exp.SetOperation,), _united),
    ((exp.DataType,), _type),
)
