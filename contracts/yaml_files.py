"""YAML that a person wrote: read without surprises, and with the line of each key.

YAML's libraries raise whatever Python's constructors raise (a ``ValueError`` without a place for
``2020-13-01``), take the last of two equal keys, read ``010`` as 8 and a column ``no`` as false,
and let a file of ten lines stand for a thousand million values. Here each of them is a sentence
with file, line and column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from contracts.errors import DocumentError

MOST_VALUES = 100_000
"""A document stands for fewer, aliases and all."""
MOST_LEVELS = 50
"""Of values in values. The library itself gives up only where Python's stack ends, and takes a
second to get there."""
KINDS = {
    "timestamp": "date or time",
    "int": "whole number",
    "float": "number",
    "bool": "truth value",
}
KEY = re.compile(r"^[^\s:]+(?=: )")
"""The key that a problem's sentence begins with."""


class SpellingError(ValueError):
    """A value is written so that another reader would read another one."""


if TYPE_CHECKING:
    Loader = yaml.SafeLoader
else:
    try:
        from yaml.cyaml import CParser
    except ImportError:  # a PyYAML without libyaml; it takes ten times as long
        Loader = yaml.SafeLoader
    else:

        class Loader(Composer, CParser, SafeConstructor, Resolver):
            """YAML's safe loader, of which libyaml reads the text."""

            def __init__(self, stream: str) -> None:
                CParser.__init__(self, stream)
                Composer.__init__(self)
                SafeConstructor.__init__(self)
                Resolver.__init__(self)


class DocumentLoader(Loader):
    """YAML's safe loader, which doubts what another reader would read differently.

    A single value that is not what its tag or its spelling says is its text, and ``problems`` has
    it with the sentence: the file is YAML, and what else is wrong with it can be told as well.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.problems: list[tuple[yaml.ScalarNode, str]] = []
        self.level = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """The next node, with all that is in it.

        Raises:
            RecursionError: it is nested deeper than anybody writes.
        """
        self.level += 1
        if self.level > MOST_LEVELS:
            raise RecursionError
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.level -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """A node's value.

        Raises:
            yaml.MarkedYAMLError: it is of several values, and not what its tag says.
        """
        try:
            return super().construct_object(node, deep)
        except SpellingError as error:
            problem = str(error)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            kind = KINDS.get(node.tag.rpartition(":")[2], node.tag)
            problem = f"{node.value!r} is not a {kind} ({error})"
        if not isinstance(node, yaml.ScalarNode):
            raise marked(problem, node)
        self.problems.append((node, problem))
        del self.recursive_objects[node]
        self.constructed_objects[node] = node.value  # also for its aliases
        return node.value

    def construct_whole(self, node: yaml.ScalarNode) -> object:
        """An integer in decimal digits or hexadecimal ones."""
        if not re.fullmatch(r"[+-]?(0|[1-9]\d*|0x[\da-fA-F]+)", node.value):
            value = self.construct_yaml_int(node)
            raise SpellingError(f"{node.value} is {value} in YAML; write that, or quotes around it")
        return self.construct_yaml_int(node)


DocumentLoader.add_constructor("tag:yaml.org,2002:int", DocumentLoader.construct_whole)
DocumentLoader.add_implicit_resolver(
    # YAML 1.2 has them; to 1.1, which the library reads, a number without a point is text.
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def marked(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    """A problem, and the node that has it."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def check_keys(node: yaml.MappingNode) -> None:
    """Keys are text or numbers, each once; what is merged in (``<<``) may repeat them.

    Raises:
        yaml.MarkedYAMLError: one is not.
    """
    seen: set[object] = set()
    for key, _ in node.value:
        kind = key.tag.rpartition(":")[2]
        if kind not in ("str", "int", "float", "merge"):
            name = key.value if isinstance(key, yaml.ScalarNode) else "of several values"
            raise marked(f"the key {name} is no text; write it in quotes", key)
        if key.value in seen and kind != "merge":
            raise marked(f"the key {key.value!r} is written twice", key)
        seen.add(key.value)


@dataclass(frozen=True)
class UnreadValue:
    """A value that is not what its tag or its spelling says: its key in the file, its line and
    column from 1, and the sentence about it."""

    key: str
    line: int
    column: int
    problem: str


