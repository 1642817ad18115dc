"""The functions of the local warehouse, by Redshift's names: an allow list.

Each row says what a call gives and of which type, as Redshift's documentation has it; a name that
is in no row is refused. The bodies are DuckDB's, and become macros of every session: so a name that
both databases have, with two meanings, has Redshift's here.

Source: https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pocket.emulator.redshift_data.sql.kinds import (
    BOOL,
    DATE,
    FLOAT8,
    INT4,
    INT8,
    SUPER,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    Kind,
    common,
)

Rule = Kind | Callable[[Sequence[Kind]], Kind]
PREFIX: Final = "redshift_"


@dataclass(frozen=True)
class Function:
    """What a call gives.

    Args:
        kind: the type of the result, or how it follows from the arguments'.
        forms: parameters, and the result in DuckDB's words, by number of arguments.
    """

    kind: Rule
    forms: tuple[tuple[str, str], ...] = ()

    def gives(self, arguments: Sequence[Kind]) -> Kind:
        """The type of a call's result."""
        return self.kind if isinstance(self.kind, Kind) else self.kind(arguments)

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return any(count == (params.count(",") + 1 if params else 0) for params, _ in self.forms)


def _first(kinds: Sequence[Kind]) -> Kind:
    return kinds[0] if kinds else UNKNOWN


def _whole(kinds: Sequence[Kind]) -> Kind:
    """A number without digits after the point."""
    kind = _first(kinds)
    return Kind("numeric", kind.precision, 0) if kind.family == "numeric" else kind


def _sign(kinds: Sequence[Kind]) -> Kind:
    kind = _first(kinds)
    return Kind("numeric", 1, 0) if kind.family == "numeric" else kind


def _rounded(kinds: Sequence[Kind]) -> Kind:
    return _whole(kinds) if len(kinds) == 1 else UNKNOWN if _is_numeric(kinds) else _first(kinds)


def _moment(kinds: Sequence[Kind]) -> Kind:
    return TIMESTAMPTZ if list(kinds[-1:]) == [TIMESTAMPTZ] else TIMESTAMP


def _is_numeric(kinds: Sequence[Kind]) -> bool:
    return _first(kinds).family == "numeric"


def sum_of(kinds: Sequence[Kind]) -> Kind:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_SUM.html"""
    kind = _first(kinds)
    if kind.family == "numeric":
        return Kind("numeric", 38, kind.scale)
    return INT8 if kind.is_integer else FLOAT8 if kind.is_float else kind


def median_of(kinds: Sequence[Kind]) -> Kind:
    """A numeric that holds half of the last digit; moments and floats as they are."""
    kind = _first(kinds)
    if kind.is_float:
        return FLOAT8
    return Kind("numeric", 38, kind.as_numeric().scale + 1) if kind.is_number else kind


def _fail(text: str) -> str:
    return f"error('ERROR: {text}')"


def _absent(what: str) -> str:
    return _fail(f"{what} is not available in the local warehouse")


def _row(kind: Rule, *forms: str) -> Function:
    """A function by its forms, each ``parameters -> body``."""
    pairs = [form.split(" -> ", 1) for form in forms]
    return Function(kind, tuple((params.strip(), body) for params, body in pairs))


def _alike(names: str, function: Function) -> dict[str, Function]:
    return dict.fromkeys(names.split(), function)


def _float(names: str) -> dict[str, Function]:
    """Functions of one number that are DuckDB's too."""
    return {name: _row(FLOAT8, f"x -> {name}(x::DOUBLE)") for name in names.split()}


_REFERENCE: Final = _absent("a reference in the text that REGEXP_REPLACE puts")
_PLAIN: Final = f"CASE WHEN regexp_matches(r, '[$\\\\]') THEN {_REFERENCE} ELSE r END"
_UNHEARD: Final = _absent("one of these parameters of a regular expression")
_OPTIONS: Final = (
    f"CASE WHEN o NOT IN ('c', 'i') THEN {_UNHEARD} WHEN o = 'i' THEN '(?i)' ELSE '' END"
)
_WORDS: Final = "regexp_extract_all(lower(x), '[\\pL\\pN]+|[^\\pL\\pN]+')"
_NO_FIELD: Final = _fail("field position must be greater than zero")


def _from(text: str, place: str) -> str:
    """A text from a place on, which may lie before its beginning."""
    return f"substring({text}, greatest({place}, 1)::BIGINT)"


