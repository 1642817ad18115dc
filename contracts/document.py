"""What all documents share: strictness, units, and errors that teach.

A document is written by a person, so what it refuses matters as much as what it takes: every
problem is reported at once, each with the file, the path of the key in it, what was expected and,
where a name is nearly right, the name that was meant. Pydantic finds the problems; this module
words them.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from contracts.errors import DocumentError
from contracts.yaml_files import DocumentLoader, YamlFile

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SECONDS_PER_UNIT = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
"""Decimal, so that what was written reads back as the same number."""
DURATION = r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$"
"""How a duration is written; schemas carry it too, so it is the part that all dialects of regular
expressions share."""
LONGEST = 366_000 * 86_400
"""Seconds of a thousand years; more is a slip, and Python's own durations end soon after."""
SHARE = r"^\d+(\.\d+)?\s*%$"
"""How a share is written, likewise."""


class Document(BaseModel):
    """A strict, frozen document: unknown keys, missing keys and wrong types are errors.

    Frozen because documents travel between rooms: what was validated stays what it was.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=False,
        validate_default=True,
        defer_build=True,  # a process imports many documents and reads few
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Pydantic's, with what each field is for."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions(cls).items():
            key = cls.model_fields[name].alias or name
            properties.get(key, {}).setdefault("description", text)
        return schema

    @classmethod
    def parse(cls, value: object, *, where: str = "") -> Self:
        """Validate a plain value (what YAML or JSON gave).

        Args:
            value: mappings, lists and scalars.
            where: the file, and the key in it, named in front of every problem.

        Raises:
            DocumentError: with every problem that was found.
        """
        # Through JSON: pydantic's strict mode takes lists and ISO dates from JSON alone, and only
        # strict mode refuses `replicas: true` and `replicas: "3"` where a number is meant.
        try:
            text = json.dumps(value, default=str)
        except (TypeError, ValueError, RecursionError) as error:
            raise DocumentError(f"this is no document: {error}", where=where) from None
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            problems = tuple(explain(detail, cls) for detail in error.errors())
            raise DocumentError(counted(problems, cls), where=where, problems=problems) from None

    @classmethod
    def load(
        cls, path: Path, *, key: str = "", loader: type[yaml.SafeLoader] = DocumentLoader
    ) -> Self:
        """Read a YAML file, or the mapping at ``key`` ("a.b" goes inwards) in it.

        ``loader`` reads it where another program decides what its scalars mean.

        Raises:
            DocumentError: the file is missing, is not YAML, lacks the key or is not this document.
        """
        file = YamlFile.read(path, loader=loader)
        value = file.value
        for part in key.split(".") if key else ():
            if not isinstance(value, Mapping) or part not in value:
                raise DocumentError(f"the key {key!r} is missing", where=str(path))
            value = value[part]
        where = f"{path}: {key}" if key else str(path)
        try:
            document = cls.parse(value, where=where)
        except DocumentError as error:
            if not error.problems:
                raise file.located(error, key) from None
            prefix = f"{key}." if key else ""
            unread = tuple(each.key.removeprefix(prefix) for each in file.unread)
            # What stands there as text for want of a value is told of once.
            rest = (each for each in error.problems if not each.startswith(begun(unread)))
            others = DocumentError(error.what, where=where, fix=error.fix, problems=tuple(rest))
            problems = (*file.located_unread(), *file.located(others, key).problems)
        else:
            if not file.unread:
                return document
            problems = file.located_unread()
        raise DocumentError(counted(problems, cls), where=where, problems=problems) from None


def counted(problems: Sequence[str], document: type[Document]) -> str:
    """How many problems a document has, as a sentence."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{count} in this {document.__name__} document"


def begun(keys: Sequence[str]) -> tuple[str, ...]:
    """How the problems of these keys, and of what is in them, begin."""
    return tuple(f"{key}{end}" for key in keys for end in (":", "."))


AnyDocument = TypeVar("AnyDocument", bound=Document)

Upgrade = Callable[[Mapping[str, object]], Mapping[str, object]]
"""A document of one schema as the next schema writes it."""


class VersionedDocument(Document):
    """A document that outlives the code that wrote it: it says its schema, and older ones are read.

    A class of this kind has a field ``schema_version``, a literal with its schema's number as the
    default, and in ``UPGRADES`` one function for each number before it. A document that says no
    number is of schema 1.
    """

    UPGRADES: ClassVar[tuple[Upgrade, ...]] = ()

    @classmethod
    def parse(cls, value: object, *, where: str = "") -> Self:
        """Validate a plain value of this schema or an older one.

        Raises:
            DocumentError: it is of a newer schema, or with every problem that was found.
        """
        if not isinstance(value, Mapping):
            return super().parse(value, where=where)
        newest = len(cls.UPGRADES) + 1
        version = value.get("schema_version", 1)
        if isinstance(version, int) and version > newest:
            raise DocumentError(
                f"schema_version: is {version}; this Millwright reads {cls.__name__} documents up "
                f"to {newest}",
                where=where,
                fix="upgrade Millwright: a newer one wrote this",
            )
        for upgrade in cls.UPGRADES[version - 1 :] if version in range(1, newest) else ():
            value = upgrade(value)
        if version in range(1, newest):
            value = {**value, "schema_version": newest}
        return super().parse(value, where=where)


