"""Objects by their URI (``s3://…`` or ``file://…``): read, written whole, and what went wrong said.

Everything that is kept in object storage goes through here, so that a bucket that does not exist is
the same sentence for a table as for a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import fs

from contracts.addresses import Address
from contracts.errors import DataError


def filesystem_of(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem that an URI lies in, and its path there.

    Made from the URI, because only then does Arrow honour ``AWS_ENDPOINT_URL``.
    """
    filesystem, path = fs.FileSystem.from_uri(Address.of(uri).spelled())
    return filesystem, path


def read_object(uri: str) -> bytes | None:
    """An object's content; None where there is none.

    Raises:
        DataError: the storage refuses.
    """
    with explained(uri):
        filesystem, path = filesystem_of(uri)
        try:
            with filesystem.open_input_stream(path, compression=None) as stream:
                content: bytes = stream.read()
        except FileNotFoundError:
            return None
    return content


def put_object(uri: str, content: bytes) -> None:
    """Write an object; in S3 it appears whole or not at all.

    Raises:
        DataError: the storage refuses.
    """
    with explained(uri):
        filesystem, path = filesystem_of(uri)
        if isinstance(filesystem, fs.LocalFileSystem):
            filesystem.create_dir(path.rpartition("/")[0])
        write(filesystem, path, content)


def write(filesystem: fs.FileSystem, path: str, content: bytes) -> None:
    """Write a path of a filesystem in one request."""
    with filesystem.open_output_stream(path, compression=None) as stream:
        stream.write(content)


@contextmanager
def explained(place: str) -> Iterator[None]:
    """What the storage says, as an error for a person.

    Raises:
        DataError: for whatever it says.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"the storage did not answer as it should: {first_line(error)}",
            where=place,
            fix="millwright status shows whether the environment is up",
        ) from error


def first_line(error: BaseException) -> str:
    """The gist of a storage library's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
