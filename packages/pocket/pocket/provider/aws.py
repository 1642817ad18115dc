"""The account that a provider was configured for: boto3 clients, made once each, and who we are.

Clients are real ones; where they connect is boto3's own business (the ``endpoints`` of the
provider's configuration, else AWS_ENDPOINT_URL). Making a client is not thread-safe in boto3 while
using one is, and the engine calls from many threads: hence the lock.
"""

import contextlib
import contextvars
import json
import os
import random
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.model
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.loaders import Loader

from pocket.errors import DeploymentError

TOLD = "POCKET_ENDPOINTS"
"""Names, in the environment, hosts other than this machine that a plugin may call."""
DEFAULT_REGION = "us-east-1"
# What Pulumi's configuration calls a service, where boto3's name has other letters.
ENDPOINT_NAMES = {"logs": ("logs", "cloudwatchlogs"), "applicationautoscaling": ("appautoscaling",)}
_THROTTLED = re.compile(
    r"Throttl|TooManyRequests|RequestLimitExceeded|BandwidthLimit|LimitExceededException$|SlowDown"
    r"|ProvisionedThroughputExceeded|PriorRequestNotComplete"
)
_TAKEN = re.compile(r"AlreadyExist|AlreadyOwned|DuplicateRe", re.IGNORECASE)
RENAME = (
    "Give this one another name, or take what is there into the state with `pulumi import`, by its"
    " id, where it is to be managed here."
)
_SLOWEST = 5.0  # seconds between two attempts, at most
_GONE = re.compile(r"NotFound|NoSuch|DoesNotExist|Nonexistent|^404$", re.IGNORECASE)


class AccountError(DeploymentError):
    """The credentials are of an account that the provider may not work in."""


@dataclass(frozen=True)
class Settings:
    """The provider's configuration, parsed from the strings that Pulumi sends."""

    region: str = DEFAULT_REGION
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    profile: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    default_tags: Mapping[str, str] = field(default_factory=dict)
    path_style: bool = False
    max_attempts: int = 8
    allowed_accounts: tuple[str, ...] = ()
    forbidden_accounts: tuple[str, ...] = ()
    loopback_only: bool = False

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> "Settings":
        """Settings from configuration values; those of structured keys may be JSON text.

        The region falls back to AWS_REGION, AWS_DEFAULT_REGION, then us-east-1.
        """
        values = {key: structured(value) for key, value in config.items()}
        region = values.get("region") or os.environ.get("AWS_REGION")
        blocks = values.get("endpoints") or []
        endpoints = [blocks] if isinstance(blocks, dict) else blocks
        tags = (values.get("defaultTags") or {}).get("tags") or {}
        asks = values.get("skipRequestingAccountId") not in (True, "true")
        return cls(
            region=region or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
            access_key=values.get("accessKey"),
            secret_key=values.get("secretKey"),
            token=values.get("token"),
            profile=values.get("profile"),
            endpoints={name: url for block in endpoints for name, url in block.items() if url},
            default_tags={key: str(value) for key, value in tags.items()},
            path_style=values.get("s3UsePathStyle") in (True, "true"),
            max_attempts=int(values.get("maxRetries") or 8),
            allowed_accounts=tuple(values.get("allowedAccountIds") or ()) if asks else (),
            forbidden_accounts=tuple(values.get("forbiddenAccountIds") or ()) if asks else (),
        )


def structured(value: Any) -> Any:
    """A setting's value; that of a structured one may be JSON text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def refuse_elsewhere(url: str) -> None:
    """Let nothing but this machine be called, or a host that the environment names.

    Raises:
        DeploymentError: it is another place: an account of AWS, say.
    """
    host = urlsplit(url).hostname or ""
    told = {each.strip() for each in os.environ.get(TOLD, "").split(",")}
    if "any" in told or host in told or host == "localhost":
        return
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return
    raise DeploymentError(
        "this provider is for an emulator, and what it would call is not on this machine",
        where=url,
        fix="Set AWS_ENDPOINT_URL to the emulator's address, or take this plugin's folder off PATH "
        f"to use the real one. {TOLD}={host} allows this host.",
    )


_making = threading.RLock()


@cache
def _loader() -> Loader:
    """What reads botocore's files, and keeps what it has read: one for all sessions."""
    loader: Loader = botocore.session.Session().get_component("data_loader")
    return loader


