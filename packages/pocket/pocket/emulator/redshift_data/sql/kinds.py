"""What kind of value an expression gives: the types that Redshift would have for it.

An operator means different things for different types (``/``, ``avg``, ``=``), and Redshift's types
of results are not DuckDB's. The types of columns come from the catalogue, those of expressions from
the rules that Redshift's documentation states.

Source: https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

MOST_DIGITS: Final = 38


@dataclass(frozen=True)
class Kind:
    """A type of Redshift's; precision and scale where it is ``numeric``."""

    family: str
    precision: int = 0
    scale: int = 0

    @property
    def is_text(self) -> bool:
        return self.family in ("text", "char")

    @property
    def is_integer(self) -> bool:
        return self.family in _DIGITS

    @property
    def is_float(self) -> bool:
        return self.family in ("float4", "float8")

    @property
    def is_number(self) -> bool:
        return self.family in NUMBERS

    @property
    def is_known(self) -> bool:
        return self.family not in ("unknown", "null")

    def as_numeric(self) -> Kind:
        """An integer as the numeric that it is cast to beside one."""
        return Kind("numeric", _DIGITS[self.family], 0) if self.is_integer else self

    def sql(self) -> str:
        """The type in DuckDB's words."""
        if self.family == "numeric":
            return f"DECIMAL({self.precision}, {self.scale})"
        return _SQL[self.family]


_DIGITS: Final = {"int2": 5, "int4": 10, "int8": 19}
NUMBERS: Final = ("int2", "int4", "int8", "numeric", "float4", "float8")
"""In the order in which one gives way to another."""
_SQL: Final = {
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "REAL",
    "float8": "DOUBLE",
    "bool": "BOOLEAN",
    "text": "TEXT",
    "char": "TEXT",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "time": "TIME",
    "interval": "INTERVAL",
    "super": "JSON",
    "binary": "BLOB",
}

INT2, INT4, INT8 = Kind("int2"), Kind("int4"), Kind("int8")
FLOAT4, FLOAT8, BOOL = Kind("float4"), Kind("float8"), Kind("bool")
TEXT, CHAR, DATE, TIME = Kind("text"), Kind("char"), Kind("date"), Kind("time")
TIMESTAMP, TIMESTAMPTZ = Kind("timestamp"), Kind("timestamptz")
INTERVAL, SUPER, BINARY = Kind("interval"), Kind("super"), Kind("binary")
NULL, UNKNOWN = Kind("null"), Kind("unknown")

Type = exp.DType
_OF_TYPES: Final[Mapping[exp.DType, Kind]] = {
    Type.SMALLINT: INT2,
    Type.INT: INT4,
    Type.BIGINT: INT8,
    Type.FLOAT: FLOAT4,
    Type.DOUBLE: FLOAT8,
    Type.BOOLEAN: BOOL,
    Type.DATE: DATE,
    Type.TIME: TIME,
    Type.TIMESTAMP: TIMESTAMP,
    Type.TIMESTAMPNTZ: TIMESTAMP,
    Type.TIMESTAMPTZ: TIMESTAMPTZ,
    Type.TEXT: TEXT,
    Type.VARCHAR: TEXT,
    Type.NVARCHAR: TEXT,
    Type.CHAR: CHAR,
    Type.NCHAR: CHAR,
    Type.BPCHAR: CHAR,
    Type.SUPER: SUPER,
    Type.JSON: SUPER,
    Type.VARBINARY: BINARY,
    Type.INTERVAL: INTERVAL,
    # What DuckDB's sums are, where they stand in a table.
    Type.INT128: Kind("numeric", MOST_DIGITS, 0),
}


def kind_of_type(kind: exp.DataType) -> Kind | None:
    """The kind of a type that Redshift has; None for others."""
    if kind.this is Type.DECIMAL:
        sizes = [int(size.name) for size in kind.expressions]
        # Redshift's NUMERIC has 18 digits before the point and none after it.
        return Kind("numeric", *(sizes or [18]))
    return _OF_TYPES.get(kind.this)


