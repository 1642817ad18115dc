"""The lake: tables and folders in object storage, never half written.

A table is a set of Parquet files, one for each month, and a manifest that names them. New files go
up first under names made from their content, then the manifest is replaced in one request, then the
old files go. A writer killed at any point leaves either the old table or the new one, and readers
take their files from the manifest only, so nobody ever sees half of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from contracts.document import Document
from contracts.errors import DataError
from contracts.outputs import LakeOutputs
from data.files import write_whole
from data.objects import explained, filesystem_of, write

Zone = Literal["raw", "curated", "artifacts"]
"""Which of the lake's buckets."""

MANIFEST = "_manifest.json"
NO_MONTH = ""
"""The partition of a table without time."""


class StoredFile(Document):
    """One Parquet file of a table."""

    path: str
    """Relative to the table's folder."""
    month: str
    """``2013-01``, or empty for a table without time."""
    rows: int


class Manifest(Document):
    """What a table consists of."""

    dataset: str
    table: str
    time: str | None
    """The column by whose months the table is partitioned."""
    rows: int
    fingerprint: str
    """Changes exactly when the content does."""
    files: tuple[StoredFile, ...]

    def within(self, since: date | None, until: date | None) -> tuple[StoredFile, ...]:
        """The files with rows from ``since`` on and before ``until``, by their month."""
        first = since.isoformat()[:7] if since else ""
        last = until.isoformat()[:7] if until else "9999-12"
        return tuple(
            file for file in self.files if file.month == NO_MONTH or first <= file.month <= last
        )


