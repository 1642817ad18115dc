"""COPY, and what it shares with UNLOAD: addresses, formats and options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from pocket.emulator.redshift_data.sql.statements import Copy, SqlError, absent

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


class Reader:
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


def copy(tokens: Sequence[Token]) -> Copy:
    words = Reader(tokens)
    words.expect("COPY")
    table = _quoted(words.next("a table"))
    while words.peek() == ".":
        words.next()
        table += f".{_quoted(words.next('a table'))}"
    columns = words.bracketed() if words.peek() == "(" else ()
    words.expect("FROM")
    source = s3(words.next("a source"))
    form, options, _ = options_of("COPY", words)
    authorized("COPY", options)
    return Copy(table, columns, source, form, options)


def options_of(command: str, words: Reader) -> tuple[str, dict[str, str], tuple[str, ...]]:
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
                raise absent(f"{command} with {word}")
            while count and words.peek().upper() == "AS":
                words.next()
            options[word] = " ".join(words.next() for _ in range(count))
        elif word not in _FILLERS:
            raise SqlError(f'ERROR: syntax error at or near "{word}"')
    if not form:
        raise absent(f"{command} of a text format other than CSV")
    return form, options, partition_by


def authorized(command: str, options: Mapping[str, str]) -> None:
    if "IAM_ROLE" not in options and "CREDENTIALS" not in options:
        raise SqlError(f"ERROR: {command} needs an IAM_ROLE or CREDENTIALS")


def _quoted(name: str) -> str:
    return exp.to_identifier(name.lower(), quoted=True).sql("duckdb")


def s3(address: str) -> str:
    if not re.fullmatch(r"s3://[^/]+/.*", address):
        raise SqlError(f"ERROR: only s3:// addresses with a key are available here: {address}")
    return address
