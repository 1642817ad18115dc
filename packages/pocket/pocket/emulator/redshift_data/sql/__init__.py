"""Redshift's SQL in the words of DuckDB.

The local warehouse executes what it is asked, so that a wrong query fails here and not first on
AWS. sqlglot knows most of the difference between the two dialects; this package knows the rest:
what Redshift adds for its clusters (distribution, sorting, encodings), what it means differently
(names fold to lower case, constraints only inform, a plain VARCHAR holds 256 bytes, dividing by
zero fails), and what is not here and so is refused by its name rather than answered wrongly.

Pure: text in, statements out.

Source: https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_commands.html
"""

from pocket.emulator.redshift_data.sql.statements import (
    Copy,
    Execute,
    Nothing,
    SqlError,
    Statement,
    Unload,
)
from pocket.emulator.redshift_data.sql.translation import MACROS, split, translate

__all__ = [
    "MACROS",
    "Copy",
    "Execute",
    "Nothing",
    "SqlError",
    "Statement",
    "Unload",
    "split",
    "translate",
]