def kind_of_column(duckdb: str) -> Kind:
    """The kind of a column by DuckDB's name of its type."""
    try:
        built = exp.DataType.build(duckdb, dialect="duckdb")
    except ValueError:
        return UNKNOWN
    return kind_of_type(built) or UNKNOWN


def number(text: str) -> Kind:
    """The kind of a number as it is written."""
    if "e" in text.lower():
        return FLOAT8
    if "." in text:
        whole, _, rest = text.partition(".")
        digits = len(whole.lstrip("0")) + len(rest)
        return Kind("numeric", max(digits, 1), len(rest)) if digits <= MOST_DIGITS else UNKNOWN
    value = int(text)
    if value < 1 << 31:
        return INT4
    return INT8 if value < 1 << 63 else Kind("numeric", min(len(text), MOST_DIGITS), 0)


def common(kinds: Sequence[Kind]) -> Kind:
    """What values of several kinds become in one column: of UNION, CASE, COALESCE."""
    known = [kind for kind in kinds if kind.family != "null"]
    if not known:
        return NULL
    if len(set(known)) == 1:
        return known[0]
    if all(kind.is_number for kind in known):
        top = max(known, key=lambda kind: NUMBERS.index(kind.family))
        if top.family != "numeric":
            return top
        numerics = [kind.as_numeric() for kind in known]
        scale = max(kind.scale for kind in numerics)
        whole = max(kind.precision - kind.scale for kind in numerics)
        return Kind("numeric", min(whole + scale, MOST_DIGITS), scale)
    if all(kind.is_text for kind in known):
        return TEXT
    moments = ("date", "timestamp", "timestamptz")
    if all(kind.family in moments for kind in known):
        return max(known, key=lambda kind: moments.index(kind.family))
    # A text beside other values takes their kind, where it is a literal; else nobody knows.
    rest = [kind for kind in known if kind != TEXT]
    return rest[0] if len(set(rest)) == 1 else UNKNOWN


def arithmetic(operator: type[exp.Expr], left: Kind, right: Kind) -> Kind:
    """The kind of a sum, difference, product, quotient or remainder."""
    if not (left.is_number and right.is_number):
        return _of_moments(operator, left, right)
    top = max(left, right, key=lambda kind: NUMBERS.index(kind.family))
    if top.is_float:
        return FLOAT4 if left == right == FLOAT4 else FLOAT8
    if top.is_integer:
        return top
    first, second = left.as_numeric(), right.as_numeric()
    p1, s1, p2, s2 = first.precision, first.scale, second.precision, second.scale
    if operator is exp.Div:
        scale = max(4, s1 + p2 - s2 + 1)
        precision = p1 - s1 + s2 + scale
        if precision > MOST_DIGITS:
            return Kind("numeric", MOST_DIGITS, max(MOST_DIGITS + scale - precision, 4))
        return Kind("numeric", precision, scale)
    if operator is exp.Mul:
        return Kind("numeric", min(p1 + p2 + 1, MOST_DIGITS), min(s1 + s2, MOST_DIGITS))
    scale = max(s1, s2)
    if operator is exp.Mod:
        return Kind("numeric", max(p1 - s1, p2 - s2) + scale, scale)
    return Kind("numeric", min(max(p1 - s1, p2 - s2) + 1 + scale, MOST_DIGITS), scale)


def _of_moments(operator: type[exp.Expr], left: Kind, right: Kind) -> Kind:
    """Days are added to dates, and intervals to what has a time."""
    families = {left.family, right.family}
    if "interval" in families:
        if families <= {"interval", *NUMBERS}:
            return INTERVAL
        return TIMESTAMPTZ if "timestamptz" in families else TIMESTAMP
    if families == {"date"} and operator is exp.Sub:
        return INT4
    if "date" in families and all(
        kind.family == "date" or kind.is_number for kind in (left, right)
    ):
        return DATE
    return UNKNOWN