def session_of(region: str, **more: Any) -> boto3.session.Session:
    """A session that shares what this process has read of botocore's files, which is most of the
    cost of a client."""
    core = botocore.session.Session()
    core.register_component("data_loader", _loader())
    return boto3.session.Session(botocore_session=core, region_name=region, **more)


class Clients:
    """A session that makes each client once: surveys of an account ask thirty services, often."""

    def __init__(self, session: boto3.session.Session) -> None:
        self._session = session
        self._made: dict[str, Any] = {}

    @property
    def region_name(self) -> str:
        return str(self._session.region_name)

    def client(self, service: str) -> Any:
        with _making:
            if service not in self._made:
                self._made[service] = self._session.client(service)
            return self._made[service]


@cache
def _service_model(service: str) -> Any:
    return botocore.model.ServiceModel(_loader().load_service_model(service, "service-2"), service)


def service_model(service: str) -> Any:
    """botocore's model of a service. Reading one takes up to a second: each is read once."""
    with _making:
        return _service_model(service)


@cache
def _operation_model(service: str, method: str) -> Any:
    model, wanted = service_model(service), method.replace("_", "")
    return model.operation_model(next(n for n in model.operation_names if n.lower() == wanted))


def aws_of(settings: "Settings") -> "Aws":
    """The account and region for these settings in this process's environment.

    Making clients is most of the work of a short run: runs one after another share them.
    """
    variables = sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))
    key = f"{settings!r} {variables!r}"
    with _making:
        if key not in _accounts:
            while len(_accounts) >= _KEPT:
                del _accounts[next(iter(_accounts))]
            _accounts[key] = Aws(settings)
        return _accounts[key]