@dataclass(frozen=True)
class YamlFile:
    """A file's value, where in it each key stands, and the values that are their text because
    nothing else can be made of them."""

    path: Path
    value: object
    root: yaml.Node | None
    unread: tuple[UnreadValue, ...] = ()

    @classmethod
    def read(cls, path: Path, *, loader: type[yaml.SafeLoader] = DocumentLoader) -> YamlFile:
        """Read a file; ``loader`` says what its scalars mean.

        Raises:
            DocumentError: there is no such file, or it is not YAML (with line and column).
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DocumentError("there is no such file", where=str(path)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DocumentError(f"cannot be read: {error}", where=str(path)) from None
        try:
            reader = loader(text)
            root = reader.get_single_node()
            count(root, {})
            value = None if root is None else reader.construct_document(root)
            keys = keys_of(root, {}, ()) if (problems := getattr(reader, "problems", ())) else {}
            unread = (
                UnreadValue(keys[id(node)], mark.line + 1, mark.column + 1, problem)
                for node, problem in problems
                for mark in [node.start_mark]
            )
            in_order = sorted(unread, key=lambda each: (each.line, each.column))
            return cls(path, value, root, tuple(in_order))
        except yaml.YAMLError as error:
            problem, place = explained(error, text)
            raise DocumentError(f"this is not YAML: {problem}", where=f"{path}{place}") from None
        except RecursionError:
            raise DocumentError("this is nested too deep to be read", where=str(path)) from None

    def located_unread(self) -> tuple[str, ...]:
        """A sentence for each value that could not be read."""
        return tuple(f"line {each.line}: {each.key}: {each.problem}" for each in self.unread)

    def line(self, location: Sequence[str]) -> int | None:
        """The line of the innermost key of a path that is there, counted from 1."""
        node, line = self.root, None
        for part in location:
            node, mark = child(node, part)
            if mark is None:
                break
            line = mark.line + 1
        return line

    def located(self, error: DocumentError, key: str = "") -> DocumentError:
        """The error about this file, with the line of each problem.

        Args:
            error: its problems, or it itself, begin with their keys.
            key: where in the file the document is ("a.b" goes inwards).
        """
        outer = key.split(".") if key else []

        def line_of(sentence: str) -> int | None:
            named = KEY.match(sentence)
            return self.line([*outer, *named[0].split(".")]) if named else self.line(outer)

        lines = [(line_of(problem), problem) for problem in error.problems]
        problems = tuple(f"line {line}: {text}" if line else text for line, text in lines)
        own = None if problems else line_of(error.what)
        where = error.where.replace(str(self.path), f"{self.path}:{own}", 1) if own else error.where
        return DocumentError(error.what, where=where, fix=error.fix, problems=problems)


def child(node: yaml.Node | None, part: str) -> tuple[yaml.Node | None, yaml.Mark | None]:
    """What a key or a place in a list holds, and where that begins."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark
    if isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
        return node.value[int(part)], node.value[int(part)].start_mark
    return None, None


def keys_of(
    node: yaml.Node | None, keys: dict[int, str], location: tuple[str, ...]
) -> dict[int, str]:
    """The key ("a.b.0") of each node by its identity; of one with aliases where it is written."""
    if node is None or id(node) in keys:
        return keys
    keys[id(node)] = ".".join(location) or "(the document itself)"
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            keys_of(value, keys, (*location, str(key.value)))
            keys_of(key, keys, (*location, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            keys_of(value, keys, (*location, str(place)))
    return keys


def count(node: yaml.Node | None, counted: dict[int, int]) -> int:
    """How many values a node stands for.

    Raises:
        yaml.MarkedYAMLError: it holds itself, or more than anybody writes, or a key that is none.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in counted:
        counted[id(node)] = -1
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            check_keys(node)
            parts = [part for pair in parts for part in pair]
        counted[id(node)] = 1 + sum(count(part, counted) for part in parts)
    total = counted[id(node)]
    if total < 0:
        raise marked("an alias stands for what it is in", node)
    if total > MOST_VALUES:
        raise marked(f"it stands for {total:,} values, more than {MOST_VALUES:,}", node)
    return total


def explained(error: yaml.YAMLError, text: str) -> tuple[str, str]:
    """What is wrong, and its line and column."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = error.position - before.rfind("\n")
        return (
            f"a character that it cannot hold: {error.reason}",
            f":{before.count(chr(10)) + 1}:{column}",
        )
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "is not valid"
    return problem, f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def read_yaml(path: Path) -> object:
    """The value of a YAML file.

    Raises:
        DocumentError: there is no such file, it is not YAML, or a value in it is not what its
            spelling says (with line and column).
    """
    file = YamlFile.read(path)
    if len(file.unread) == 1:
        (value,) = file.unread
        raise DocumentError(value.problem, where=f"{path}:{value.line}:{value.column}")
    if file.unread:
        what = f"{len(file.unread)} values cannot be read"
        raise DocumentError(what, where=str(path), problems=file.located_unread())
    return file.value
