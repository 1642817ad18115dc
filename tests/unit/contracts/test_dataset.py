"""What a dataset's document refuses, each with the sentence a person reads."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from contracts.dataset import DatasetSpec, names_in
from contracts.errors import DataError, DocumentError
from contracts.schemas import schema
from tests.content import DATASETS

SHORT = """
name: shop
tables:
  orders: {key: id, columns: {id: integer, placed: {type: timestamp, zone: Europe/Berlin}},
           files: orders.csv}
"""


def document(**changes: Any) -> dict[str, Any]:
    """A good document; ``columns``, ``table`` and ``files`` change what their names say."""
    columns = {"id": "integer", "at": "timestamp", **changes.pop("columns", {})}
    files = changes.pop("files", "orders.csv")
    table = {"key": "id", "columns": columns, "files": files, **changes.pop("table", {})}
    return {"name": "shop", "tables": {"orders": table}, **changes}


def problems(value: dict[str, Any]) -> str:
    with pytest.raises(DocumentError) as caught:
        DatasetSpec.parse(value, where="datasets/shop/dataset.yaml")
    assert caught.value.where == "datasets/shop/dataset.yaml"
    return "\n".join(caught.value.problems)


def test_little_needs_to_be_written() -> None:
    dataset = DatasetSpec.parse(yaml.safe_load(SHORT))
    table = dataset.table("orders")
    assert (dataset.source, dataset.history, dataset.quarantine) == ("orders", timedelta(0), 0.01)
    assert (table.key, table.columns["id"].type) == (("id",), "integer")
    # What names a row may not be missing, said or not.
    assert not table.columns["id"].nullable
    assert table.columns["placed"].nullable
    assert table.files is not None
    assert table.files.format_name == "csv"


@pytest.mark.parametrize("name", names_in(DATASETS))
def test_a_document_travels_unchanged_and_editors_accept_it(name: str) -> None:
    dataset = DatasetSpec.find(DATASETS, name)
    assert DatasetSpec.model_validate_json(dataset.model_dump_json(by_alias=True)) == dataset
    written = yaml.safe_load((DATASETS / name / "dataset.yaml").read_text())
    for value in (written, yaml.safe_load(SHORT), document()):
        jsonschema.validate(
            json.loads(json.dumps(value, default=str)), json.loads(schema("dataset"))
        )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"quarentine": "1%"}, "quarentine: unknown key; did you mean 'quarantine'?"),
        ({"schema_version": 2}, "schema_version: 2 is not known; this Millwright reads version 1"),
        ({"name": "My Shop"}, "name: string should match pattern"),
        ({"tables": {}}, "tables: dictionary should have at least 1 item"),
        ({"source": "order"}, "source: there is no table 'order'; did you mean 'orders'?"),
        ({"history": "soon"}, "history: 'soon' is not a duration"),
        ({"quarantine": 2}, "quarantine: 2 is not a share"),
        ({"loader": "load.py"}, "loader: every table has files; one of them is not needed"),
        ({"loader": "load.txt"}, "loader: string should match pattern"),
        ({"table": {"files": None}}, "tables.orders.files: missing; write the files"),
        ({"table": {"key": "idd"}}, "orders: key: there is no column 'idd'; did you mean 'id'?"),
        ({"table": {"key": []}}, "tables.orders.key: "),
        ({"table": {"key": ["id", "id"]}}, "key: a column stands in it twice"),
        ({"table": {"time": "id"}}, "time: id is integer; it must be timestamp, an instant"),
        ({"table": {"tiem": "at"}}, "tables.orders.tiem: unknown key; did you mean 'time'?"),
        (
            {"columns": {"id": {"type": "integer", "nullable": True}}},
            "the key can never be missing",
        ),
        ({"columns": {"x": "integr"}}, "columns.x.type: 'integr' is not a type; did you mean"),
        ({"columns": {"x": "decimal(40, 2)"}}, "'decimal(40, 2)' is not possible"),
        ({"columns": {"x": {"type": "number", "rang": [0, 1]}}}, "did you mean 'range'?"),
        ({"columns": {"x y": "text"}}, "'x y' is not a column's name"),
        ({"columns": {"x": {"type": "number", "range": [5, 1]}}}, "range: 5 must not be above 1"),
        ({"columns": {"x": {"type": "text", "range": [0, 1]}}}, "is no range of the type text"),
        ({"columns": {"x": {"type": "date", "range": [0, 1]}}}, "is no range of the type date"),
        ({"columns": {"x": {"type": "number", "range": ["a", 1]}}}, "'a' is not an end of a range"),
        ({"columns": {"x": {"type": "number", "values": [1]}}}, "not values of the type number"),
        (
            {"columns": {"x": {"type": "integer", "values": ["a"]}}},
            "not values of the type integer",
        ),
        (
            {"columns": {"at": {"type": "timestamp", "zone": "Europe/Berln"}}},
            "zone: 'Europe/Berln' is not a time zone; did you mean 'Europe/Berlin'?",
        ),
        (
            {"columns": {"x": {"type": "text", "zone": "UTC"}}},
            "zone: only dates and times have one",
        ),
        ({"columns": {"x": {"type": "date", "format": "unix"}}}, "the type must be timestamp"),
        ({"columns": {"at": {"type": "timestamp", "format": "%d %z"}}}, "in ISO 8601 only"),
        ({"columns": {"x": {"type": "text", "header": "id"}}}, "two of them are read from 'id'"),
        ({"files": "orders.xls"}, "'orders.xls' ends in none of .csv, .tsv"),
        ({"files": ["a.csv", "b.json"]}, "files of one table have one format"),
        ({"files": {"path": "a.json", "delimiter": ";"}}, "delimiter: only CSV has it"),
        ({"files": {"path": "a.csv", "encoding": "utf-9"}}, "encoding: 'utf-9' is not known"),
        ({"files": {"path": "a.csv", "delimiter": ";;"}}, "files.delimiter: string should have"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_with_its_place(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in problems(document(**changes))


def test_all_problems_are_told_at_once() -> None:
    told = problems(document(columns={"x": "integr", "y": "nmber"}, quarantine=7)).splitlines()
    assert len(told) == 3


def test_a_folder_and_its_document_agree(tmp_path: Path) -> None:
    with pytest.raises(DataError) as missing:
        DatasetSpec.find(tmp_path, "shop")
    assert missing.value.fix == "make a folder 'shop' there, with a dataset.yaml"
    folder = tmp_path / "shop"
    folder.mkdir()
    path = folder / "dataset.yaml"
    path.write_text(SHORT.replace("name: shop", "name: shops"))
    with pytest.raises(DocumentError, match="name: is 'shops', but the folder is 'shop'"):
        DatasetSpec.find(tmp_path, "shop")
    path.write_text(
        "loader: load.py\nsource: a\n"
        + SHORT.replace("orders:", "a: {key: x, columns: {x: text}}\n  orders:")
    )
    with pytest.raises(DocumentError, match=r"there is no file 'load\.py' beside it"):
        DatasetSpec.find(tmp_path, "shop")
    path.write_text("name: [")
    with pytest.raises(DocumentError, match="this is not YAML"):
        DatasetSpec.find(tmp_path, "shop")
