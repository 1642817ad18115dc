"""Tags of parameter groups and user groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.elasticache.models import ElastiCacheBackend

from pocket.emulator.core.patching import replace
from pocket.emulator.core.tables import table


def follow_tags() -> None:
    """The new kinds take tags like the others, and the Tagging API sees them."""

    @replace(ElastiCacheBackend, "iter_tagged_resources")
    def tagged(
        original: Callable[..., Any], backend: ElastiCacheBackend
    ) -> Iterator[TaggedResource]:
        yield from original(backend)
        for kind, resource_type in (
            ("parameter_groups", "elasticache:parametergroup"),
            ("user_groups", "elasticache:usergroup"),
        ):
            for resource in list(table(backend, kind).values()):
                tags = backend.tagging_service.get_tag_dict_for_resource(resource["ARN"])
                yield TaggedResource(resource["ARN"], tags, resource_type)

    @replace(ElastiCacheBackend, "list_tags_for_resource")
    def list_tags(
        original: Callable[..., Any], backend: ElastiCacheBackend, resource: str
    ) -> dict[str, list[dict[str, str]]]:
        if ":parametergroup:" in resource or ":usergroup:" in resource:
            return backend.tagging_service.list_tags_for_resource(resource)
        tags: dict[str, list[dict[str, str]]] = original(backend, resource)
        return tags