SCALARS: Final[dict[str, Function]] = {
    # -- numbers
    "abs": _row(_first, "x -> abs(x)"),
    **_alike("ceil ceiling", _row(_whole, "x -> ceil(x)")),
    "floor": _row(_whole, "x -> floor(x)"),
    "round": _row(_rounded, "x -> round(x)", "x, n -> round(x, n)"),
    "sign": _row(_sign, "x -> sign(x)"),
    "mod": Function(_first),
    **_float("sqrt exp ln cbrt sin cos tan cot asin acos atan radians degrees"),
    "dexp": _row(FLOAT8, "x -> exp(x::DOUBLE)"),
    "dlog1": _row(FLOAT8, "x -> ln(x::DOUBLE)"),
    **_alike("log dlog10", _row(FLOAT8, "x -> log10(x::DOUBLE)")),
    **_alike("power pow", _row(FLOAT8, "x, y -> pow(x::DOUBLE, y::DOUBLE)")),
    "atan2": _row(FLOAT8, "y, x -> atan2(y::DOUBLE, x::DOUBLE)"),
    "pi": _row(FLOAT8, " -> pi()"),
    "random": _row(FLOAT8, " -> random()"),
    # -- texts
    **_alike("len length char_length character_length textlen", _row(INT4, "x -> length(x)::INT")),
    "octet_length": _row(INT4, "x -> strlen(x)::INT"),
    "upper": _row(TEXT, "x -> upper(x)"),
    "lower": _row(TEXT, "x -> lower(x)"),
    "initcap": _row(
        TEXT,
        f"x -> array_to_string(list_transform({_WORDS}, lambda w: upper(w[1]) || w[2:]), '')",
    ),
    "left": _row(TEXT, "x, n -> left(x, redshift_positive(n))"),
    "right": _row(TEXT, "x, n -> right(x, redshift_positive(n))"),
    **_alike(
        "substring substr",
        _row(
            TEXT,
            f"x, a -> {_from('x::TEXT', 'a')}",
            "x, a, n -> CASE WHEN n < 0 THEN "
            f"{_fail('negative substring length not allowed')} ELSE substring(x::TEXT, "
            "greatest(a, 1)::BIGINT, greatest(a + n - greatest(a, 1), 0)::BIGINT) END",
        ),
    ),
    **_alike("btrim trim", _row(TEXT, "x -> trim(x, ' ')", "x, y -> trim(x, y)")),
    "ltrim": _row(TEXT, "x -> ltrim(x, ' ')", "x, y -> ltrim(x, y)"),
    "rtrim": _row(TEXT, "x -> rtrim(x, ' ')", "x, y -> rtrim(x, y)"),
    **{
        name: _row(
            TEXT,
            f"x, n -> {name}(x, greatest(n, 0)::INT, ' ')",
            f"x, n, y -> CASE WHEN y = '' THEN left(x, greatest(n, 0)) "
            f"ELSE {name}(x, greatest(n, 0)::INT, y) END",
        )
        for name in ("lpad", "rpad")
    },
    "replace": _row(TEXT, "x, a, b -> replace(x, a, b)"),
    "translate": _row(TEXT, "x, a, b -> translate(x, a, b)"),
    "reverse": _row(TEXT, "x -> reverse(x)"),
    **_alike("repeat replicate", _row(TEXT, "x, n -> repeat(x, redshift_positive(n))")),
    "strpos": _row(INT4, "x, y -> strpos(x, y)::INT"),
    "charindex": _row(INT4, "y, x -> strpos(x, y)::INT"),
    "position": _row(INT4, "y, x -> strpos(x, y)::INT"),
    "split_part": _row(
        TEXT,
        f"x, d, n -> CASE WHEN n < 1 THEN {_NO_FIELD} ELSE split_part(x, d, n) END",
    ),
    "chr": _row(TEXT, "n -> chr(n)"),
    "ascii": _row(INT4, "x -> ascii(x)"),
    "concat": _row(TEXT, "x, y -> (x || y)::VARCHAR"),
    "md5": _row(TEXT, "x -> md5(x)"),
    **_alike("sha sha1 func_sha1", _row(TEXT, "x -> sha1(x)")),
    "regexp_replace": _row(
        TEXT,
        "x, p -> regexp_replace(x, p, '', 'g')",
        f"x, p, r -> regexp_replace(x, p, {_PLAIN}, 'g')",
        f"x, p, r, a -> left(x, greatest(a, 1) - 1) || regexp_replace({_from('x', 'a')}, p, "
        f"{_PLAIN}, 'g')",
        f"x, p, r, a, o -> left(x, greatest(a, 1) - 1) || regexp_replace({_from('x', 'a')}, "
        f"{_OPTIONS} || p, {_PLAIN}, 'g')",
    ),
    "regexp_substr": _row(
        TEXT,
        "x, p -> regexp_extract(x, p)",
        f"x, p, a -> regexp_extract({_from('x', 'a')}, p)",
        f"x, p, a, n -> coalesce(regexp_extract_all({_from('x', 'a')}, p)[n], '')",
    ),
    "regexp_count": _row(
        INT4,
        "x, p -> len(regexp_extract_all(x, p))::INT",
        f"x, p, a -> len(regexp_extract_all({_from('x', 'a')}, p))::INT",
        f"x, p, a, o -> len(regexp_extract_all({_from('x', 'a')}, {_OPTIONS} || p))::INT",
    ),
    "regexp_instr": _row(
        INT4,
        "x, p -> CASE WHEN regexp_matches(x, p) "
        "THEN strpos(x, regexp_extract(x, p)) ELSE 0 END::INT",
    ),
    # -- moments
    "getdate": _row(TIMESTAMP, " -> now()::TIMESTAMP"),
    "sysdate": _row(TIMESTAMP, " -> now()::TIMESTAMP"),
    "timeofday": _row(TEXT, " -> strftime(now(), '%a %b %d %H:%M:%S.%f %Y UTC')"),
    "last_day": _row(DATE, "x -> last_day(x::DATE)"),
    "add_months": _row(
        TIMESTAMP,
        "x, n -> CASE WHEN x::DATE = last_day(x::DATE) THEN last_day((x::DATE + to_months(n::INT))"
        "::DATE)::TIMESTAMP + (x::TIMESTAMP - x::DATE::TIMESTAMP) "
        "ELSE x::TIMESTAMP + to_months(n::INT) END",
    ),
    **_alike(
        "date_cmp timestamp_cmp",
        _row(INT4, "x, y -> sign(epoch_us(x::TIMESTAMP) - epoch_us(y::TIMESTAMP))::INT"),
    ),
    "convert_timezone": _row(
        TIMESTAMP,
        "z, t -> (t::TIMESTAMP AT TIME ZONE 'UTC') AT TIME ZONE z",
        "s, z, t -> (t::TIMESTAMP AT TIME ZONE s) AT TIME ZONE z",
    ),
    # -- SUPER and JSON
    "json_parse": _row(SUPER, "x -> x::JSON"),
    "json_serialize": _row(TEXT, "x -> x::VARCHAR"),
    "is_valid_json": _row(BOOL, "x -> json_valid(x)"),
    "json_array_length": _row(INT4, "x -> json_array_length(x::JSON)::INT"),
    "json_extract_array_element_text": _row(TEXT, "x, n -> x::JSON ->> n::INT"),
}
"""Functions of one row's values."""

