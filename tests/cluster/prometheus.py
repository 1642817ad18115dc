"""A real Prometheus that scrapes the traffic's counters every second."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

import yaml

from tests.cluster.binaries import MissingError
from tests.cluster.programs import Program, free_port


def binary() -> str:
    """The installed program.

    Raises:
        MissingError: no Prometheus is installed here.
    """
    found = shutil.which("prometheus")
    if not found:
        raise MissingError(
            "no prometheus on the PATH: install it (Debian, Ubuntu: apt-get install prometheus; "
            "macOS: brew install prometheus), or name a running one with --prometheus=URL"
        )
    return found


def start(root: Path, target: str) -> tuple[Program, str]:
    """The server and its URL.

    Args:
        root: where its configuration, data and log go.
        target: host and port of the counters.

    Raises:
        MissingError: no Prometheus is installed here.
    """
    scrape = {
        "job_name": "traffic",
        # The page carries the labels that a scrape in a cluster would add.
        "honor_labels": True,
        "static_configs": [{"targets": [target]}],
    }
    config = root / "prometheus.yaml"
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [scrape],
    }
    config.write_text(yaml.safe_dump(settings))
    port = free_port()
    flags = {
        "config.file": config,
        "storage.tsdb.path": root / "prometheus",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    url = f"http://127.0.0.1:{port}"
    program = Program(
        "prometheus",
        [binary(), *(f"--{key}={value}" for key, value in flags.items())],
        log=root / "prometheus.log",
        ready=lambda: _answers(url),
    )
    program.start()
    program.wait_ready()
    return program, url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
