"""A folder of a person's code, packed and unpacked."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from contracts.errors import UsageError
from contracts.predictor import pack, unpack


def folder(root: Path) -> Path:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "predict.py").write_text("class Predictor: ...")
    (root / "deep" / "er" / "weights.bin").write_bytes(b"\0\1" * 1000)
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "predict.pyc").write_bytes(b"old")
    return root


def test_what_is_packed_comes_out_and_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two")
    os.utime(one / "predict.py", (1, 1))
    (two / "predict.py").chmod(0o755)
    assert pack(one) == pack(two)
    unpack(pack(one), tmp_path / "out")
    files = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert files == {"predict.py": b"class Predictor: ...", "deep/er/weights.bin": b"\0\1" * 1000}


def test_a_folder_without_its_code_and_a_link_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"predict\.py"):
        pack(tmp_path)
    folder(tmp_path / "one")
    (tmp_path / "one" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="link is no plain file"):
        pack(tmp_path / "one")


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py", "a\\..\\out.py"])
def test_nothing_is_written_elsewhere(tmp_path: Path, name: str) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(ValueError, match="outside"):
        unpack(content.getvalue(), tmp_path / "in")
    assert not list(tmp_path.rglob("out.py"))


def test_what_is_no_packed_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no packed folder"):
        unpack(b"no zip", tmp_path)
