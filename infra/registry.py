"""Container images: a tag that was scanned and judged can never come to mean another image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_aws import ecr

from contracts.environment import Environment
from infra.concern import AwsConcern, DataClass, Grants, Outputs, Platform
from infra.keys import Keys
from infra.policies import allow

UNTAGGED_DAYS: Final = 7


class Registry(AwsConcern):
    """The repositories by image name (``millwright/dev/runtime``)."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("registry", platform)
        settings = platform.environment.registry
        key_arn = platform[Keys].arns["images"]
        self.repositories = {
            image: self._repository(image, key_arn) for image in settings.repositories
        }
        self.digests = platform.pushed.digests(settings.tag) if platform.pushed else {}
        """The images that were pushed at the environment's version, by name."""
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """The images."""
        return {"images": DataClass(services=("ecr",))}

    def grants(self) -> Grants:
        """Ask which images there are."""
        arns = [repository.arn for repository in self.repositories.values()]
        actions = ["ecr:DescribeImages", "ecr:ListImages"]
        return {"operator": [allow("DescribeImages", actions, arns)]} if arns else {}

    def outputs(self) -> Outputs:
        """Where images are pushed, and which were."""
        return {
            "registries": {
                image: repository.repository_url for image, repository in self.repositories.items()
            },
            "images": {
                image: reference
                for image, reference in self.images().items()
                if image in self.digests
            },
        }

    def images(self) -> dict[str, pulumi.Output[str]]:
        """What to run, by image: the digest that was pushed or, where none is known, the tag."""
        tag = self.environment.registry.tag
        return {
            image: pulumi.Output.concat(
                repository.repository_url,
                f"@{self.digests[image]}" if image in self.digests else f":{tag}",
            )
            for image, repository in self.repositories.items()
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
