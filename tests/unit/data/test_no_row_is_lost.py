"""Whatever a file holds, each of its rows is in the table or set aside with a reason, once."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from contracts.columns import TYPES
from contracts.dataset import DatasetSpec
from data.reading import read_tables

CELLS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.datetimes().map(str),
    st.dates().map(str),
    st.sampled_from(["", "true", "2020-13-01", "1e400", '"', "\ufeff", "\r", "a\nb", "NaN", ","]),
)


@given(
    types=st.lists(st.sampled_from([*TYPES, "decimal(9, 3)"]), min_size=1, max_size=4),
    data=st.data(),
)
def test_every_row_is_in_the_table_or_in_quarantine(types: list[str], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(st.lists(CELLS, min_size=len(types), max_size=len(types)), min_size=1)
    )
    columns = {f"c{place}": type_ for place, type_ in enumerate(types)}
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", *columns])
    writer.writerows([str(number), *row] for number, row in enumerate(rows))
    dataset = DatasetSpec.parse(
        {
            "name": "any",
            "tables": {"t": {"key": "id", "columns": {"id": "text", **columns}, "files": "t.csv"}},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "t.csv").write_bytes(file.getvalue().encode())
        table = next(iter(read_tables(Path(folder), dataset)))
    kept = table.rows["id"].to_pylist()
    aside = [row.row - 1 for row in table.refused]
    assert sorted([*map(int, kept), *aside]) == list(range(len(rows)))
    assert all(row.reasons and row.content for row in table.refused)
    for name, type_ in columns.items():
        if type_ == "text":
            written = {number: row[int(name[1:])] for number, row in enumerate(rows)}
            assert table.rows[name].to_pylist() == [written[int(number)] for number in kept]
