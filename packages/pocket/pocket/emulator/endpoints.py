"""Where the AWS APIs answer, and how a process is told.

A program that is tried knows nothing of this emulator: boto3, pyarrow, s3fs and Feast all read the
same environment variables. So the only thing that differs between AWS and here is what this module
puts there.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pocket.errors import OptionError
from pocket.supervisor import HttpReady, Port, Running, Spec, Supervisor

NAME = "cloud"
HEALTH = "/_pocket/health"
AHEAD = "/_pocket/ahead"
PATIENCE = 10.0
"""Seconds that a server may take to say that it begins."""
_OURS = "POCKET_CLOUD"
_VARIABLE = "AWS_ENDPOINT_URL"
_LABEL = r"(?!-)[A-Za-z\d-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,255}}$)({_LABEL}\.)*{_LABEL}", re.ASCII)
_SHOWN = 200
"""Characters of a hopeless address that are repeated to its author."""


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
        OptionError: AWS_ENDPOINT_URL is no address.
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


def without_account(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables `environ` without what signs in at AWS.

    For what is to ask nobody: an environment of this machine whose server does not run stands
    nowhere, and the account of whoever asks is not its account.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    regions = {
        name: environ[name] for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if name in environ
    }
    return {
        **kept,
        **regions,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def check_addresses(environ: Mapping[str, str]) -> None:
    """Refuse variables that name a server of AWS's APIs with what is no address.

    botocore says so with a bare ValueError, or waits for an answer from it.

    Raises:
        OptionError: AWS_ENDPOINT_URL, or one of a service (AWS_ENDPOINT_URL_S3), is none.
    """
    for name, url in sorted(environ.items()):
        if name.startswith(_VARIABLE) and url and not _is_address(url):
            raise OptionError(
                f"{url[:_SHOWN]!r} is no address of a server",
                where=name,
                fix="Write it as http://HOST:PORT or https://HOST, or unset the variable.",
            )


def _is_address(url: str) -> bool:
    """Whether an HTTP client takes it, by botocore's rules for the host's name."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # brackets without an IPv6 address; a port that is no number
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        return False
    return ":" in parts.hostname or bool(_HOST.fullmatch(parts.hostname.removesuffix(".")))


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
    check_addresses(environ)
    given = environ.get(_VARIABLE, "").rstrip("/")
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