# --- columns --------------------------------------------------------------------------------------

Columns = Mapping[str, Kind]
Catalogue = Callable[[str, str], Columns]
"""The columns of a table by its schema (empty: by the search path) and name; none when it is not
there.
"""


class Kinds:
    """The kinds of a statement's expressions, each found once.

    Args:
        catalogue: what tables there are.
        call: the kind that a call gives, by its name and its arguments' kinds.
    """

    def __init__(self, catalogue: Catalogue, call: Callable[[Kinds, exp.Anonymous], Kind]) -> None:
        self._catalogue = catalogue
        self._call = call
        self._found: dict[int, tuple[exp.Expr, Kind]] = {}
        self._open: set[int] = set()

    def __call__(self, node: exp.Expr | None) -> Kind:
        """The kind of an expression; UNKNOWN where nothing says it."""
        if node is None:
            return NULL
        if (key := id(node)) not in self._found:
            if key in self._open:  # a recursive query: its first part says it
                return UNKNOWN
            self._open.add(key)
            self._found[key] = (
                node,
                self._of(node),
            )  # with the node, whose id is its own while it lives
            self._open.discard(key)
        return self._found[key][1]

    def take(self, node: exp.Expr, kind: Kind) -> None:
        """Say the kind of a node that takes another's place."""
        self._found[id(node)] = node, kind

    def _of(self, node: exp.Expr) -> Kind:
        match node:
            case exp.Literal():
                return TEXT if node.is_string else number(node.name)
            case exp.Cast():
                return kind_of_type(node.to) or UNKNOWN
            case exp.Column():
                return self._of_column(node)
            case exp.Anonymous():
                return self._call(self, node)
            case exp.Null():
                return NULL
            case exp.Subquery() | exp.Query():
                return next(iter(self.columns(node).values()), UNKNOWN)
            case exp.Case():
                values = [branch.args["true"] for branch in node.args["ifs"]]
                return common([self(value) for value in (*values, node.args.get("default"))])
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
                return arithmetic(type(node), self(node.this), self(node.expression))
            case exp.AtTimeZone():
                return TIMESTAMP if self(node.this) == TIMESTAMPTZ else TIMESTAMPTZ
            case exp.Extract():
                return FLOAT8 if self(node.expression) == TIMESTAMPTZ else INT4
        if isinstance(node, _PASSING):
            return self(node.this)
        return next((kind for types, kind in _FIXED if isinstance(node, types)), UNKNOWN)

    def _of_column(self, column: exp.Column) -> Kind:
        table, name = column.table.lower(), column.name.lower()
        for place in _places(column):
            for source, columns in self.sources(place):
                if name in columns and table in ("", source):
                    return columns[name]
            if isinstance(place, exp.Select) and not table:
                # ORDER BY, HAVING and others may name a column of the result.
                for projection in place.expressions:
                    inside = column.find_ancestor(exp.Alias) is projection
                    if projection.alias.lower() == name and not inside:
                        return self(projection)
            elif isinstance(place, exp.SetOperation) and name in (found := self.columns(place)):
                return found[name]
        return UNKNOWN

    def sources(self, place: exp.Expr) -> Iterator[tuple[str, Columns]]:
        """What a query or a change reads from, by the names that columns call it."""
        if isinstance(place, exp.SetOperation):
            return
        joins = place.args.get("joins") or []
        origin = place.args.get("from_") or place.args.get("using")
        origins = origin if isinstance(origin, list) else [origin]
        reads = [each.this if isinstance(each, exp.From) else each for each in origins if each]
        reads += [join.this for join in joins]
        if not isinstance(place, exp.Select) and isinstance(place.this, exp.Table):
            reads.append(place.this)
        for read in [
            *reads,
            *(join.this for each in reads for join in each.args.get("joins") or []),
        ]:
            yield read.alias_or_name.lower(), self._read(read)

    def _read(self, read: exp.Expr) -> Columns:
        """The columns of a table, a query in its place, or a function that gives rows."""
        given = (
            [name.name.lower() for name in read.args["alias"].columns]
            if read.args.get("alias")
            else []
        )
        columns: Columns = {}
        if isinstance(read, exp.Subquery):
            columns = self.columns(read.this)
        elif isinstance(read, exp.Table) and isinstance(read.this, exp.Anonymous):
            columns = {read.this.name.lower(): INT8, read.alias_or_name.lower(): INT8}
        elif isinstance(read, exp.Table):
            columns = self._of_table(read)
        elif isinstance(read, exp.Values):
            rows = [row.expressions for row in read.expressions if isinstance(row, exp.Tuple)]
            columns = {
                f"column{at}": common([self(value) for value in values])
                for at, values in enumerate(zip(*rows, strict=False), 1)
            }
        if given:
            renamed = dict(zip(given, columns.values(), strict=False))
            return renamed | dict(list(columns.items())[len(renamed) :])
        return columns

    def _of_table(self, table: exp.Table) -> Columns:
        name = table.name.lower()
        if not table.db:
            for place in _places(table):
                for common_table in place.ctes if isinstance(place, exp.Query) else ():
                    if common_table.alias.lower() == name and not _is_within(table, common_table):
                        names = [each.name.lower() for each in common_table.args["alias"].columns]
                        found = self.columns(common_table.this)
                        return dict(zip(names, found.values(), strict=False)) if names else found
        return self._catalogue(table.db.lower(), name)

    def columns(self, query: exp.Expr) -> Columns:
        """The columns of a query's result, in their order."""
        if isinstance(query, exp.Subquery):
            return self.columns(query.this)
        if isinstance(query, exp.SetOperation):
            first, second = self.columns(query.left), self.columns(query.right)
            # What a recursive query refers to is of the kind that its first part gives.
            return {
                name: kind if other == UNKNOWN else common([kind, other])
                for (name, kind), other in zip(first.items(), second.values(), strict=False)
            }
        found: dict[str, Kind] = {}
        for at, projection in enumerate(query.expressions if isinstance(query, exp.Select) else ()):
            if projection.is_star:
                wanted = projection.table.lower() if isinstance(projection, exp.Column) else ""
                for source, columns in self.sources(query):
                    if wanted in ("", source):
                        found.update({k: v for k, v in columns.items() if k not in found})
            else:
                found[(projection.alias_or_name or f"_{at}").lower()] = self(projection)
        return found


_PASSING: Final = (
    *(exp.Alias, exp.Paren, exp.Neg, exp.Window, exp.WithinGroup, exp.IgnoreNulls, exp.Distinct),
    *(exp.RespectNulls, exp.Abs),
)
_FIXED: Final = (
    ((exp.Boolean, exp.Predicate, exp.Connector, exp.Not, exp.Between, exp.In), BOOL),
    ((exp.DPipe, exp.Trim, exp.Substring), TEXT),
    ((exp.StrPosition,), INT4),
    ((exp.Interval,), INTERVAL),
    ((exp.CurrentDate,), DATE),
    ((exp.CurrentTimestamp,), TIMESTAMP),
    ((exp.Pow,), FLOAT8),
)


def _places(node: exp.Expr) -> Iterator[exp.Expr]:
    """The queries and changes around a node, from the inside."""
    place = node.parent
    while place is not None:
        if isinstance(place, exp.Query | exp.Update | exp.Delete | exp.Merge | exp.Insert):
            yield place
        place = place.parent


def _is_within(node: exp.Expr, other: exp.Expr) -> bool:
    place: exp.Expr | None = node
    while place is not None and place is not other:
        place = place.parent
    return place is other