@cache
def descriptions(document: type[BaseModel]) -> Mapping[str, str]:
    """What each field is for, by its name in Python: the docstrings under them.

    Read when somebody asks. Pydantic can read them too, but while it makes each class: that was a
    third of what importing the documents took, for what only schemas and missing keys tell.
    """
    written: dict[str, str] = {}
    for base in reversed(document.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            written |= _docstrings(base)
    explicit = {name: field.description for name, field in document.model_fields.items()}
    return {name: text for name in explicit if (text := explicit[name] or written.get(name))}


def _docstrings(document: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Fields of the class itself, with the string that stands under each."""
    try:
        source = inspect.getsource(document)
    except (OSError, TypeError):  # made by a call: its fields' descriptions were arguments
        return
    (made,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(made, ast.ClassDef)
    for line, under in pairwise(made.body):
        match line, under:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant, or None."""
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggest(name: str, names: Sequence[str]) -> str:
    """A sentence about an unknown name: the one probably meant, or all there are."""
    match = nearest(name, names)
    if match:
        return f"did you mean {match!r}?"
    return f"expected one of: {', '.join(sorted(names))}" if names else "nothing is expected here"


def explain(detail: ErrorDetails, document: type[BaseModel]) -> str:
    """One of pydantic's findings as a sentence: the key, what was found, what was expected."""
    location = detail["loc"]
    path = ".".join(str(part) for part in location) or "(the document itself)"
    match detail["type"]:
        case "extra_forbidden":
            owner = model_at(document, location[:-1])
            names = list(field_names(owner)) if owner else []
            return f"{path}: unknown key; {suggest(str(location[-1]), names)}"
        case "missing":
            return f"{path}: missing; {expectation(document, location)}"
        case "value_error":
            return f"{path}: {detail['ctx']['error']}"
        case "literal_error" | "enum":
            expected = str(detail["ctx"]["expected"])
            names = re.findall(r"'([^']*)'", expected)
            return (
                f"{path}: {detail['input']!r} is not known; {suggest(str(detail['input']), names)}"
            )
        case _:
            message = detail["msg"][0].lower() + detail["msg"][1:]
            shown = "" if isinstance(detail["input"], Mapping) else f" (found {detail['input']!r})"
            return f"{path}: {message}{shown}"


def field_names(document: type[BaseModel]) -> list[str]:
    """The keys as a person writes them: aliases where there are any."""
    return [field.alias or name for name, field in document.model_fields.items()]


def model_at(document: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """The document class at a path inside another one, or None where the path leaves the
    documents."""
    current: type[BaseModel] | None = document
    for part in location:
        name = field_name(current, part) if current else None
        if current and name:
            annotation = current.model_fields[name].annotation
            current = next(iter(documents_in(annotation)), None)
        # A list index, a mapping's key or a union's tag stays inside the same field's documents.
    return current


def field_name(document: type[BaseModel], key: str | int) -> str | None:
    """The field that a person's key names."""
    for name, field in document.model_fields.items():
        if key in (name, field.alias):
            return name
    return None


def documents_in(annotation: object) -> list[type[BaseModel]]:
    """The document classes inside an annotation such as ``dict[str, Guard] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in documents_in(inner)]


def expectation(document: type[BaseModel], location: Sequence[str | int]) -> str:
    """What a missing key is for, from its documentation."""
    owner = model_at(document, location[:-1])
    name = field_name(owner, location[-1]) if owner else None
    text = descriptions(owner).get(name) if owner and name else None
    if not text:
        return "it is required"
    first = text.split(". ")[0].rstrip(".")
    return f"it is required: {first[0].lower()}{first[1:]}"


def parse_duration(value: object) -> object:
    """Seconds from ``"50ms"``, ``"10s"``, ``"30m"``, ``"2h"``, ``"7d"``; a number is seconds."""
    if isinstance(value, bool) or not isinstance(value, str):
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and 0 <= value <= LONGEST
        ):
            return float(value)
        raise ValueError(f"{value!r} is not a duration; write one such as 50ms, 10s, 30m, 2h or 7d")
    written = re.match(DURATION, value.strip())
    if not written:
        raise ValueError(f"{value!r} is not a duration; write one such as 50ms, 10s, 30m, 2h or 7d")
    unit = written[2]
    seconds = Decimal(written[0].removesuffix(unit)) * SECONDS_PER_UNIT[unit]
    if seconds > LONGEST:
        raise ValueError(f"{value!r} is longer than a thousand years")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """The shortest exact way to write a duration: 0.05 is ``50ms``, 90 ``90s``, 1800 ``30m``."""
    exact = Decimal(repr(seconds))
    if exact < 1:
        return f"{plain(exact * 1000)}ms"
    for unit in ("d", "h", "m"):
        if exact % SECONDS_PER_UNIT[unit] == 0:
            return f"{plain(exact / SECONDS_PER_UNIT[unit])}{unit}"
    return f"{plain(exact)}s"


def plain(number: Decimal) -> str:
    """A decimal number without an exponent or trailing zeros."""
    return f"{number.normalize():f}"


def parse_share(value: object) -> object:
    """A fraction from ``"1%"`` or from a number between 0 and 1."""
    if isinstance(value, str) and (written := re.match(SHARE, value.strip())):
        value = float(Decimal(written[0].removesuffix("%")) / 100)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not a share; write a percentage such as 1% or 50%")
    return float(value)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION},
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]
"""Seconds; written as ``50ms``, ``10s``, ``30m``, ``2h`` or ``7d``."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(lambda share: f"{plain(Decimal(repr(share)) * 100)}%", return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SHARE},
                {"type": "number", "minimum": 0, "maximum": 1},
            ]
        }
    ),
]
"""A fraction between 0 and 1; written as a percentage."""
