"""Redshift's SQL in the words of DuckDB.

The local warehouse executes what it is asked, so that a wrong query fails here and not first on
AWS. A statement is read without translating its calls (`dialect`), the type of each expression is
found as Redshift would have it (`kinds`), and each node takes the form that gives Redshift's answer
(`meaning`, `calls`, `functions`, `tables`). Functions and operators are an allow list: what is in
no table is refused by its name rather than answered wrongly.

Pure: text and the tables' columns in, statements out.

Source: https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_commands.html
"""

from pocket.emulator.redshift_data.sql.functions import MACROS
from pocket.emulator.redshift_data.sql.kinds import Kind, kind_of_column
from pocket.emulator.redshift_data.sql.statements import (
    Copy,
    Execute,
    Nothing,
    SqlError,
    Statement,
    Unload,
)
from pocket.emulator.redshift_data.sql.translation import render, split, translate

__all__ = [
    "MACROS",
    "Copy",
    "Execute",
    "Kind",
    "Nothing",
    "SqlError",
    "Statement",
    "Unload",
    "kind_of_column",
    "render",
    "split",
    "translate",
]
