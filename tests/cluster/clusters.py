"""Which cluster the tests run on: kind, processes, or one that is there.

The choice is made from what the machine has and is said in the first lines of the run. All three
give the same thing: a kubeconfig and an administrator's view of the cluster; the tests know no
difference.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.api import Api
from tests.cluster.binaries import MissingError
from tests.cluster.processes import NODES, ControlPlane, node
from tests.cluster.programs import Program

KUBECONFIG = "KUBECONFIG"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster in use."""

    api: Api
    """An administrator's view."""
    stop: Callable[[], None]
    plane: ControlPlane | None = None
    """The processes, where the cluster is made of them: only these can be stopped midway."""


def choose(asked: str | None) -> tuple[str, str]:
    """The kind of cluster, and why.

    Args:
        asked: what `--cluster` says; None to take what the machine has.

    Raises:
        MissingError: there is none to be had; says what each would need.
    """
    if asked:
        return asked, "asked for"
    if _docker() and importlib.util.find_spec("pytest_kind"):
        return "kind", "Docker answers here"
    if binaries.built():
        return "processes", "built before"
    if shutil.which("go"):
        return "processes", "no Docker with pytest-kind here; built with Go now, once"
    raise MissingError(
        "no Kubernetes API to test against. One of: Go 1.24 or newer (--cluster=processes builds a "
        "control plane once), Docker and `pip install pytest-kind` (--cluster=kind), or a cluster "
        "of yours (--cluster=context:NAME)"
    )


def start(kind: str, root: Path) -> Cluster:
    """A cluster of that kind, ready for pods.

    Args:
        kind: `kind`, `processes` or `context:NAME`.
        root: where its files and logs go.

    Raises:
        MissingError: the machine lacks something that it needs.
    """
    if kind == "processes":
        plane = ControlPlane(binaries.build(), root)
        try:
            api = plane.start()
        except BaseException:
            plane.stop()
            raise
        return Cluster(api=api, stop=plane.stop, plane=plane)
    if kind == "kind":
        return _kind(root)
    name = kind.removeprefix("context:")
    if name == kind:
        raise MissingError(f"--cluster={kind}: expected kind, processes or context:NAME")
    return Cluster(api=Api(_kubeconfig(), name), stop=lambda: None)


def _kind(root: Path) -> Cluster:
    """Docker's nodes run the control plane; pods go to nodes on paper, as with processes.

    The model server's image is not built by these tests, and what they test is not the server.
    """
    if not importlib.util.find_spec("pytest_kind"):
        raise MissingError("--cluster=kind needs pytest-kind: pip install pytest-kind")
    from pytest_kind import KindCluster

    cluster = KindCluster("millwright-tests")
    cluster.create()
    api = Api(Path(cluster.kubeconfig_path))
    for one in api.list("v1", "Node"):
        api.merge({**one, "apiVersion": "v1", "kind": "Node"}, {"spec": {"unschedulable": True}})
    kwok = binaries.build() / "kwok"
    flags = [
        f"--kubeconfig={cluster.kubeconfig_path}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
    ]
    program = Program("kwok", [str(kwok), *flags], log=root / "kwok.log")
    program.start()
    for number in range(NODES):
        api.apply(node(f"node-{number}"))

    def stop() -> None:
        program.kill()
        cluster.delete()

    return Cluster(api=api, stop=stop)


def _docker() -> bool:
    """Whether a Docker daemon answers, which is more than its client being installed."""
    if not shutil.which("docker"):
        return False
    done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    return done.returncode == 0


def _kubeconfig() -> Path:
    files = os.environ.get(KUBECONFIG, "").split(os.pathsep)
    return Path(files[0]) if files[0] else Path.home() / ".kube" / "config"
