"""Tags of node groups, add-ons, access entries and associations, by their ARN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import EmptyResult
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse

from pocket.emulator.core.patching import replace
from pocket.emulator.core.tables import table
from pocket.emulator.eks.kinds import ADDON, ASSOCIATION, ENTRY


def follow_tags() -> None:
    """Tags of node groups, add-ons, access entries and associations, by their ARN."""

    def tags_of(backend: EKSBackend, resource: str) -> dict[str, str] | None:
        for cluster in backend.clusters.values():
            parts: list[Any] = [*cluster.nodegroups.values(), *cluster.fargate_profiles.values()]
            for part in parts:
                if resource in (getattr(part, "arn", ""), getattr(part, "fargate_profile_arn", "")):
                    part.tags = part.tags or {}
                    own: dict[str, str] = part.tags
                    return own
        for kind, field in (
            (ADDON, "addonArn"),
            (ENTRY, "accessEntryArn"),
            (ASSOCIATION, "associationArn"),
        ):
            for one in table(backend, kind.table).values():
                if one[field] == resource:
                    tags: dict[str, str] = one["tags"]
                    return tags
        return None

    @replace(EKSBackend, "tag_resource")
    def tag(
        original: Callable[..., Any], backend: EKSBackend, resource_arn: str, tags: dict[str, str]
    ) -> None:
        own = tags_of(backend, resource_arn)
        if own is None:
            original(backend, resource_arn, tags)
        else:
            own.update(tags)

    @replace(EKSResponse, "untag_resource")
    def untag_all(original: Callable[..., Any], self: EKSResponse) -> EmptyResult:
        # moto takes the first of the keys, which stand in the query.
        keys = self.querystring.get("tagKeys", [])
        self.eks_backend.untag_resource(self._extract_arn_from_path(), keys)
        return EmptyResult()

    @replace(EKSBackend, "untag_resource")
    def untag(
        original: Callable[..., Any], backend: EKSBackend, resource_arn: str, tag_keys: list[str]
    ) -> None:
        own = tags_of(backend, resource_arn)
        if own is None:
            original(backend, resource_arn, tag_keys)
        else:
            for key in tag_keys:
                own.pop(key, None)

    @replace(EKSBackend, "list_tags_for_resource")
    def list_tags(
        original: Callable[..., Any], backend: EKSBackend, resource_arn: str
    ) -> dict[str, str]:
        own = tags_of(backend, resource_arn)
        tags: dict[str, str] = original(backend, resource_arn) if own is None else own
        return tags
