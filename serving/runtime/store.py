"""Fetches an artifact and makes sure that it is the model that was registered.

The artifact's folder is immutable and its document holds the model's digest. Without this check a
half copied or replaced file would be served under a version whose gates it never passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from contracts.addresses import Address
from contracts.artifact import DOCUMENT_FILE, MODEL_FILE, Artifact
from contracts.errors import ServingError

Reader = Callable[[str], bytes]
_ABSENT = "NoSuchKey"


class UnreachableError(ServingError):
    """What holds an artifact does not answer, or not to whoever asks: nothing is known of it."""


def fetch_document(uri: str) -> Artifact:
    """The artifact's document alone: what a version is, without its weights.

    Raises:
        ServingError: there is no artifact at this URI, or it cannot be read.
        DocumentError: its document is not an Artifact.
    """
    return _parse(uri, _reader(uri)(DOCUMENT_FILE))


def fetch(uri: str) -> tuple[Artifact, bytes]:
    """The artifact's document and its model.

    Args:
        uri: a folder's path, a ``file://`` URL, or ``s3://bucket/prefix``; spelled as
            `contracts.addresses` says.

    Raises:
        UnreachableError: what holds it does not answer, or not to us.
        ServingError: there is none, it cannot be read, or the model is not the one registered.
        DocumentError: its document is not an Artifact.
    """
    read = _reader(uri)
    artifact = _parse(uri, read(DOCUMENT_FILE))
    model = read(artifact.model_file)
    digest = hashlib.sha256(model).hexdigest()
    if digest != artifact.digest:
        raise ServingError(
            f"the model's digest is {digest[:12]}…, but {artifact.name} {artifact.version} was "
            f"registered with {artifact.digest[:12]}…",
            where=f"{uri}/{artifact.model_file}",
            fix="The file was changed or copied incompletely: register the model again.",
        )
    return artifact, model


def _parse(uri: str, content: bytes) -> Artifact:
    where = f"{uri}/{DOCUMENT_FILE}"
    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ServingError(f"the artifact's document is not JSON: {error}", where=where) from None
    return Artifact.parse(value, where=where)


def _reader(uri: str) -> Reader:
    address = Address.of(uri)
    if address.scheme == "s3":
        return _s3_reader(uri, address.place, address.path.strip("/"))
    if address.scheme in ("", "file"):
        return _folder_reader(Path(address.path))
    raise UnreachableError(
        f"artifacts cannot be read from {address.scheme}://",
        where=uri,
        fix="Give a folder's path or s3://bucket/prefix.",
    )


def _folder_reader(folder: Path) -> Reader:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
            why = error.strerror if isinstance(error, OSError) else error
            there = isinstance(error, ValueError) or folder.is_dir()
            raise (ServingError if there else UnreachableError)(
                f"the artifact's {name} cannot be read: {why}",
                where=repr(str(folder)),
                fix=f"An artifact is a folder with {MODEL_FILE} and {DOCUMENT_FILE}.",
            ) from None

    return read


def s3_client(uri: str) -> Any:
    """A client of S3, to read what is at the URI.

    Raises:
        UnreachableError: none can be made.
    """
    # Imported here: a server that reads from a volume does not pay for it at its start.
    import boto3  # type: ignore[import-untyped,unused-ignore]
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped,unused-ignore]

    try:
        return boto3.client("s3")
    except (BotoCoreError, ValueError) as error:
        raise UnreachableError(f"no S3 client: {error}", where=uri) from None


def _s3_reader(uri: str, bucket: str, prefix: str) -> Reader:
    client = s3_client(uri)
    from botocore.exceptions import (  # type: ignore[import-untyped,unused-ignore]
        BotoCoreError,
        ClientError,
    )

    def read(name: str) -> bytes:
        try:
            answer = client.get_object(Bucket=bucket, Key=f"{prefix}/{name}".lstrip("/"))
            content: bytes = answer["Body"].read()
        except (BotoCoreError, ClientError, ValueError) as error:
            answered = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            known = isinstance(error, ValueError) or answered == _ABSENT
            raise (ServingError if known else UnreachableError)(
                f"the artifact's {name} cannot be read: {error}",
                where=uri,
                fix="Check the URI, the credentials and AWS_ENDPOINT_URL.",
            ) from None
        return content

    return read
