"""The datasets' schemas: whole, and their names found."""

from __future__ import annotations

import pytest

from contracts.dataset import DatasetSpec, names_in
from contracts.errors import DataError
from tests.content import DATASETS, flights


@pytest.mark.parametrize("name", names_in(DATASETS))
def test_a_schema_names_only_its_own_columns(name: str) -> None:
    dataset = DatasetSpec.find(DATASETS, name)
    assert dataset.table(dataset.source).time is not None
    for table in dataset.tables.values():
        columns = table.columns
        assert {*table.key, table.time or table.key[0]} <= columns.keys()
        assert all(column.description for column in columns.values())
        # A row must always have a name.
        assert not any(columns[key].nullable for key in table.key)


def test_names_that_are_nearly_right_are_understood() -> None:
    with pytest.raises(DataError) as caught:
        DatasetSpec.find(DATASETS, "flight")
    assert str(caught.value) == (
        "datasets: there is no dataset 'flight'\n  did you mean 'flights'?"
    )
    with pytest.raises(DataError, match="there is no table 'wether'") as caught:
        flights().table("wether")
    assert caught.value.fix == "did you mean 'weather'?"
