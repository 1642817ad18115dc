"""How AWS is asked for what a listing names: pages, tags in every form, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import jmespath  # type: ignore[import-untyped,unused-ignore]
import structlog
from botocore.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    ClientError,
    EndpointConnectionError,
)

from account.inventory.listing import Listing
from account.inventory.listings import LISTINGS
from contracts.errors import InfrastructureError

ENVIRONMENT_TAG = "millwright:environment"

_log = structlog.get_logger()
# What an emulator without an operation answers; AWS itself never does for these.
_ABSENT = frozenset({"NotImplemented", "501", "UnknownOperationException", "UnsupportedOperation"})
_TAG_KEYS = ("Key", "key", "TagKey")
_TAG_VALUES = ("Value", "value", "TagValue")
# What AWS answers for a resource that has no tags, or that went away between two calls.
_GONE = ("NoSuch", "NotFound", "DoesNotExist")


@dataclass(frozen=True, order=True)
class Leftover:
    """A resource that exists."""

    service: str
    kind: str
    id: str
    arn: str = ""

    def __str__(self) -> str:
        return f"{self.service} {self.kind} {self.id}"


@dataclass(frozen=True)
class Seen:
    """A resource that exists, its tags, and how AWS describes it in a list."""

    leftover: Leftover
    tags: Mapping[str, str]
    item: Any = None


@dataclass(frozen=True)
class Listed:
    leftover: Leftover
    item: Any
    listing: Listing


class Survey:
    """One round of questions: clients, facts of the account, and threads to ask with."""

    def __init__(self, session: Any, only: frozenset[tuple[str, str]]) -> None:
        self._listings = [
            listing for listing in LISTINGS if (listing.service, listing.kind) in only
        ]
        names = {listing.service for listing in self._listings} | {
            "sts",
            "resourcegroupstaggingapi",
        }
        # Not safe to make in parallel.
        self._clients = {name: session.client(name) for name in sorted(names)}
        self._facts = _facts(session, self._clients["sts"])
        self._pool = ThreadPoolExecutor(max_workers=8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown()

    def listed(self) -> list[Listed]:
        """What the services list."""

        def ask(listing: Listing) -> list[Listed]:
            return list(_listed(self._clients[listing.service], listing, self._facts))

        return [item for items in self._pool.map(ask, self._listings) for item in items]

    def tagged_by_service(self, found: list[Listed], environment: str) -> list[Seen]:
        """With the tags that each service tells."""

        def ask(one: Listed) -> Seen:
            tags = _tags(self._clients[one.listing.service], one, environment)
            return Seen(one.leftover, tags, one.item)

        return list(self._pool.map(ask, found))

    def tagged(self, tags: Mapping[str, str]) -> Iterator[Seen]:
        """What the Tagging API knows of the kinds that no service was asked for."""
        for key, value in tags.items():
            for one in _tagged(self._clients["resourcegroupstaggingapi"], key, value):
                if not _is_listed(one.leftover.arn):
                    yield one


def _facts(session: Any, sts: Any) -> dict[str, str]:
    identity = _asked(sts.get_caller_identity, "sts")
    return {
        "account": identity["Account"],
        "region": session.region_name,
        "partition": identity["Arn"].split(":")[1],
    }


def _listed(client: Any, listing: Listing, facts: Mapping[str, str]) -> Iterator[Listed]:
    for page in _pages(client, listing, _filled(listing.given, facts)):
        for item in jmespath.search(listing.items, page) or []:
            if listing.alive and not jmespath.search(listing.alive, item):
                continue
            name = jmespath.search(listing.id, item)
            arn = (
                listing.arn.format(id=name, **facts)
                if "{" in listing.arn
                else (jmespath.search(listing.arn, item) if listing.arn else "")
            )
            if listing.kind == "key" and not _is_ours_and_alive(client, name):
                continue
            yield Listed(Leftover(listing.service, listing.kind, name, arn or ""), item, listing)


def _filled(given: Any, facts: Mapping[str, str]) -> Any:
    """Parameters with the account's facts in their texts."""
    if isinstance(given, Mapping):
        return {key: _filled(value, facts) for key, value in given.items()}
    if isinstance(given, list):
        return [_filled(value, facts) for value in given]
    return given.format(**facts) if isinstance(given, str) else given


def _pages(client: Any, listing: Listing, given: Mapping[str, Any]) -> Iterator[Any]:
    where = f"{listing.service}:{listing.call}"
    if client.can_paginate(listing.call):
        pages = iter(client.get_paginator(listing.call).paginate(**given))
        while (page := _asked(lambda: next(pages, None), where)) is not None:
            yield page
    else:
        page = _asked(lambda: getattr(client, listing.call)(**given), where)
        if page is not None:
            yield page


