"""Tags by ARN, for services whose tags moto lacks: kept with the backend, shown as AWS does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.core.base_backend import BaseBackend

from pocket.emulator.core.patching import add
from pocket.emulator.core.tables import table

_TAGS = "tags_by_arn"


def remember(backend: BaseBackend, arn: str, tags: list[dict[str, str]] | dict[str, str]) -> None:
    """Put tags, in either of AWS's forms, on a resource."""
    pairs = {tag["Key"]: tag["Value"] for tag in tags} if isinstance(tags, list) else tags
    table(backend, _TAGS).setdefault(arn, {}).update(pairs)


def forget(backend: BaseBackend, arn: str) -> None:
    """The tags go with their resource."""
    table(backend, _TAGS).pop(arn, None)


def give_tags(
    responses: type, backend_of: Callable[[Any], BaseBackend], *, tags: str, keys: str, pairs: bool
) -> None:
    """Give a service ListTagsForResource, TagResource and UntagResource.

    Args:
        tags, keys: the members that hold the tags, and the keys of those to remove.
        pairs: whether the tags are listed as keys and values, not as a map.
    """

    def tags_of(self: Any) -> dict[str, str]:
        return table(backend_of(self), _TAGS).get(self._get_param("ResourceARN"), {})

    def list_tags_for_resource(self: Any) -> str:
        found = tags_of(self)
        shown = [{"Key": key, "Value": value} for key, value in found.items()]
        return json.dumps({tags: shown if pairs else found})

    def tag_resource(self: Any) -> str:
        remember(backend_of(self), self._get_param("ResourceARN"), self._get_param(tags))
        return "{}"

    def untag_resource(self: Any) -> str:
        found = tags_of(self)
        for key in self._get_param(keys):
            found.pop(key, None)
        return "{}"

    for operation in (list_tags_for_resource, tag_resource, untag_resource):
        add(responses, operation)
