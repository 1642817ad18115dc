"""Digests of assets and archives, as Pulumi has them: the expected ones were made with Go's
``archive/tar``."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocket.engine import tar
from pocket.engine.assets import with_digests
from pocket.engine.values import ARCHIVE, ASSET, SIGNATURE, Properties
from pocket.errors import DeploymentError

OF_GO = {
    "a.txt": (0, "ea340749074efc7c5e064ac63918bd031b28c4315de83aac282d5cefac154ce1"),
    "dir/b": (300, "aa4399c812540227b2346f190b75966174d47e7cef4d321be2f6cd64d561479d"),
    "grüße/ü.txt": (900, "4360ab8ab38d1bcf0224cc0908a1d4fbf94bc6327c469c3bdfef7c20923925a1"),
    "x" * 101: (1500, "af80234afea8eaa0671c7c3d8814bc5a6e80b79d10915ecfe3ada5308cc01c82"),
    "d/" * 60 + "f": (1800, "d0b073565867cb3378684ea6e28244b32e90787a182dca048302e1a67ffa9bea"),
    "abcdefg/" * 30 + "z": (
        2400,
        "42109c18712ecd60573ef9b7b5b4f309a59ff253ec6ed1936fd09624b6608558",
    ),
}
EMPTY = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""By which Pulumi itself knows an archive without files."""


def digest(value: Properties, directory: Path = Path()) -> str:
    found = with_digests(value, directory)["hash"]
    assert isinstance(found, str)
    return found


def asset(**source: str) -> Properties:
    return {SIGNATURE: ASSET, **source}


def archive(**source: object) -> Properties:
    return {SIGNATURE: ARCHIVE, **source}


@pytest.mark.parametrize("name", OF_GO)
def test_the_stream_is_that_of_go(name: str) -> None:
    size, expected = OF_GO[name]
    assert hashlib.sha256(tar.pack([(name, b"q" * size)])).hexdigest() == expected


PART = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=130)
NAMES = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=4))
def test_any_reader_finds_what_was_packed(files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar.pack(files.items()))) as opened:
        found = {one.name: opened.extractfile(one).read() for one in opened}  # type: ignore[union-attr]
    assert found == files


def test_an_asset_is_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    expected = hashlib.sha256(b"hello").hexdigest()
    sources = ({"text": "hello"}, {"path": "a"}, {"uri": (tmp_path / "a").as_uri()})
    assert {digest(asset(**one), tmp_path) for one in sources} == {expected}
    assert digest(asset(text="")) == hashlib.sha256(b"").hexdigest()
    assert digest(asset(text="x", hash="given")) == "given"


def test_a_folder_is_the_archive_of_its_files(tmp_path: Path) -> None:
    for name in ("b/c", "b-a", "b/.pulumi/hidden"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_text(name)
    (tmp_path / "top" / "link").symlink_to("b-a")
    (tmp_path / "top" / "loop").symlink_to(".")
    expected = hashlib.sha256(tar.pack([("b/c", b"b/c"), ("b-a", b"b-a"), ("link", b"b-a")]))
    assert digest(archive(path="top"), tmp_path) == expected.hexdigest()
    assert digest(archive(assets={})) == EMPTY


def test_archives_in_an_archive_are_unfolded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as packed:
        packed.writestr("./in/a", "one")
        packed.writestr("folder/", "")
    with tarfile.open(tmp_path / "t.tgz", "w:gz") as opened:
        opened.add(tmp_path / "z.zip", "deep/z")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "x").write_text("two")
    inner = {name: archive(path=path) for name, path in (("z", "z.zip"), ("t", "t.tgz"))}
    value = archive(assets={**inner, "top": archive(path="top"), "z/in/a": asset(text="later")})
    content = (tmp_path / "z.zip").read_bytes()
    files = [("t/deep/z", content), ("top/x", b"two"), ("z/in/a", b"one")]
    assert digest(value, tmp_path) == hashlib.sha256(tar.pack(files)).hexdigest()
    assert digest(archive(path="z.zip"), tmp_path) == hashlib.sha256(content).hexdigest()
    within = with_digests(value, tmp_path)["assets"]
    assert within["z"]["hash"] == digest(archive(path="z.zip"), tmp_path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (asset(path="gone"), "No such file"),
        (asset(uri="ftp://there/x"), "must begin with http"),
        (archive(path="a"), "neither a folder nor a file of a known format"),
        (archive(uri="https://there/x"), "an archive at an address"),
        (archive(assets={"x": asset(path="gone")}), "No such file"),
    ],
)
def test_what_cannot_be_read_is_said(value: Properties, said: str, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DeploymentError, match=said):
        with_digests({"inside": [value]}, tmp_path)
