"""The programs of a Kubernetes control plane, built once from their Go modules.

Docker does not run everywhere, and a fake API server would not have admission, garbage
collection, server-side apply or RBAC, which are what an operator gets wrong. So the real programs
are built from source (`controlplane/go.mod` pins them by hash) and kept outside the tree: that
takes minutes once, and nothing afterwards.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = Path(__file__).parent / "controlplane"
SETTINGS = "k8s.io/component-base/version"
PACKAGES = (
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "sigs.k8s.io/kwok/cmd/kwok",
    "./etcd",
)
NAMES = tuple(package.rpartition("/")[2] for package in PACKAGES)


class MissingError(Exception):
    """What this machine lacks, and what to do about it."""


def version() -> str:
    """The Kubernetes release that go.mod asks for, say v1.34.4."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text())
    if not found:
        raise MissingError(f"{MODULE / 'go.mod'} does not name a version of k8s.io/kubernetes")
    return found[1]


def folder() -> Path:
    """Where the programs are kept: a build for each content of the module."""
    digest = hashlib.sha256()
    for path in sorted(MODULE.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "millwright" / "controlplane" / f"{version()}-{digest.hexdigest()[:12]}"


def built() -> bool:
    """Whether the programs are there."""
    return all((folder() / name).is_file() for name in NAMES)


def build() -> Path:
    """The folder with the programs; builds them first where needed.

    Raises:
        MissingError: there is no Go, or the build failed.
    """
    target = folder()
    if built():
        return target
    if not shutil.which("go"):
        raise MissingError(
            "the control plane is not built yet and there is no Go to build it with: install "
            "Go 1.24 or newer (https://go.dev/dl), or use --cluster=kind or --cluster=context:NAME"
        )
    print(f"building {', '.join(NAMES)} ({version()}): minutes, once", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Renamed as a whole at the end: a build that was killed leaves nothing that looks complete.
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        output = Path(temporary) / "bin"
        output.mkdir()
        command = ["go", "build", "-p", str(os.cpu_count() or 1), "-trimpath", "-buildvcs=false"]
        done = subprocess.run(
            [*command, "-ldflags", _flags(), "-o", f"{output}/", *PACKAGES], cwd=MODULE, check=False
        )
        if done.returncode:
            raise MissingError("the control plane could not be built; see go's messages above")
        if not built():
            output.rename(target)
    return target


def _flags() -> str:
    """Without these the API server calls itself v0.0.0 and clients refuse to talk to it."""
    release = version()
    major, minor = release.removeprefix("v").split(".")[:2]
    values = {"gitVersion": release, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {SETTINGS}.{key}={value}" for key, value in values.items())])


def main() -> int:
    """Build, and say what is missing where that cannot be."""
    try:
        print(build())
    except MissingError as error:
        print(f"make test-cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