TYPED: Final[dict[str, Function]] = {
    **_alike("coalesce nvl", Function(common)),
    "nvl2": Function(lambda kinds: common(kinds[1:])),
    "isnull": Function(common),
    "nullif": Function(_first),
    "greatest": Function(common),
    "least": Function(common),
    "decode": Function(
        lambda kinds: common([*kinds[2::2], *(kinds[-1:] if len(kinds) % 2 == 0 else [])])
    ),
    "trunc": Function(
        lambda kinds: DATE if _first(kinds).family in ("timestamp", "date") else _rounded(kinds)
    ),
    **_alike("dateadd date_add date_trunc", Function(_moment)),
    **_alike("datediff date_diff", Function(INT8)),
    **_alike("date_part pgdate_part", Function(FLOAT8)),
    "to_char": Function(TEXT),
    "to_date": Function(DATE),
    "to_timestamp": Function(TIMESTAMPTZ),
    "json_extract_path_text": Function(TEXT),
    "generate_series": Function(INT8),
    "sha2": Function(TEXT),
}
"""Functions whose words depend on the types, the number or the text of their arguments."""

AGGREGATES: Final[dict[str, Function]] = {
    "count": Function(INT8),
    "sum": Function(sum_of),
    "avg": Function(sum_of),
    "min": Function(_first),
    "max": Function(_first),
    "median": Function(median_of),
    **_alike("stddev stddev_samp stddev_pop variance var_samp var_pop", Function(FLOAT8)),
    **_alike("bool_and bool_or", Function(BOOL)),
    "any_value": Function(_first),
    "listagg": Function(TEXT),
}
WINDOWS: Final[dict[str, Function]] = {
    **_alike("row_number rank dense_rank ntile", Function(INT8)),
    **_alike("cume_dist percent_rank", Function(FLOAT8)),
    **_alike("lag lead first_value last_value nth_value", Function(_first)),
}
FUNCTIONS: Final = {**SCALARS, **TYPED, **AGGREGATES, **WINDOWS}

