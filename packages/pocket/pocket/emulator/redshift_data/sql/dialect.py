"""Redshift's SQL as a tree in which every call is still the name that was written.

sqlglot turns calls into its own words for what several databases share, and gives each back in the
words of another. What differs between two functions of one name is lost on that way. Here a call
stays a name with arguments, so that what a name means is said in one place: `functions`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.parsers.redshift import RedshiftParser
from sqlglot.tokenizer_core import TokenType

SPECIAL = ("CAST", "CONVERT", "EXTRACT", "TRIM", "SUBSTRING", "POSITION")
"""Calls with a grammar of their own."""


class _Parser(RedshiftParser):
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: RedshiftParser.FUNCTION_PARSERS[name] for name in SPECIAL
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        **{name: RedshiftParser.NO_PAREN_FUNCTION_PARSERS[name] for name in ("ANY", "CASE")},
        "SYSDATE": lambda self: self.expression(exp.Anonymous(this="sysdate", expressions=[])),
        # Here everything is counted exactly.
        "APPROXIMATE": lambda self: self._parse_function(),
    }


class Dialect(Redshift):
    """Redshift, read without translating."""

    class Tokenizer(Redshift.Tokenizer):
        """Redshift's tokens, without taking what follows UNLOAD or GRANT as one piece of text."""

        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            **Redshift.Tokenizer.KEYWORDS,
            "FLOAT": TokenType.DOUBLE,
        }

    Parser = _Parser
