"""Tables and folders in the lake, over S3."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from contracts.errors import DataError
from contracts.outputs import LakeOutputs
from data.lake import MANIFEST, Lake

START = datetime(2013, 1, 15, tzinfo=UTC)


def readings(days: int, value: float = 1.0) -> pa.Table:
    """One row a day."""
    return pa.table(
        {
            "at": pa.array(
                [START + timedelta(days=day) for day in range(days)], pa.timestamp("us", "UTC")
            ),
            "value": pa.array([value + day for day in range(days)]),
        }
    )


def objects(lake: Lake, table: str) -> list[str]:
    return lake._files("raw", f"tests/{table}")


def test_what_is_written_is_read(lake: Lake) -> None:
    manifest = lake.write_table("tests", "whole", readings(60), time="at")
    assert [file.month for file in manifest.files] == ["2013-01", "2013-02", "2013-03"]
    assert lake.read("tests", "whole").equals(readings(60))
    assert lake.manifest("tests", "whole") == manifest
    assert [found.table for found in lake.tables("tests")].count("whole") == 1


def test_only_the_months_asked_for_are_read(lake: Lake) -> None:
    lake.write_table("tests", "months", readings(60), time="at")
    since, until = date(2013, 2, 10), date(2013, 2, 20)
    files = lake.dataset("tests", "months", since=since, until=until).files
    assert ["month=2013-02" in file for file in files] == [True]
    found = lake.read("tests", "months", since=since, until=until)["at"].to_pylist()
    assert found == [datetime(2013, 2, 10, tzinfo=UTC) + timedelta(days=day) for day in range(10)]
    assert lake.read("tests", "months", since=date(2020, 1, 1)).num_rows == 0
    assert lake.read("tests", "months", columns=["value"], until=date(2013, 1, 17)).to_pydict() == {
        "value": [1.0, 2.0]
    }


def test_writing_the_same_again_changes_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lake.write_table("tests", "again", readings(60), time="at")
    written: list[str] = []
    put = Lake._put

    def watched(self: Lake, zone: Any, path: str, content: bytes) -> None:
        written.append(path)
        put(self, zone, path, content)

    monkeypatch.setattr(Lake, "_put", watched)
    assert lake.write_table("tests", "again", readings(60), time="at") == first
    assert written == []


def test_new_rows_take_the_place_of_the_old_ones(lake: Lake) -> None:
    old = lake.write_table("tests", "replaced", readings(60), time="at")
    new = lake.write_table("tests", "replaced", readings(20, value=5.0), time="at")
    assert new.fingerprint != old.fingerprint
    assert lake.read("tests", "replaced").equals(readings(20, value=5.0))
    assert sorted(objects(lake, "replaced")) == sorted(
        [MANIFEST, *(file.path for file in new.files)]
    )


@pytest.mark.parametrize("killed_at", range(4))
def test_a_killed_writer_leaves_the_old_table_or_the_new(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Killed before each of its requests: two files, the manifest, the removal of what is old."""
    name = f"killed_{killed_at}"
    old, new = readings(60), readings(30, value=7.0)
    lake.write_table("tests", name, old, time="at")
    requests = 0

    def until_killed(change: Any) -> Any:
        def request(*arguments: Any) -> Any:
            nonlocal requests
            requests += 1
            if requests > killed_at:
                raise KeyboardInterrupt
            return change(*arguments)

        return request

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "_put", until_killed(Lake._put))
        patch.setattr(Lake, "_delete_all_but", until_killed(Lake._delete_all_but))
        with pytest.raises(KeyboardInterrupt):
            lake.write_table("tests", name, new, time="at")
    assert lake.read("tests", name).equals(new if killed_at == 3 else old)

    lake.write_table("tests", name, new, time="at")
    assert lake.read("tests", name).equals(new)
    assert len(objects(lake, name)) == 3


def test_what_is_not_there_is_named_with_the_way_to_get_it(lake: Lake) -> None:
    assert not lake.exists("tests", "nothing")
    with pytest.raises(DataError) as caught:
        lake.read("tests", "nothing")
    assert caught.value.what == "there is no table 'nothing' in the dataset 'tests'"
    assert caught.value.fix == "millwright data load tests"


def test_a_missing_bucket_is_an_error_for_a_person(lake: Lake) -> None:
    elsewhere = Lake(LakeOutputs(raw="no-such-bucket-here", curated="x", artifacts="y", key_arn=""))
    with pytest.raises(DataError) as caught:
        elsewhere.write_table("tests", "lost", readings(1), time="at")
    assert caught.value.where == "s3://no-such-bucket-here/tests/lost"
    assert "millwright status" in caught.value.fix


def test_folders_come_back_as_they_were(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "model" / "parts").mkdir(parents=True)
    (tmp_path / "model" / "model.onnx").write_bytes(b"\x00onnx")
    (tmp_path / "model" / "parts" / "notes.txt").write_text("näheres")
    uri = lake.upload(tmp_path / "model", "flight-delay/7")
    assert uri == f"s3://{lake.outputs.artifacts}/flight-delay/7"
    lake.download("flight-delay/7", tmp_path / "back")
    assert (tmp_path / "back" / "model.onnx").read_bytes() == b"\x00onnx"
    assert (tmp_path / "back" / "parts" / "notes.txt").read_text() == "näheres"
    with pytest.raises(DataError, match="there is nothing to download"):
        lake.download("flight-delay/8", tmp_path / "none")
    with pytest.raises(DataError, match="there is nothing to upload"):
        lake.upload(tmp_path / "none", "flight-delay/9")
