"""Assets and archives: what makes a change of a file's content a change of the resource.

A program hands over a path; two runs would hand over the same path. So the engine adds a digest of
the
content when an asset comes in, as Pulumi's does, and the digest is what is compared. An asset's is
Pulumi's
own; an archive's is computed over its members, and differs from the CLI's, which depends on how it
packs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from contracts.errors import InfrastructureError
from local.engine.values import ARCHIVE, ASSET, SIGNATURE, Properties, Value


def with_digests(value: Value, directory: Path) -> Value:
    """A value with the digest of each asset and archive in it.

    Args:
        value: any property value.
        directory: what relative paths are relative to.

    Raises:
        InfrastructureError: a file is not there.
    """
    if isinstance(value, list):
        return [with_digests(inner, directory) for inner in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(SIGNATURE)
    if kind == ASSET:
        return {**value, "hash": asset_digest(value, directory)}
    found = {key: with_digests(inner, directory) for key, inner in value.items()}
    return {**found, "hash": archive_digest(found, directory)} if kind == ARCHIVE else found


def asset_digest(asset: Properties, directory: Path) -> str:
    """SHA-256 of an asset's content, in hex; of its address where it lies elsewhere."""
    if path := asset.get("path"):
        return hashlib.sha256(read(directory / path)).hexdigest()
    return hashlib.sha256(str(asset.get("text") or asset.get("uri") or "").encode()).hexdigest()


def archive_digest(archive: Properties, directory: Path) -> str:
    """SHA-256 over an archive's members: their names and contents, in the order of their names."""
    digest = hashlib.sha256()
    for name, member in sorted((archive.get("assets") or {}).items()):
        digest.update(f"{name}\0{member.get('hash', '')}\0".encode())
    if path := archive.get("path"):
        top = directory / path
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for file in files:
            if not file.is_dir():
                digest.update(f"{file.relative_to(top)}\0".encode() + read(file))
    digest.update(str(archive.get("uri") or "").encode())
    return digest.hexdigest()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InfrastructureError(
            f"an asset cannot be read: {error.strerror}",
            where=str(path),
            fix="Paths of assets are relative to the program's directory.",
        ) from None
