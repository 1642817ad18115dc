"""ECR: image repositories and how long images stay in them."""

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Tags,
    prop,
    the_id,
)

_REPOSITORY = {"repositoryName": the_id}
_PUT_POLICY = Call(operation="put_lifecycle_policy")

TYPES = (
    ResourceType(
        token="aws:ecr/repository:Repository",
        service="ecr",
        create=Call(operation="create_repository"),
        identity=prop("name"),
        read=Read(
            operation="describe_repositories",
            params={"repositoryNames": lambda subject: [subject.id]},
            path="repositories[0]",
        ),
        delete=Call(
            operation="delete_repository",
            params={**_REPOSITORY, "force": prop("forceDelete", False)},
        ),
        name=Name(longest=256, lower=True),
        names={
            "name": "repositoryName",
            "arn": "repositoryArn",
            "repositoryUrl": "repositoryUri",
        },
        facets=(
            Facet(
                properties=("imageTagMutability", "imageTagMutabilityExclusionFilters"),
                put=Call(operation="put_image_tag_mutability", params=_REPOSITORY),
                at_creation=False,
            ),
            Facet(
                properties=("imageScanningConfiguration",),
                put=Call(operation="put_image_scanning_configuration", params=_REPOSITORY),
                clear=Call(
                    operation="put_image_scanning_configuration",
                    params={**_REPOSITORY, "imageScanningConfiguration": {"scanOnPush": False}},
                ),
                at_creation=False,
            ),
        ),
        defaults={"imageTagMutability": "MUTABLE"},
        local=("forceDelete",),
        filled=("encryptionConfigurations", "imageScanningConfiguration"),
        tags=Tags(
            at_creation="tags",
            target="resourceArn",
            put_member="tags",
            remove_member="tagKeys",
            read=Read(
                operation="list_tags_for_resource",
                params={"resourceArn": prop("arn")},
                path="tags",
            ),
        ),
    ),
    ResourceType(
        token="aws:ecr/lifecyclePolicy:LifecyclePolicy",
        setting=True,
        service="ecr",
        create=_PUT_POLICY,
        identity=prop("repository"),
        read=Read(operation="get_lifecycle_policy", params=_REPOSITORY),
        delete=Call(operation="delete_lifecycle_policy", params=_REPOSITORY),
        names={"repository": "repositoryName", "policy": "lifecyclePolicyText"},
        rules=(rules.json_document("policy"),),
    ),
)