class Aws:
    """Clients of one account and region."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    @cached_property
    def session(self) -> boto3.session.Session:
        return session_of(
            self.settings.region,
            aws_access_key_id=self.settings.access_key,
            aws_secret_access_key=self.settings.secret_key,
            aws_session_token=self.settings.token,
            profile_name=self.settings.profile,
        )

    @cached_property
    def _is_signed_in(self) -> bool:
        """Whether there are credentials: looked up once, since it takes a second where there are
        none, and a preview without them asks of several services.
        """
        return self.session.get_credentials() is not None

    @property
    def region(self) -> str:
        return self.settings.region

    def client(self, service: str, region: str | None = None) -> Any:
        """The client of a service (boto3's name), by default in the provider's region."""
        key = (service, region or self.region)
        with self._lock:
            if key not in self._clients:
                if not self._is_signed_in:
                    raise NoCredentialsError()
                made = self.session.client(
                    service,
                    region_name=key[1],
                    endpoint_url=self._endpoint(service),
                    config=self._config(service),
                )
                if self.settings.loopback_only:
                    refuse_elsewhere(made.meta.endpoint_url)
                self._clients[key] = made
                made.meta.events.register("needs-retry", self._pause_before_retry)
            return self._clients[key]

    def _endpoint(self, service: str) -> str | None:
        letters = service.replace("-", "")
        names = (letters, *ENDPOINT_NAMES.get(letters, ()))
        return next(
            (self.settings.endpoints[n] for n in names if n in self.settings.endpoints), None
        )

    def _config(self, service: str) -> Config:
        endpoint = self._endpoint(service) or os.environ.get("AWS_ENDPOINT_URL")
        path_style = self.settings.path_style or (service == "s3" and bool(endpoint))
        return Config(
            retries={"mode": "standard", "total_max_attempts": 1},  # see _pause_before_retry
            max_pool_connections=32,
            s3={"addressing_style": "path"} if path_style else None,
        )

    def _pause_before_retry(
        self, response: Any, attempts: int, caught_exception: Any = None, **_: Any
    ) -> float | None:
        """botocore's question whether a call is to be made again: in so many seconds, or not.

        What was throttled or never sent had no effect and can always be. A call whose answer is
        lost may have had one, and made again it may make a second resource: see `asked_once`.
        """
        parsed = response[1] if response else {}
        status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        throttled = bool(_THROTTLED.search(parsed.get("Error", {}).get("Code", "")))
        lost = isinstance(caught_exception, HTTPClientError) or status >= 500
        unsent = isinstance(caught_exception, NoConnectionError)
        again = throttled or unsent or (lost and status != 501 and not _ASKED_ONCE.get())
        if not again or attempts >= self.settings.max_attempts:
            return None
        return random.uniform(0.5, 1.0) * min(0.05 * 2.0**attempts, _SLOWEST)

    def model(self, service: str) -> Any:
        """botocore's model of a service: operations and shapes, without a client or credentials."""
        return service_model(service)

    def operation(self, service: str, method: str) -> Any:
        """botocore's model of an operation, by the service's and the method's name in boto3."""
        return _operation_model(service, method)

    @cached_property
    def _identity(self) -> Mapping[str, str]:
        identity: Mapping[str, str] = self.client("sts").get_caller_identity()
        return identity

    def of_some_account(self) -> "Aws":
        """The same settings with an account that nobody is asked for: for names to compare."""
        same = Aws(self.settings)
        vars(same)["_identity"] = {"Account": "000000000000"}
        return same

    @property
    def account(self) -> str:
        return self._identity["Account"]

    @property
    def caller(self) -> Mapping[str, str]:
        return self._identity

    def refuse_other_accounts(self) -> None:
        """Go on only in an account that the provider's configuration lets it work in.

        Raises:
            AccountError: the credentials are another account's.
            DeploymentError: AWS does not say whose they are.
        """
        allowed, forbidden = self.settings.allowed_accounts, self.settings.forbidden_accounts
        if not allowed and not forbidden:
            return
        try:
            account = self.account
        except (ClientError, BotoCoreError) as error:
            raise explain(error, "", "say whose credentials these are") from error
        if account in forbidden or (allowed and account not in allowed):
            named = f"only {', '.join(allowed)}" if allowed else f"not {', '.join(forbidden)}"
            raise AccountError(
                f"these credentials are of the account {account}, and the provider may work in"
                f" {named}",
                fix="Use credentials of the environment's account, or correct its `account`.",
            )

    @property
    def partition(self) -> str:
        return str(self.session.get_partition_for_region(self.region))

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """An ARN in this account; ``region`` empty for global services."""
        place = self.region if region is None else region
        return f"arn:{self.partition}:{service}:{place}:{self.account}:{resource}"


_ASKED_ONCE: contextvars.ContextVar[bool] = contextvars.ContextVar("asked_once", default=False)


@contextlib.contextmanager
def asked_once() -> Iterator[None]:
    """Within it, no call is made again whose first answer may only have been lost."""
    token = _ASKED_ONCE.set(True)
    try:
        yield
    finally:
        _ASKED_ONCE.reset(token)


def is_in_doubt(error: BaseException) -> bool:
    """Whether a failed call may have had its effect nevertheless."""
    if not isinstance(error, ClientError):
        return isinstance(error, HTTPClientError)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status >= 500 and status != 501 and not _THROTTLED.search(error_code(error))


_KEPT = 2  # accounts with their clients, of which each takes some megabytes
_accounts: dict[str, Aws] = {}


def error_code(error: BaseException) -> str:
    """The code of an error that AWS answered, else an empty text."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def is_gone(error: BaseException, also: tuple[str, ...] = ()) -> bool:
    """Whether AWS says that the thing asked for is not there."""
    code = error_code(error)
    return bool(code) and (bool(_GONE.search(code)) or code in also)


def explain(error: ClientError | BotoCoreError, where: str, doing: str) -> DeploymentError:
    """AWS's refusal as a person can read it: which call, which resource, AWS's own words."""
    if not isinstance(error, ClientError):
        return DeploymentError(
            f"AWS could not be asked to {doing}: {error}",
            where=where,
            fix="Check AWS_ENDPOINT_URL or the provider's endpoints, and the credentials.",
        )
    details = error.response["Error"]
    return DeploymentError(
        f"{error.operation_name} failed: {details.get('Message') or details.get('Code')}"
        f" ({details.get('Code')})",
        where=where,
        fix=RENAME if _TAKEN.search(error_code(error)) else "",
    )
