"""Our plan as a Terraform plan document, which is what security checkers read.

Pulumi's AWS resources are Terraform's with the names changed: types and properties in camel case,
blocks that may repeat in the plural. Where a name does not follow the rule, a table says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

TYPES = {
    "iam/openIdConnectProvider": "aws_iam_openid_connect_provider",
    "kinesis/firehoseDeliveryStream": "aws_kinesis_firehose_delivery_stream",
    "rds/instance": "aws_db_instance",
    "rds/parameterGroup": "aws_db_parameter_group",
    "rds/subnetGroup": "aws_db_subnet_group",
    "cloudwatch/eventRule": "aws_cloudwatch_event_rule",
}
"""Types that have another name; those of EC2 have no prefix at all."""
PLURAL = frozenset({"tag_specifications", "block_device_mappings", "metadata_options"})
"""Blocks that Terraform, too, writes in the plural."""
MAPS = frozenset({"tags", "tags_all", "labels", "parameters", "variables"})
"""Properties whose keys are people's own."""
IRREGULAR = {
    "policies": "policy",
    "statements": "statement",
    "noncurrent_version_transitions": "noncurrent_version_transition",
    "local_secondary_indexes": "local_secondary_index",
    "global_secondary_indexes": "global_secondary_index",
}


class Resource(Protocol):
    """What this module reads of a planned resource."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    dependencies: Mapping[str, tuple[str, ...]]


def snake(name: str) -> str:
    """``kmsKeyId`` as ``kms_key_id``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def terraform_type(token: str) -> str:
    """``aws:s3/bucketPolicy:BucketPolicy`` as ``aws_s3_bucket_policy``."""
    path = token.split(":")[1]
    module, _, kind = path.partition("/")
    prefix = "aws_" if module == "ec2" else f"aws_{module}_"
    return TYPES.get(path, prefix + snake(kind))


def singular(name: str) -> str:
    """The name of a block that repeats."""
    if name in PLURAL:
        return name
    if name in IRREGULAR:
        return IRREGULAR[name]
    return re.sub(r"ies$", "y", name) if name.endswith("ies") else name.removesuffix("s")


def values_of(value: Any, name: str = "") -> Any:
    """A property's value with Terraform's names; a block is a list, even where there is one."""
    if isinstance(value, Mapping):
        if name in MAPS:
            return dict(value)
        named: dict[str, Any] = {}
        for key, inner in value.items():
            own = snake(key)
            if isinstance(inner, Mapping) and own not in MAPS:
                named[own] = [values_of(inner, own)]
            elif isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
                named[singular(own)] = [values_of(block, own) for block in inner]
            else:
                named[own] = values_of(inner, own)
        return named
    if isinstance(value, list):
        return [values_of(item, name) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def plan_of(resources: Iterable[Resource]) -> dict[str, Any]:
    """The plan document of the AWS resources among those planned."""
    ours = [resource for resource in resources if resource.type.startswith("aws:")]
    addresses = {resource.urn: address(resource) for resource in ours}
    planned, configured, changes = [], [], []
    for resource in ours:
        kind, name = addresses[resource.urn].split(".")
        values = values_of(resource.inputs)
        place = {"address": addresses[resource.urn], "mode": "managed", "type": kind, "name": name}
        planned.append({**place, "values": values})
        change = {"actions": ["create"], "before": None, "after": values, "after_unknown": {}}
        changes.append({**place, "change": change})
        references = {
            snake(key): {"references": [f"{addresses[urn]}.id", addresses[urn]]}
            for key, urns in resource.dependencies.items()
            for urn in urns
            if urn in addresses
        }
        configured.append({**place, "expressions": references})
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}},
    }


def address(resource: Resource) -> str:
    """A name of its own in the plan: what it belongs to, and its own."""
    parents = resource.urn.split("::")[2].split("$")[:-1]
    parts = [*(parent.split(":")[-1] for parent in parents), resource.name]
    return f"{terraform_type(resource.type)}.{re.sub(r'[^a-z0-9]+', '_', '_'.join(parts).lower())}"
