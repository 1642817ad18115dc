"""Every setting as a row of a table, from the documents themselves.

``python -m contracts.environment.settings FILE`` writes them under a Markdown file's last heading
(``make generate``); a test keeps them current. So a setting is documented by its docstring alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from contracts.document import descriptions, documents_in
from contracts.environment import Environment

HEADING: Final = "## Every setting\n"
HEAD: Final = ("setting", "default", "what it is")


def rows(document: type[BaseModel] = Environment, prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Name, default and description of each setting, inner documents after their own key."""
    for key, field in document.model_fields.items():
        name = f"{prefix}{key}"
        inner = documents_in(field.annotation)
        section = bool(inner) and inner[0] is field.annotation
        if not section:
            text = descriptions(document).get(key, "")
            yield f"`{name}`", default_of(field), description_of(field, text)
        if inner:
            yield from rows(inner[0], f"{name}{place(field)}.")


def place(field: FieldInfo) -> str:
    """How a key's path goes on inside it: by name in a mapping, by position in a list."""
    kind = str(field.annotation)
    if kind.startswith("dict"):
        return ".<name>"
    return "[]" if kind.startswith("tuple") else ""


def description_of(field: FieldInfo, text: str) -> str:
    """What a setting is, and its choices where they are few."""
    description = " ".join(text.split())
    if get_origin(field.annotation) is not Literal:
        return description
    return (
        f"{description} One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}."
    )


def default_of(field: FieldInfo) -> str:
    """A default as a person would write it."""
    if field.is_required():
        return "required"
    # Through the field's own type: a duration is a number in the document and 35d on paper.
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    default = field.get_default(call_default_factory=True)
    value = TypeAdapter(kind).dump_python(default, mode="json")
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (Mapping, list)):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return "none" if value is None else f"`{value}`"


def table() -> str:
    """All rows as Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *rows())]
    return "\n".join(line.replace("| --- | --- | --- |", "|---|---|---|") for line in lines) + "\n"


def written(text: str) -> str:
    """A file's text with the table under its heading, which is the file's last."""
    before, heading, _ = text.partition(HEADING)
    return f"{before}{heading}\n{table()}" if heading else text


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
