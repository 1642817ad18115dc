"""Where the AWS APIs answer, and how a process is told.

A program that is tried knows nothing of this emulator: boto3, pyarrow, s3fs and Feast all read the
same environment variables. So the only thing that differs between AWS and here is what this module
puts there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocket.supervisor import HttpReady, Port, Running, Spec, Supervisor

NAME = "cloud"
HEALTH = "/_pocket/health"
AHEAD = "/_pocket/ahead"
PATIENCE = 10.0
"""Seconds that a server may take to say that it begins."""
_OURS = "POCKET_CLOUD"


@dataclass(frozen=True, kw_only=True)
class CloudEndpoints:
    """An AWS API server and the credentials that it takes.

    `managed` is True when this package runs the server, False when the user named one
    (LocalStack, say) in AWS_ENDPOINT_URL.
    """

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    managed: bool


def start(root: Path, *, region: str | None = None) -> CloudEndpoints:
    """Make sure that an AWS API server answers for the environment whose folder is `root`.

    An AWS_ENDPOINT_URL set by the user is respected, and nothing is started then.

    Raises:
        ProcessError: the server ended or was not ready in time.
    """
    supervisor = Supervisor(root)
    given = _given_by_user(supervisor.find(NAME), os.environ)
    if given:
        return _endpoints(given, region, managed=False)
    return _endpoints(supervisor.start(spec(root)).url, region, managed=True)


def read_ahead(endpoints: CloudEndpoints) -> None:
    """Let a server of ours load an environment's services before the first call needs them.

    It does so beside whatever its caller does next: most of a first `up` was waiting for that.
    """
    if endpoints.managed:
        address = f"{endpoints.endpoint_url}{AHEAD}?region={endpoints.region}"
        request = urllib.request.Request(address, method="POST")
        # A server that an earlier version started does not know how: it loads as it always did.
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=PATIENCE):
            pass


def find(root: Path, *, region: str | None = None) -> CloudEndpoints | None:
    """The AWS API server of the environment in `root` if there is one now; starts nothing."""
    running = Supervisor(root).find(NAME)
    given = _given_by_user(running, os.environ)
    if given:
        return _endpoints(given, region, managed=False)
    return _endpoints(running.url, region, managed=True) if running else None


def stop(root: Path) -> bool:
    """Stop the server that `start` started; False when there was none."""
    return Supervisor(root).stop(NAME)


def environment(endpoints: CloudEndpoints) -> dict[str, str]:
    """The environment variables that send every AWS client to these endpoints.

    For child processes, and (`os.environ.update(...)`) for this one.
    """
    return {
        "AWS_ENDPOINT_URL": endpoints.endpoint_url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_ACCESS_KEY_ID": endpoints.access_key_id,
        "AWS_SECRET_ACCESS_KEY": endpoints.secret_access_key,
        "AWS_DEFAULT_REGION": endpoints.region,
        "AWS_REGION": endpoints.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Tells our own server's address from one that the user chose.
        **({_OURS: endpoints.endpoint_url} if endpoints.managed else {}),
    }


def spec(root: Path) -> Spec:
    """The server as a supervised process; its data lies in `root/cloud`."""
    data = str(Path(root).resolve() / NAME)
    return Spec(
        name=NAME,
        argv=(sys.executable, "-m", "pocket.emulator", "--port", Port(), "--data", data),
        ready=HttpReady(path=HEALTH),
        grace=20.0,
    )


def _given_by_user(running: Running | None, environ: Mapping[str, str]) -> str | None:
    """AWS_ENDPOINT_URL unless it is only our own server's, put there by `environment`."""
    given = environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
    if not given or environ.get(_OURS) == given or (running and given == running.url):
        return None
    return given


def _endpoints(url: str, region: str | None, *, managed: bool) -> CloudEndpoints:
    asked = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return CloudEndpoints(
        endpoint_url=url,
        region=asked or "us-east-1",
        access_key_id="test" if managed else os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        secret_access_key="test" if managed else os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
        managed=managed,
    )