@dataclass(frozen=True)
class Lake:
    """The buckets of one environment, through Arrow's S3 filesystem."""

    outputs: LakeOutputs
    _filesystems: dict[str, fs.FileSystem] = field(
        default_factory=dict, repr=False, compare=False, hash=False
    )

    # Tables

    def write_table(
        self,
        dataset: str,
        table: str,
        rows: pa.Table,
        *,
        time: str | None = None,
        zone: Zone = "raw",
        progress: Callable[[int], None] | None = None,
    ) -> Manifest:
        """Make the table consist of exactly these rows.

        Args:
            dataset: the dataset it belongs to.
            table: its name.
            rows: all of it.
            time: the UTC column by whose months it is partitioned; None leaves it in one file.
            zone: which bucket.
            progress: called with the number of rows written so far.

        Raises:
            DataError: the bucket does not exist or refuses.
        """
        place = self._table_place(zone, dataset, table)
        old = self._manifest(zone, dataset, table)
        present = {file.path for file in old.files} if old else set()
        files: list[StoredFile] = []
        with explained(place):
            for month, part in by_month(rows, time):
                content = parquet_bytes(part)
                path = file_path(month, content)
                if path not in present:
                    self._put(zone, f"{dataset}/{table}/{path}", content)
                files.append(StoredFile(path=path, month=month, rows=part.num_rows))
                if progress is not None:
                    progress(sum(file.rows for file in files))
            manifest = Manifest(
                dataset=dataset,
                table=table,
                time=time,
                rows=rows.num_rows,
                fingerprint=fingerprint(file.path for file in files),
                files=tuple(files),
            )
            if manifest != old:
                self._put(
                    zone, f"{dataset}/{table}/{MANIFEST}", manifest.model_dump_json().encode()
                )
            self._delete_all_but(zone, f"{dataset}/{table}", {file.path for file in files})
        return manifest

    def delete_table(self, dataset: str, table: str, *, zone: Zone = "raw") -> None:
        """Remove a table; nothing happens where there is none."""
        if self._manifest(zone, dataset, table) is None:
            return
        place = f"{dataset}/{table}"
        with explained(self._table_place(zone, dataset, table)):
            # Without its manifest there is no table, so that nobody sees a part of one.
            self._filesystem(zone).delete_file(f"{self._bucket(zone)}/{place}/{MANIFEST}")
            self._delete_all_but(zone, place, set())

    def manifest(self, dataset: str, table: str, *, zone: Zone = "raw") -> Manifest:
        """What the table consists of.

        Raises:
            DataError: there is no such table.
        """
        manifest = self._manifest(zone, dataset, table)
        if manifest is None:
            raise DataError(
                f"there is no table {table!r} in the dataset {dataset!r}",
                where=self._table_place(zone, dataset, table),
                fix=f"millwright data load {dataset}",
            )
        return manifest

    def exists(self, dataset: str, table: str, *, zone: Zone = "raw") -> bool:
        """Whether the table is there, whole."""
        return self._manifest(zone, dataset, table) is not None

    def tables(self, dataset: str | None = None, *, zone: Zone = "raw") -> list[Manifest]:
        """The tables of a dataset, or of all of them, in the order of their names."""
        base = f"{self._bucket(zone)}/{dataset}" if dataset else self._bucket(zone)
        with explained(f"s3://{base}"):
            selector = fs.FileSelector(base, recursive=True, allow_not_found=True)
            names = [
                PurePosixPath(info.path).relative_to(self._bucket(zone)).parts
                for info in self._filesystem(zone).get_file_info(selector)
                if info.base_name == MANIFEST
            ]
        return [self.manifest(parts[0], parts[1], zone=zone) for parts in sorted(names)]

    def dataset(
        self,
        dataset: str,
        table: str,
        *,
        since: date | None = None,
        until: date | None = None,
        zone: Zone = "raw",
    ) -> ds.Dataset:
        """The table, unread, with only the months that overlap ``since`` to ``until``."""
        manifest = self.manifest(dataset, table, zone=zone)
        files = manifest.within(since, until)
        base = f"{self._bucket(zone)}/{dataset}/{table}"
        with explained(f"s3://{base}"):
            # A table whose months are all outside still has its columns.
            paths = [f"{base}/{file.path}" for file in files or manifest.files[:1]]
            rows = ds.dataset(paths, filesystem=self._filesystem(zone), format="parquet")
            return rows if files else rows.filter(pc.scalar(False))

    def read(
        self,
        dataset: str,
        table: str,
        *,
        columns: list[str] | None = None,
        since: date | None = None,
        until: date | None = None,
        zone: Zone = "raw",
    ) -> pa.Table:
        """The rows from ``since`` on and before ``until`` (days in UTC), in their stored order."""
        rows = self.dataset(dataset, table, since=since, until=until, zone=zone)
        name = self.manifest(dataset, table, zone=zone).time
        with explained(self._table_place(zone, dataset, table)):
            return rows.to_table(columns=columns, filter=between(rows.schema, name, since, until))

    # Folders

    def upload(self, folder: Path, path: str, *, zone: Zone = "artifacts") -> str:
        """Copy a local folder's files to a path in a bucket; its URI comes back.

        Raises:
            DataError: the folder is missing or empty, or the bucket refuses.
        """
        uri = f"s3://{self._bucket(zone)}/{path}"
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if not files:
            raise DataError("there is nothing to upload", where=str(folder))
        with explained(uri):
            for file in files:
                self._put(zone, f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())
        return uri

    def download(self, path: str, folder: Path, *, zone: Zone = "artifacts") -> list[Path]:
        """Copy everything under a path in a bucket into a local folder.

        Raises:
            DataError: nothing is there.
        """
        base = f"{self._bucket(zone)}/{path}"
        with explained(f"s3://{base}"):
            files = self._files(zone, path)
            if not files:
                raise DataError("there is nothing to download", where=f"s3://{base}")
            targets = []
            for file in files:
                target = folder / file
                with self._filesystem(zone).open_input_stream(f"{base}/{file}") as stream:
                    content = stream.read()
                write_whole(target, content)
                targets.append(target)
        return targets

    # The thin edge: buckets, objects and their errors

    def _bucket(self, zone: Zone) -> str:
        return {
            "raw": self.outputs.raw,
            "curated": self.outputs.curated,
            "artifacts": self.outputs.artifacts,
        }[zone]

    def _filesystem(self, zone: Zone) -> fs.FileSystem:
        bucket = self._bucket(zone)
        if bucket not in self._filesystems:
            self._filesystems[bucket], _ = filesystem_of(f"s3://{bucket}")
        return self._filesystems[bucket]

    def _table_place(self, zone: Zone, dataset: str, table: str) -> str:
        return f"s3://{self._bucket(zone)}/{dataset}/{table}"

    def _manifest(self, zone: Zone, dataset: str, table: str) -> Manifest | None:
        place = self._table_place(zone, dataset, table)
        path = f"{self._bucket(zone)}/{dataset}/{table}/{MANIFEST}"
        with explained(place):
            try:
                with self._filesystem(zone).open_input_stream(path) as stream:
                    content = stream.read()
            except FileNotFoundError:
                return None
        return Manifest.model_validate_json(content)

    def _put(self, zone: Zone, path: str, content: bytes) -> None:
        """One object in one request; it appears whole or not at all."""
        write(self._filesystem(zone), f"{self._bucket(zone)}/{path}", content)

    def _files(self, zone: Zone, path: str) -> list[str]:
        """The objects under a path, relative to it; not the empty ones that stand for folders."""
        base = f"{self._bucket(zone)}/{path}"
        selector = fs.FileSelector(base, recursive=True, allow_not_found=True)
        return sorted(
            PurePosixPath(info.path).relative_to(base).as_posix()
            for info in self._filesystem(zone).get_file_info(selector)
            if info.type == fs.FileType.File
        )

    def _delete_all_but(self, zone: Zone, path: str, keep: set[str]) -> None:
        for file in self._files(zone, path):
            if file not in keep and file != MANIFEST:
                self._filesystem(zone).delete_file(f"{self._bucket(zone)}/{path}/{file}")


def by_month(rows: pa.Table, time: str | None) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each month, in the order of the months; the rows' own order stays."""
    if time is None:
        yield NO_MONTH, rows
        return
    months = pc.strftime(rows[time], format="%Y-%m")
    for month in sorted(pc.unique(months).to_pylist()):
        yield month, rows.filter(pc.equal(months, month))


def parquet_bytes(rows: pa.Table) -> bytes:
    """A Parquet file's content, the same for the same rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows.combine_chunks(), sink, compression="zstd", coerce_timestamps="us")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def file_path(month: str, content: bytes) -> str:
    """A name by content, so that writing the same again is no change."""
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    return f"month={month}/{name}" if month else name


def fingerprint(names: Iterator[str]) -> str:
    """One name for many files named by content."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def between(
    schema: pa.Schema, name: str | None, since: date | None, until: date | None
) -> pc.Expression | None:
    """The rows from ``since`` on and before ``until``; None where that is all of them."""
    if name is None:
        return None
    condition = None
    for day, holds in ((since, pc.Expression.__ge__), (until, pc.Expression.__lt__)):
        if day is not None:
            midnight = pa.scalar(datetime.combine(day, time()), pa.timestamp("us"))
            instant = pc.scalar(
                midnight.cast(pa.timestamp("us", "UTC")).cast(schema.field(name).type)
            )
            part = holds(pc.field(name), instant)
            condition = part if condition is None else condition & part
    return condition
