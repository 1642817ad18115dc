"""The datasets' schemas: whole, and their names found."""

from __future__ import annotations

import pytest

from contracts.errors import DataError
from data.datasets import DATASETS, find_dataset


@pytest.mark.parametrize("name", DATASETS)
def test_a_schema_names_only_its_own_columns(name: str) -> None:
    dataset = DATASETS[name]
    assert dataset.table(dataset.source).time is not None
    for table in dataset.tables:
        columns = {column.name: column for column in table.columns}
        assert len(columns) == len(table.columns)
        assert {*table.key, table.time or table.key[0]} <= columns.keys()
        assert all(column.description for column in table.columns)
        # A row must always have a name.
        assert not any(columns[key].nullable for key in table.key)


def test_names_that_are_nearly_right_are_understood() -> None:
    with pytest.raises(DataError) as caught:
        find_dataset("flight")
    assert str(caught.value) == (
        "datasets: there is no dataset 'flight'\n  did you mean 'flights'?"
    )
    with pytest.raises(DataError, match="there is no table 'wether'") as caught:
        find_dataset("flights").table("wether")
    assert caught.value.fix == "did you mean 'weather'?"
