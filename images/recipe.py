"""What an image is made of, and its name: the same content has the same tag, anywhere.

A tag is Millwright's version and a digest over everything that goes in: the Dockerfile, the lists
of packages, the copied sources, the base and the platform. So whoever builds the same content
builds the same tag, and what is there under it need not be built or pushed again; and a build sees
exactly the files that were counted, because they are laid out for it in a folder of their own.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from contracts.document import suggest
from contracts.errors import ImageError, UsageError
from contracts.images import OWN
from contracts.version import VERSION
from images.lists import CHECKOUT, FOLDER

PLATFORM: Final = "linux/amd64"
"""What the environments' nodes are."""
SHOWN: Final = 12
"""Hex digits of the digest in a tag."""
CACHES: Final = "__pycache__"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that an image is built from."""

    name: str
    base: str
    """Reference of the image that it starts from."""
    platform: str
    """Operating system and processor, such as ``linux/amd64``."""
    files: Mapping[str, Path]
    """The files of the build by their path in it, with ``/`` on every system."""

    @property
    def dockerfile(self) -> str:
        """The Dockerfile's path in the build."""
        return f"{FOLDER.as_posix()}/{self.name}.Dockerfile"

    @cached_property
    def digest(self) -> str:
        """SHA-256 over base, platform and files, in hex."""
        total = hashlib.sha256(f"{self.base}\0{self.platform}\0".encode())
        for path, file in sorted(self.files.items()):
            total.update(f"{path}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
        return total.hexdigest()

    @property
    def tag(self) -> str:
        """The version and what tells this content from others of it."""
        return f"{VERSION}-{self.digest[:SHOWN]}"

    @property
    def reference(self) -> str:
        """The image's name on this machine."""
        return f"millwright/{self.name}:{self.tag}"

    @contextmanager
    def laid_out(self) -> Iterator[Path]:
        """The files in a folder of their own, while a build needs them."""
        with tempfile.TemporaryDirectory(prefix="millwright-image-") as name:
            folder = Path(name)
            for path, file in self.files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            yield folder


def read_recipe(
    name: str, *, root: Path = CHECKOUT, base: str = "", platform: str = PLATFORM
) -> Recipe:
    """The recipe of an image.

    Args:
        name: the image's name.
        root: Millwright's checkout.
        base: the image to start from, instead of the one that the Dockerfile names.
        platform: what it shall run on; one.

    Raises:
        UsageError: there is no such image, or several platforms are named.
        ImageError: what the Dockerfile names is not there.
    """
    if name not in OWN:
        raise UsageError(f"there is no image {name!r}", fix=suggest(name, OWN))
    if not re.fullmatch(r"\w+/\w+(/\w+)?", platform):
        raise UsageError(
            f"{platform!r} is no platform", where="--platform", fix=f"Give one, such as {PLATFORM}."
        )
    dockerfile = root / FOLDER / f"{name}.Dockerfile"
    if not dockerfile.is_file():
        raise ImageError(
            "the Dockerfile is not there: this is no checkout of Millwright",
            where=str(dockerfile),
            fix="Build images from a checkout; an installed package has none of the files.",
        )
    text = dockerfile.read_text(encoding="utf-8")
    files = {f"{FOLDER.as_posix()}/{dockerfile.name}": dockerfile}
    for source in copied(text):
        files.update(files_of(root, source, where=dockerfile))
    return Recipe(name=name, base=base or default_base(text), platform=platform, files=files)


def copied(dockerfile: str) -> list[str]:
    """What a Dockerfile copies from the build's folder."""
    return re.findall(r"^COPY (?!--)(\S+) ", dockerfile, re.MULTILINE)


def default_base(dockerfile: str) -> str:
    """The base that a Dockerfile names."""
    return str(re.findall(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)[0])


def files_of(root: Path, source: str, *, where: Path) -> dict[str, Path]:
    """A file, or every file in a folder, by its path from the root.

    Raises:
        ImageError: there is none.
    """
    path = root / source
    inside = path.rglob("*") if path.is_dir() else [path]
    files = {
        file.relative_to(root).as_posix(): file
        for file in inside
        if file.is_file() and CACHES not in file.parts
    }
    if not files:
        raise ImageError(f"{source} is copied and is not there", where=str(where))
    return files
