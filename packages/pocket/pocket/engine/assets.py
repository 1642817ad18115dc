"""Assets and archives: what makes a change of a file's content a change of the resource.

A program hands over a path; two runs would hand over the same path. So the engine adds a digest of
the content when an asset comes in, and the digest is what is compared. It has to be Pulumi's own to
the byte, or a stack that goes from one engine to the other would seem changed: an archive that is
not packed yet is digested as the tar stream that Go's ``archive/tar`` would write of it
(`pocket.engine.tar`).
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from pocket.engine import tar
from pocket.engine.values import ARCHIVE, ASSET, SIGNATURE, Properties, Value
from pocket.errors import DeploymentError

TARS = (".tar", ".tgz", ".tar.gz")
ZIPS = (".zip", ".jar")
BOOKKEEPING = ".pulumi"
"""A name that Pulumi keeps for itself; it packs nothing of it."""
TIMEOUT = 30.0
"""Seconds to wait for an asset that lies elsewhere."""


def with_digests(value: Value, directory: Path) -> Value:
    """A value with the digest of each asset and archive in it.

    Args:
        value: any property value.
        directory: what relative paths are relative to.

    Raises:
        DeploymentError: a file is not there, or is no archive.
    """
    if isinstance(value, list):
        return [with_digests(inner, directory) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: with_digests(inner, directory) for key, inner in value.items()}
    match value.get(SIGNATURE):
        case _ if value.get("hash"):
            return found
        case signature if signature == ASSET:
            content = read(found, directory)
        case signature if signature == ARCHIVE:
            packed = is_packed(found)
            content = read(found, directory) if packed else tar.pack(members(found, directory))
        case _:
            return found
    return {**found, "hash": hashlib.sha256(content).hexdigest()}


def is_packed(archive: Properties) -> bool:
    """Whether an archive is a file of a known format already."""
    return address(archive).endswith((*TARS, *ZIPS))


def address(one: Properties) -> str:
    """The path of an asset or archive, here or at its address; empty where it has none."""
    return str(one.get("path") or urlsplit(str(one.get("uri") or "")).path)


def members(archive: Properties, directory: Path) -> Iterator[tuple[str, bytes]]:
    """The names and contents of an archive's files, as Pulumi comes to them.

    Raises:
        DeploymentError: something of it cannot be read, or is no archive.
    """
    if is_packed(archive):
        unpack = unzipped if address(archive).endswith(ZIPS) else untarred
        yield from unpack(read(archive, directory))
    elif path := archive.get("path"):
        yield from in_folder(directory / path)
    elif uri := archive.get("uri"):
        refuse("an archive at an address must be a .tar, .tgz, .tar.gz, .zip or .jar", str(uri))
    else:
        for name, member in sorted((archive.get("assets") or {}).items()):
            if member.get(SIGNATURE) == ARCHIVE:
                inner = members(member, directory)
                yield from ((posixpath.join(name, at), content) for at, content in inner)
            else:
                yield name, read(member, directory)


def in_folder(top: Path) -> Iterator[tuple[str, bytes]]:
    """The files below a folder, folder by folder in the order of their names; links to folders are
    not followed.
    """
    if not top.is_dir():
        refuse("an archive is neither a folder nor a file of a known format", str(top))

    def below(folder: Path) -> Iterator[Path]:
        for entry in sorted(os.scandir(folder), key=lambda one: os.fsencode(one.name)):
            if entry.name == BOOKKEEPING:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from below(Path(entry.path))
            elif not entry.is_dir():
                yield Path(entry.path)

    for file in below(top):
        yield file.relative_to(top).as_posix(), read({"path": str(file)}, top)


def untarred(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a tar archive, in its order."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                yield posixpath.normpath(member.name), file.read()


def unzipped(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a zip archive, in its order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield posixpath.normpath(member.filename), archive.read(member)


def read(one: Properties, directory: Path) -> bytes:
    """What is in an asset, or in an archive's file.

    Raises:
        DeploymentError: it is not there.
    """
    try:
        if path := one.get("path"):
            return (directory / str(path)).read_bytes()
        if uri := one.get("uri"):
            return fetched(str(uri))
    except OSError as error:
        where = str(one.get("uri") or directory / str(one.get("path")))
        refuse(f"an asset cannot be read: {getattr(error, 'strerror', None) or error}", where)
    return str(one.get("text") or "").encode()


def fetched(uri: str) -> bytes:
    """What is at an address."""
    if urlsplit(uri).scheme not in ("http", "https", "file"):
        refuse("an asset's address must begin with http, https or file", uri)
    with urllib.request.urlopen(uri, timeout=TIMEOUT) as answer:
        content: bytes = answer.read()
        return content


def refuse(what: str, where: str) -> NoReturn:
    raise DeploymentError(
        what, where=where, fix="Paths of assets are relative to the program's directory."
    )
