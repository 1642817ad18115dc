"""A valid document with any one value replaced by a hostile one raises our errors alone."""

from __future__ import annotations

import copy
import datetime as dt
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contracts.dataset import DatasetSpec
from contracts.document import Document
from contracts.environment import Environment
from contracts.errors import DocumentError
from contracts.model import ModelSpec
from tests.content import MODELS, ROOT

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**400,
    float("inf"),
    float("nan"),
    sys.float_info.max,
    "",
    " ",
    "\0",
    "\ud800",
    "a" * 10_000,
    "99999999999d",
    "9e999",
    "{0}",
    "../../etc/passwd",
    "2020-13-01",
    dt.date.max,
    dt.datetime.min,
    b"\xff",
    {"x"},
    (1, "a"),
    [],
    [None],
    [[[]]],
    {},
    {"": ""},
    {1: 2},
    {"a": {"a": {}}},
    {(1, 2): 3},
    object(),
)

BOOK: dict[str, Any] = {
    "name": "book",
    "loader": "load.py",
    "history": "3d",
    "quarantine": "2%",
    "source": "a",
    "tables": {
        "a": {
            "key": ["id"],
            "time": "at",
            "columns": {
                "id": {"type": "integer", "range": [0, 9], "header": "Id"},
                "at": {"type": "timestamp", "zone": "Europe/Berlin", "format": "%d.%m.%Y"},
                "kind": {"type": "text", "values": ["x"], "nullable": True, "unit": "m"},
                "cost": "decimal(12, 2)",
            },
            "files": {"path": ["a.csv"], "delimiter": ";", "encoding": "utf-8", "nulls": ["-"]},
        },
        "b": {"key": "id", "columns": {"id": "integer"}},
    },
}


def document(kind: type[Document]) -> dict[str, Any]:
    """A valid document of a kind."""
    if kind is DatasetSpec:
        return BOOK
    if kind is ModelSpec:
        path = MODELS / "flight-delay" / "model.yaml"
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    config = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text(encoding="utf-8"))["config"]
    return dict(config["millwright:environment"])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document."""
    yield path
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], hostile: Any) -> Any:
    """The document with one value replaced."""
    if not path:
        return hostile
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], hostile)
    return changed


@pytest.mark.parametrize("kind", [DatasetSpec, ModelSpec, Environment])
def test_a_hostile_value_is_refused_in_our_words_or_taken(kind: type[Document]) -> None:
    good = document(kind)
    kind.parse(good)
    taken = 0
    for path in places(good):
        for hostile in HOSTILE:
            print(path, repr(hostile)[:80])
            try:
                spec = kind.parse(replaced(good, path, hostile))
            except DocumentError as error:
                str(error).encode(errors="replace")
            else:
                # What is taken travels: every step and every server reads it from its text.
                again = kind.parse(spec.model_dump(mode="json", by_alias=True))
                assert again.model_dump_json() == spec.model_dump_json()
                taken += 1
    assert taken