def _asked(call: Callable[[], Any], where: str) -> Any:
    """What the call gives; None when this endpoint does not have the operation at all.

    Raises:
        InfrastructureError: it was refused or failed.
    """
    try:
        return call()
    except ClientError as failure:
        error = failure.response["Error"]
        status = failure.response["ResponseMetadata"].get("HTTPStatusCode")
        if error["Code"] in _ABSENT or status == 501:
            _log.warning("inventory.operation_absent", operation=where)
            return None
        raise InfrastructureError(
            f"{error['Code']}: {error['Message']}",
            where=where,
            fix="Allow this call: without it nobody can say that nothing is left.",
        ) from failure
    except EndpointConnectionError as failure:
        raise InfrastructureError(
            str(failure), where=where, fix="Is AWS_ENDPOINT_URL right, and does it answer?"
        ) from failure


def _is_ours_and_alive(kms: Any, key: str) -> bool:
    """False for AWS's own keys, and for keys whose deletion is scheduled: there is no other."""
    described = _asked(lambda: kms.describe_key(KeyId=key), "kms:describe_key")["KeyMetadata"]
    return bool(
        described.get("KeyManager") == "CUSTOMER" and described.get("KeyState") != "PendingDeletion"
    )


def _tags(client: Any, listed: Listed, environment: str) -> dict[str, str]:
    listing = listed.listing
    if listing.named:
        ours = re.fullmatch(listing.named.format(environment=environment), listed.leftover.id)
        return {ENVIRONMENT_TAG: environment} if ours else {}
    if listing.tags_call is None:
        return _as_dict(jmespath.search(listing.tags, listed.item))
    operation, parameter, value, path = listing.tags_call
    argument: Any = listed.leftover.id if value == "id" else listed.leftover.arn
    if parameter.endswith("[]"):
        parameter, argument = parameter[:-2], [argument]
    try:
        answer = getattr(client, operation)(**{parameter: argument})
    except ClientError as failure:
        code = failure.response["Error"]["Code"]
        if any(sign in code for sign in _GONE):
            return {}
        raise InfrastructureError(
            f"the tags of {listed.leftover.id} cannot be read: {code}",
            where=f"{listing.service}:{operation}",
            fix="Allow this call: without it nobody can say that nothing is left.",
        ) from failure
    return _as_dict(jmespath.search(path, answer))


def _as_dict(tags: Any) -> dict[str, str]:
    """Tags in any of the forms that AWS's services use."""
    if isinstance(tags, Mapping):
        return dict(tags)
    return {
        next(str(tag[key]) for key in _TAG_KEYS if key in tag): next(
            (str(tag[key]) for key in _TAG_VALUES if key in tag), ""
        )
        for tag in tags or []
    }


def without_defaults(found: Iterable[Listed]) -> list[Leftover]:
    """What somebody made: not the default VPC and its parts, groups and users."""
    found = list(found)
    default_vpcs = {
        item.leftover.id
        for item in found
        if item.leftover.kind == "vpc" and item.item.get("IsDefault")
    }

    def is_default(item: Listed) -> bool:
        if isinstance(item.item, Mapping) and item.item.get("VpcId") in default_vpcs:
            return True
        name = item.leftover.id
        return (
            name in default_vpcs
            or name.lower().startswith("default")
            or (item.leftover.kind, name) == ("workgroup", "primary")
        )

    return [item.leftover for item in found if not is_default(item)]


def _tagged(client: Any, key: str, value: str) -> Iterator[Seen]:
    """What has a tag, by the Tagging API; of any value where none is given."""
    wanted = {"Key": key, **({"Values": [value]} if value else {})}
    pages = client.get_paginator("get_resources").paginate(TagFilters=[wanted])
    for page in _asked(lambda: list(pages), "tag:GetResources") or []:
        for resource in page["ResourceTagMappingList"]:
            arn = resource["ResourceARN"]
            service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
            leftover = Leftover(service, rest.replace(":", "/").split("/")[0], rest, arn)
            yield Seen(leftover, _as_dict(resource.get("Tags")))


def _is_listed(arn: str) -> bool:
    """Whether a listing was asked for this kind: it forgets at once, the Tagging API does not."""
    service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
    aliases = {"elasticloadbalancing": "elbv2", "elasticfilesystem": "efs"}
    service = aliases.get(service, service)
    return any(
        listing.service == service and rest.startswith(listing.signs) for listing in LISTINGS
    )
