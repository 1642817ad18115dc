"""The image that the tests build on: Debian with its Python, from Debian's packages.

The default base is on Docker Hub, which not every machine reaches; Debian's mirrors are packages
like any other. It is made once and kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
"""Its Python is 3.11."""
PACKAGES = ("python3", "python3-venv", "ca-certificates")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
REFERENCE = "localhost/millwright-test-base:bookworm"


def missing() -> str:
    """What this machine lacks to make it; empty where it lacks nothing."""
    if archive().is_file():
        return ""
    if not shutil.which("mmdebstrap"):
        return "there is no mmdebstrap here to make a base with, and no --images-base"
    return "" if os.geteuid() == 0 else "making a base with mmdebstrap needs root"


def archive() -> Path:
    """The file that keeps it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "millwright" / "images" / f"{SUITE}.tar"


def make(tool: str) -> str:
    """The base's reference, with which the tool has it."""
    if subprocess.run(
        [tool, *("inspect", "--type", "image", REFERENCE)], capture_output=True, check=False
    ).returncode:
        _load(tool, _packed())
    return REFERENCE


def _packed() -> Path:
    """The archive, made where it is not there."""
    path = archive()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp.tar")
        excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        words = ["--variant=minbase", f"--include={','.join(PACKAGES)}", *excludes]
        subprocess.run(["mmdebstrap", "--quiet", *words, SUITE, unfinished], check=True)
        unfinished.replace(path)
    return path


def _load(tool: str, path: Path) -> None:
    """Give it to the tool."""
    if tool != "buildah":
        subprocess.run([tool, "import", str(path), REFERENCE], check=True, capture_output=True)
        return
    made = subprocess.run(
        [tool, "from", "scratch"], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        subprocess.run([tool, "add", "--quiet", made, str(path), "/"], check=True)
        subprocess.run([tool, "commit", "--quiet", made, REFERENCE], check=True)
    finally:
        subprocess.run([tool, "rm", made], check=True, capture_output=True)