PARTS: Final = {
    name: part
    for part, names in {
        "millennium": "millennium millennia mil mils",
        "century": "century centuries c cent cents",
        "decade": "decade decades dec decs",
        "epoch": "epoch",
        "year": "year years y yr yrs",
        "quarter": "quarter quarters qtr qtrs",
        "month": "month months mon mons",
        "week": "week weeks w",
        "dow": "dayofweek dow dw weekday",
        "doy": "dayofyear doy dy yearday",
        "day": "day days d",
        "hour": "hour hours h hr hrs",
        "minute": "minute minutes m min mins",
        "second": "second seconds s sec secs",
        "millisecond": "millisecond milliseconds ms msec msecs msecond mseconds millisec millisecs",
        "microsecond": "microsecond microseconds microsec microsecs microsecond usecond useconds "
        "us usec usecs",
    }.items()
    for name in names.split()
}
"""Parts of dates, by each of their names
(https://docs.aws.amazon.com/redshift/latest/dg/r_Dateparts_for_datetime_functions.html)."""

FORMATS: Final = {
    "YYYY": "%Y",
    "YY": "%y",
    "MM": "%m",
    "DDD": "%j",
    "DD": "%d",
    "D": "",
    "HH24": "%H",
    "HH12": "%I",
    "HH": "%I",
    "MI": "%M",
    "SS": "%S",
    "US": "%f",
    "MS": "%g",
    "Mon": "%b",
    "Month": "",
    "Dy": "%a",
    "Day": "",
    "AM": "%p",
    "PM": "%p",
    "TZ": "",
    "IYYY": "%G",
    "IW": "%V",
    "J": "",
    "Q": "",
    "WW": "",
    "CC": "",
    "FM": "",
    "TH": "",
    "MON": "",
    "MONTH": "",
    "mon": "",
    "month": "",
    "DAY": "",
    "DY": "",
    "day": "",
    "dy": "",
}
"""Parts of formats of moments; empty: Redshift has it, and it is not here
(https://docs.aws.amazon.com/redshift/latest/dg/r_FORMAT_strings.html)."""


def _macros() -> Iterator[str]:
    for name, function in SCALARS.items():
        forms = ", ".join(f"({params}) AS {body}" for params, body in function.forms)
        if forms:
            yield f"{PREFIX}{name}{forms}"


_PADDED: Final = _absent("grouping of texts that end in blanks")
_IS_INTEGER: Final = "regexp_full_match(x, '\\s*[+-]?[0-9]+\\s*')"
_NO_INTEGER: Final = "error('ERROR: invalid input syntax for integer: \"' || x || '\"')"
_FITTING: Final = "list_max(list_filter(range(0, n + 1), lambda i: strlen(left(x, i)) <= n))::INT"

MACROS: Final = (
    f"redshift_divisor(x) AS CASE WHEN x = 0 THEN {_fail('Divide by zero')} ELSE x END",
    f"redshift_positive(n) AS CASE WHEN n < 0 THEN {_fail('negative length')} ELSE n::INT END",
    f"redshift_integer(x) AS CASE WHEN {_IS_INTEGER} THEN x ELSE {_NO_INTEGER} END",
    f"redshift_cut(x, n) AS CASE WHEN strlen(x) <= n THEN x ELSE left(x, {_FITTING}) END",
    f"redshift_unpadded(x) AS CASE WHEN x LIKE '% ' THEN {_PADDED} ELSE x END",
    "redshift_shortest(x) AS regexp_replace(x::VARCHAR, '\\.0$', '')",
    *_macros(),
)
"""What every session knows beside DuckDB's own functions."""
