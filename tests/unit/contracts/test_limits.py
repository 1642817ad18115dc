"""AWS's rules are AWS's: compared with its own models, and each with its source."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from sqlglot.dialects.redshift import Redshift

from contracts.environment import Environment
from contracts.environment.limits import LIMITS, REDSHIFT_WORDS, taggable
from contracts.environment.machines import IMAGES, machine
from contracts.errors import DocumentError


def shape(service: str, name: str) -> Any:
    """A shape of a service's model."""
    return botocore.session.get_session().get_service_model(service).shape_for(name)


@pytest.mark.parametrize("what", sorted(LIMITS))
def test_a_limit_is_the_models_and_has_its_source(what: str) -> None:
    limit = LIMITS[what]
    assert limit.source.startswith("https://docs.aws.amazon.com/")
    if limit.shape:
        metadata = shape(*limit.shape).metadata
        assert (metadata.get("min", 0), metadata["max"]) == (limit.least, limit.most)


def test_tags_are_those_that_the_narrowest_service_takes() -> None:
    """IAM's characters are in every pattern that a service of ours has for tags."""
    for service, name in (
        *(("iam", "tagKeyType"), ("firehose", "TagKey"), ("efs", "TagKey"), ("logs", "TagKey")),
    ):
        assert "_.:" in shape(service, name).metadata["pattern"].replace("\\", "")
    assert taggable("é中 _.:/=+-@9") == "é中 _.:/=+-@9"
    for character in "%,;?*#'\"\t\n<>{}[]()|&!$^`~\\":
        with pytest.raises(ValueError, match="tags take letters"):
            taggable(f"a{character}")


def test_reserved_words_are_those_that_another_reader_of_the_list_found() -> None:
    theirs = {word.strip() for word in Redshift.Generator.RESERVED_KEYWORDS}
    words = {word for row in theirs for word in row.split()}
    assert words <= REDSHIFT_WORDS


def test_images_are_eks_own() -> None:
    assert set(IMAGES.values()) <= set(shape("eks", "AMITypes").enum)


@pytest.mark.parametrize(
    ("image", "families"),
    [
        (
            "AL2023_x86_64_STANDARD",
            "m7i m7a c6i t3 r6id x2idn x2iezn u7i-12tb i7ie m5zn hpc6a g4ad",
        ),
        ("AL2023_ARM_64_STANDARD", "m7g m6gd c7gn t4g r8g x2gd im4gn is4gen i4g hpc7g a1 c8gb"),
        ("AL2023_x86_64_NVIDIA", "g4dn g5 g6 g6e gr6 p3 p3dn p4d p4de p5 p5en p6-b200"),
        ("AL2023_ARM_64_NVIDIA", "g5g p6e-gb200"),
        ("AL2023_x86_64_NEURON", "inf1 inf2 trn1 trn1n trn2 trn2u"),
    ],
)
def test_the_image_by_the_instance_type(image: str, families: str) -> None:
    for family in families.split():
        assert machine(f"{family}.xlarge").image == image, family


def test_every_instance_type_that_there_is_has_an_image() -> None:
    for kind in shape("ec2", "InstanceType").enum:
        if not kind.startswith("mac"):
            assert machine(kind).image in IMAGES.values(), kind


BASE = {"name": "test", "tier": "dev", "account": "123456789012", "region": "eu-central-1"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
    ({"lake": {"lifecycle": {"versions": "0d"}}}, "1d to 3650d"),
    ({"lake": {"lifecycle": {"uploads": "0d"}}}, "1d to 3650d"),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    ({"lake": {"existing": {"raw": "192.168.1.1"}}}, "a bucket's name"),
    ({"lake": {"existing": {"raw": "ours-s3alias"}}}, "a bucket's name"),
    ({"lake": {"existing": {"raw": "ours--x-s3"}}}, "a bucket's name"),
    ({"lake": {"existing": {"raw": "amzn-s3-demo-ours"}}}, "a bucket's name"),
    # https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
    ({"cluster": {"public_access": ["10.1.0.0/16"]}}, "10.1.0.0/16 is private"),
    ({"cluster": {"public_access": ["172.16.4.0/24"]}}, "is private"),
    ({"cluster": {"public_access": [f"52.{n}.0.0/16" for n in range(41)]}}, "40 networks"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    ({"cluster": {"admins": [f"arn:aws:iam::123456789012:role/{'a' * 65}"]}}, "an IAM ARN"),
    ({"cluster": {"admins": ["arn:aws:iam::123456789012:role/a b"]}}, "an IAM ARN"),
    # https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
    (
        {"cluster": {"node_groups": {"g": {"instance_types": ["m7i.large"] * 2, "min": 1}}}},
        "named twice",
    ),
    # https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html
    ({"warehouse": {"node_type": "ra3.16xlarge", "nodes": 101}}, "100"),
    # Names: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html,
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
    ({"registry": {"repositories": ["a" * 64]}}, "at most 63"),
    ({"online_store": {"tables": {"a" * 64: {"key": "k"}}}}, "at most 63"),
    ({"file_system": {"access_points": {"a" * 64: 1000}}}, "at most 63"),
]


@pytest.mark.parametrize(("section", "said"), REFUSED)
def test_what_aws_refuses_of_a_document_is_refused_in_it(section: Any, said: str) -> None:
    with pytest.raises(DocumentError) as refusal:
        Environment.parse({**BASE, **section})
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "section",
    [
        {"lake": {"lifecycle": {"versions": "1d", "uploads": "1d"}}},
        {"lake": {"existing": {"raw": "ours.and-theirs"}}},
        {"cluster": {"public_access": ["52.95.0.0/16"]}},
        {"cluster": {"admins": [f"arn:aws:iam::123456789012:role/team/{'a' * 64}"]}},
    ],
)
def test_what_aws_takes_is_taken(section: Any) -> None:
    Environment.parse({**BASE, **section})
