"""A registry that keeps images, and the emulator's ECR that knows of them, as on AWS.

The registry is the distribution project's own, which asks for ECR's user and password; it tells of
each push, and what it tells is put into the emulator's ECR. So who asks ECR hears of what was
really pushed.
"""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

PROGRAMS = ("docker-registry", "registry")
"""The program's names, in Debian and in the project's own image."""
ACCOUNT = "123456789012"
USER, PASSWORD = "AWS", f"{ACCOUNT}-auth-token"
"""What the emulator's ECR gives whoever asks it."""
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
SECONDS = 60


def missing() -> str:
    """What this machine lacks; empty where it lacks nothing."""
    if not any(shutil.which(name) for name in PROGRAMS):
        return "there is no docker-registry here"
    return "" if shutil.which("perl") else "there is no perl here, which makes the password's hash"


@dataclass
class LocalRegistry:
    """A registry that answers."""

    host: str
    manifests: queue.Queue[tuple[str, str]] = field(default_factory=queue.Queue)
    """Repository and tag of each push that ECR has been told of."""

    def get(self, path: str) -> httpx.Response:
        """Ask the registry itself."""
        headers = {"Accept": ", ".join(MANIFESTS)}
        return httpx.get(f"http://{self.host}/v2/{path}", auth=(USER, PASSWORD), headers=headers)

    def digest(self, repository: str, tag: str) -> str:
        """What the registry itself calls the image with this tag."""
        return self.get(f"{repository}/manifests/{tag}").headers["Docker-Content-Digest"]


@contextmanager
def start(folder: Path, ecr: Any) -> Iterator[LocalRegistry]:
    """A registry whose pushes a client of ECR is told of."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        registry = LocalRegistry(f"127.0.0.1:{probe.getsockname()[1]}")
    listener = ThreadingHTTPServer(("127.0.0.1", 0), listening(registry, ecr))
    threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
    (folder / "config.json").write_text(
        json.dumps(settings(folder, registry.host, listener.server_port))
    )
    (folder / "users").write_text(f"{USER}:{hashed(PASSWORD)}\n")
    program = next(name for name in PROGRAMS if shutil.which(name))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.json")], stdout=log, stderr=log
        )
    try:
        wait(registry, process, folder / "log")
        yield registry
    finally:
        process.terminate()
        process.wait(SECONDS)
        listener.shutdown()
        listener.server_close()


def settings(folder: Path, host: str, told: int) -> dict[str, Any]:
    """The registry's document; JSON is YAML."""
    endpoint = {"name": "ecr", "url": f"http://127.0.0.1:{told}", "timeout": "5s"}
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "registry", "path": str(folder / "users")}},
        "notifications": {"endpoints": [{**endpoint, "threshold": 3, "backoff": "1s"}]},
    }


def hashed(password: str) -> str:
    """bcrypt, as htpasswd writes it."""
    code = "print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))"
    done = subprocess.run(
        ["perl", "-e", code, password], capture_output=True, text=True, check=True
    )
    return done.stdout


def wait(registry: LocalRegistry, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers."""
    end = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            if registry.get("").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)


def listening(registry: LocalRegistry, ecr: Any) -> type[BaseHTTPRequestHandler]:
    """Hears of pushes, and tells ECR."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"]
            for event in events:
                target = event["target"]
                if event["action"] == "push" and target.get("tag"):
                    self.put(target["repository"], target["tag"], target["digest"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def put(self, repository: str, tag: str, digest: str) -> None:
            answer = registry.get(f"{repository}/manifests/{digest}")
            ecr.put_image(
                repositoryName=repository,
                imageManifest=answer.text,
                imageManifestMediaType=answer.headers["Content-Type"],
                imageTag=tag,
                imageDigest=digest,
            )
            registry.manifests.put((repository, tag))

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler
