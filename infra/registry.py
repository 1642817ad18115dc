"""Container images: a tag that was scanned and judged can never come to mean another image."""

from __future__ import annotations

import json

import pulumi
from pulumi_aws import ecr

from contracts.environment import Environment
from infra.concern import Concern

UNTAGGED_DAYS = 7


class Registry(Concern):
    """The repositories by image name (``millwright/dev/runtime``)."""

    def __init__(
        self,
        environment: Environment,
        *,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry", environment, opts)
        self.repositories = {
            image: self._repository(image, key_arn) for image in environment.registry.repositories
        }
        self.register_outputs({})

    def images(self) -> dict[str, pulumi.Output[str]]:
        """Millwright's own images by repository, at the environment's version."""
        tag = self.environment.registry.tag
        return {
            name: pulumi.Output.concat(one.repository_url, ":", tag)
            for name, one in self.repositories.items()
        }

    def _repository(self, image: str, key_arn: pulumi.Input[str]) -> ecr.Repository:
        name = self.names.path(image)
        repository = ecr.Repository(
            image,
            name=name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": key_arn}],
            force_delete=self.environment.retention.empty_buckets,
            tags=self.tags(name),
            opts=self.child(holds_data=True),
        )
        ecr.LifecyclePolicy(
            image,
            repository=repository.name,
            policy=lifecycle_policy(self.environment.registry.keep),
            opts=pulumi.ResourceOptions(parent=repository),
        )
        return repository


def lifecycle_policy(keep: int) -> str:
    """Untagged images go after a week; of the tagged, the newest stay."""
    untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
    rules = [
        {"selection": {**untagged, "countNumber": UNTAGGED_DAYS}, "description": "untagged"},
        {
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": keep,
            },
            "description": "the newest stay",
        },
    ]
    return json.dumps(
        {
            "rules": [
                {"rulePriority": priority, **rule, "action": {"type": "expire"}}
                for priority, rule in enumerate(rules, start=1)
            ]
        }
    )
