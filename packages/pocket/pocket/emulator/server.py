"""The local AWS server: moto's dispatcher, our corrections to its backends, and a few own
addresses.

moto answers about AWS as it was asked, but some of its answers would make a trial lie: a cache
whose endpoint nobody listens on, a warehouse that answers every query with the same three
streets, a replication group that never finishes being deleted. `services` has what corrects each;
this module only puts the parts together.

Own addresses: `/_pocket/health`;
`/_pocket/faults` (GET, POST, DELETE), which makes calls fail; `/_pocket/delay` (GET, POST
`{"seconds": 2}`), how long things are in the making; `/_pocket/census` (GET), everything that there
is; `/_pocket/reset` (POST), which forgets it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import botocore.session  # type: ignore[import-untyped,unused-ignore]
import moto.backends
import moto.core.utils
import moto.iam.models
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import get_service_model
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from pocket.emulator.core import errors
from pocket.emulator.core.census import census, forget
from pocket.emulator.core.census import install as install_census
from pocket.emulator.core.context import Context
from pocket.emulator.core.faults import READING, Faults
from pocket.emulator.core.persistence import Gate, Persistence, backends
from pocket.emulator.core.persistence import install as install_persistence
from pocket.emulator.core.redis import RedisServers
from pocket.emulator.core.refusals import install as install_refusals
from pocket.emulator.core.states import States
from pocket.emulator.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PREFIX = "/_pocket/"
_PASSING_ON = frozenset({"redshift-data"})

# What an environment is made of, by the names that its calls are signed for: the dearest first.
_AHEAD = (
    *("ec2", "iam", "kms", "s3", "elasticache", "redshift", "glue", "rds", "dynamodb", "logs"),
    *("sns", "monitoring", "eks", "ecr", "kinesis", "firehose", "elasticfilesystem", "athena"),
    *("budgets", "secretsmanager", "application-autoscaling", "tagging", "sts"),
)
# moto's name of a service, and botocore's, where they are others.
_CALLED = {
    "application-autoscaling": ("applicationautoscaling", "application-autoscaling"),
    "elasticfilesystem": ("efs", "efs"),
    "monitoring": ("cloudwatch", "cloudwatch"),
    "tagging": ("resourcegroupstaggingapi", "resourcegroupstaggingapi"),
}


class Application:
    """moto's WSGI application behind our own addresses."""

    def __init__(
        self,
        context: Context,
        gate: Gate,
        persistence: Persistence,
        services: Services,
    ) -> None:
        self._context = context
        self._gate = gate
        self._persistence = persistence
        self._services = services
        self._moto = DomainDispatcherApplication(services.application)
        self._faults = Faults()
        self._own: dict[str, Callable[[Request], Response]] = {
            "health": self._health,
            "faults": self._set_faults,
            "delay": self._set_delay,
            "ahead": self._read_ahead,
            "reset": self._reset,
            "census": self._census,
        }
        self._ahead: list[str] = []
        self._reader: threading.Thread | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(PREFIX):
            handler = self._own.get(path.removeprefix(PREFIX), _unknown)
            return handler(Request(environ))(environ, start_response)
        return self._faults.answer(environ, start_response, self._served)

    def _served(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # These only pass on to other services, over HTTP, through this same door.
        if errors.service(environ) in _PASSING_ON:
            return self._answer(environ, start_response)
        with self._gate.request():
            self._context.states.settle()
            answer = self._answer(environ, start_response)
        if _may_change(environ):
            self._persistence.changed()
        return answer

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            own = self._services.own(errors.service(environ))
            if own:
                return own(Request(environ), self._context.states)(environ, start_response)
            answer: Iterable[bytes] = self._moto(environ, start_response)
        except Exception as failure:  # noqa: BLE001 - whatever moto raises is the caller's answer
            return errors.failed(environ, failure)(environ, start_response)
        return answer

    def _health(self, request: Request) -> Response:
        return _json({"status": "ok", "pid": os.getpid(), "data": str(self._context.data)})

    def _set_faults(self, request: Request) -> Response:
        """POST sets rules, DELETE clears them, and both tell, like GET, how matters stand."""
        if request.method == "POST":
            try:
                self._faults.set(request.get_json())
            except (ValueError, TypeError) as refusal:
                return _json({"error": str(refusal)}, status=400)
        elif request.method == "DELETE":
            self._faults.clear()
        return _json({"rules": self._faults.report()})

    def _set_delay(self, request: Request) -> Response:
        """POST sets for how long things are in a passing state; both tell it."""
        states = self._context.states
        if request.method == "POST":
            try:
                states.delay = max(0.0, float(request.get_json()["seconds"]))
                states.settle()
            except (ValueError, TypeError, KeyError):
                return _json({"error": 'expected {"seconds": a number}'}, status=400)
        return _json({"seconds": states.delay})

    def _reset(self, request: Request) -> Response:
        """POST forgets everything, as if the server had just been started for the first time."""
        if request.method != "POST":
            return _json({"error": "POST it: this forgets everything"}, status=405)
        with self._gate.alone():
            self._context.reset()
            forget()
        self._faults.clear()
        self._persistence.changed()
        return _json({"there": census()})

    def _census(self, request: Request) -> Response:
        """What there is, by name."""
        with self._gate.request():
            self._context.states.settle()
            return _json({"there": census()})

    def _read_ahead(self, request: Request) -> Response:
        """POST begins to read what an environment's services need; both tell what was read."""
        if request.method == "POST" and self._reader is None:
            region = request.args.get("region", "us-east-1")
            self._reader = threading.Thread(target=self._read, args=(region,), daemon=True)
            self._reader.start()
        return _json({"read": self._ahead, "all": len(self._ahead) == len(_AHEAD)})

    def _read(self, region: str) -> None:
        """Load service after service: a first call would wait for its own, and others with it."""
        backends_of: Any = get_backend  # by names that are known only here
        for service in _AHEAD:
            self._moto.get_application(_signed_for(service))
            of_moto, of_botocore = _CALLED.get(service, (service, service))
            get_service_model(of_botocore)
            backends = backends_of(of_moto)[DEFAULT_ACCOUNT_ID]
            _ = backends[region if region in backends.regions else "aws"]  # made when asked for
            self._ahead.append(service)


class _Handler(MotoRequestHandler):
    """One line in the log for each request that failed, not for each request."""

    # Without it a small answer waits for the client's delayed acknowledgement: 40 ms a call.
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if str(code).startswith("5"):
            super().log_request(code, size)


def serve(*, port: int, data: Path) -> None:
    """Listen on 127.0.0.1:port until SIGTERM or SIGINT; everything that is kept lies in `data`."""
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    redis = RedisServers(data / "redis")
    delay = float(os.environ.get("POCKET_CLOUD_DELAY", "0"))
    context = Context(port=port, data=data, redis=redis, states=States(delay, time.time))
    install_persistence()
    install_census()
    install_refusals()
    _read_once()
    services = Services(context)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    context.at_exit(redis.close)
    gate = Gate()
    persistence = Persistence(data / "state", gate)
    for service in persistence.restore():
        services.install(service)
    context.states.take_up(backend for _, backend in backends())
    persistence.start()
    context.at_exit(persistence.close)
    server = make_server(
        "127.0.0.1",
        port,
        Application(context, gate, persistence, services),
        threaded=True,
        request_handler=_Handler,
    )
    with contextlib.closing(context):
        server.serve_forever()


def _read_once() -> None:
    """Let moto and botocore keep what they read.

    moto asks a new session for each service's regions, and a new loader for its description; each
    looks through the folders of all services first. Its own folder moto lists at each request.
    """
    for module in (botocore.session, moto.core.utils):
        patched: Any = module
        patched.create_loader = cache(patched.create_loader)
    folders = frozenset(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: folders
    moto.iam.models.get_account_id_from = _account_of


def _account_of(access_key: str) -> str:
    """The account that an access key is of.

    moto looks for it in all of AWS's partitions, and so makes what each of the six comes with: a
    thousand policies and more, at every start and reset.
    """
    for account, partitions in list(iam_backends.items()):
        for partition in list(partitions.keys()):
            if access_key in partitions[partition].access_keys:
                return account
    return DEFAULT_ACCOUNT_ID


def _signed_for(service: str) -> dict[str, str]:
    """As much of a request as tells moto which service is meant."""
    scope = f"Credential=test/20000101/us-east-1/{service}/aws4_request"
    return {
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 {scope}",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_X_AMZ_TARGET": "DynamoDB_20120810.ListTables",
        "PATH_INFO": "/",
    }


def _may_change(environ: WSGIEnvironment) -> bool:
    """False for what only reads: told by the method, or by the name of the operation."""
    if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
        return False
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    return not READING.match(target)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _unknown(request: Request) -> Response:
    return _json({"error": f"there is nothing at {request.path}"}, status=404)


def _json(content: object, *, status: int = 200) -> Response:
    return Response(
        json.dumps(content, default=str), status=status, content_type="application/json"
    )
