"""The operator starts for a user that no file knows, as it does in its image's pods."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.kubernetes_api import EmptyCluster

ROOT = Path(__file__).resolve().parents[3]
NOBODY = """
import pwd, runpy, sys

def missing(user):
    raise KeyError(f"getpwuid(): uid not found: {user}")

pwd.getpwuid = missing
sys.argv[0] = "serving.rollout.operator"
runpy.run_module("serving.rollout.operator", run_name="__main__")
"""
SECONDS = 60


def test_the_operator_starts_without_an_entry_in_passwd(tmp_path: Path) -> None:
    with EmptyCluster() as cluster, (tmp_path / "log").open("w") as log:
        words = ["--kubeconfig", str(cluster.kubeconfig(tmp_path)), "--listen", "127.0.0.1:0"]
        operator = subprocess.Popen(
            [sys.executable, "-c", NOBODY, "--prometheus", cluster.url, *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
        )
        try:
            watching = cluster.wait(SECONDS, alive=lambda: operator.poll() is None)
            assert watching, (tmp_path / "log").read_text()
            assert operator.poll() is None
        finally:
            operator.terminate()
            operator.wait(SECONDS)
