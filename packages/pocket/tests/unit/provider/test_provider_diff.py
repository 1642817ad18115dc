"""What counts as a change, what replaces, and the forms in which values travel."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2

from pocket.errors import DeploymentError
from pocket.provider import generate, schema
from pocket.provider.functions import invoke
from pocket.provider.provider import AwsProvider
from pocket.provider.types import TABLE
from pocket.provider.values import UNKNOWN, from_struct, has_secret, plain, secret, to_struct

PROVIDER = AwsProvider({"region": "eu-west-1"})


def diff(
    token: str, olds: dict, news: dict, ignore: tuple[str, ...] = ()
) -> provider_pb2.DiffResponse:
    return PROVIDER.Diff(
        provider_pb2.DiffRequest(
            urn=f"urn:pulumi:s::p::{token}::x",
            olds=to_struct(olds),
            old_inputs=to_struct(olds),
            news=to_struct(news),
            ignoreChanges=ignore,
        )
    )


ROLE, VPC, BUCKET = "aws:iam/role:Role", "aws:ec2/vpc:Vpc", "aws:s3/bucket:Bucket"


def test_the_order_of_lists_and_the_white_space_of_policies_mean_nothing() -> None:
    one = json.dumps({"Statement": [{"Effect": "Allow", "Action": ["b", "a"]}]})
    other = json.dumps({"Statement": {"Action": ["a", "b"], "Effect": "Allow"}}, indent=2)
    assert diff(ROLE, {"assumeRolePolicy": one}, {"assumeRolePolicy": other}).changes == 1
    cluster = "aws:redshift/subnetGroup:SubnetGroup"
    assert diff(cluster, {"subnetIds": ["a", "b"]}, {"subnetIds": ["b", "a"]}).changes == 1


def test_each_changed_property_is_named_down_to_its_place() -> None:
    response = diff(VPC, {"tags": {"a": "1", "b.c": "2"}}, {"tags": {"a": "2"}})
    kinds = {path: each.kind for path, each in response.detailedDiff.items()}
    assert kinds == {
        "tags.a": provider_pb2.PropertyDiff.UPDATE,
        'tags["b.c"]': provider_pb2.PropertyDiff.DELETE,
    }


def test_what_no_call_can_change_replaces() -> None:
    response = diff(VPC, {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": UNKNOWN})
    assert list(response.replaces) == ["cidrBlock"]
    assert response.detailedDiff["cidrBlock"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE


def test_two_of_one_name_cannot_live_at_once() -> None:
    olds = {"name": "mine", "path": "/"}
    assert diff(ROLE, olds, {"name": "mine", "path": "/x/"}).deleteBeforeReplace
    named = {"name": "x-1", "path": "/x/", "__defaults": ["name"]}
    assert not diff(ROLE, {**olds, "name": "x-1"}, named).deleteBeforeReplace


def test_ignored_changes_are_none() -> None:
    olds, news = {"tags": {"a": "1"}}, {"tags": {"a": "2"}}
    for path in ("tags", "tags.a", "*", "tags.*", "tags[*]"):
        assert diff(VPC, olds, news, (path,)).changes == 1
    assert diff(VPC, olds, news, ("cidrBlock",)).changes == 2


def test_a_preview_of_a_creation_asks_nobody_and_knows_what_can_be_known() -> None:
    request = provider_pb2.CreateRequest(
        urn=f"urn:pulumi:s::p::{BUCKET}::x", properties=to_struct({"bucket": "b"}), preview=True
    )
    outputs = from_struct(PROVIDER.Create(request).properties)
    assert (outputs["bucket"], outputs["arn"]) == ("b", UNKNOWN)
    assert outputs["region"] == "eu-west-1"


def test_an_unknown_type_is_named_with_the_one_meant() -> None:
    with pytest.raises(DeploymentError, match="did you mean aws:ec2/vpc:Vpc"):
        PROVIDER.Check(provider_pb2.CheckRequest(urn="urn:pulumi:s::p::aws:ec2/vpcs:Vpcs::x"))


def test_an_unknown_function_names_those_there_are() -> None:
    with pytest.raises(DeploymentError) as caught:
        invoke(PROVIDER.aws, "aws:index/getRegions:getRegions", {})
    assert "aws:index/getRegion:getRegion" in caught.value.fix


def test_a_policy_document_is_computed_here() -> None:
    statement = {
        "sid": "Read",
        "actions": ["s3:GetObject"],
        "resources": ["arn:aws:s3:::b/*"],
        "principals": [{"type": "AWS", "identifiers": ["a"]}],
        "conditions": [{"test": "StringEquals", "variable": "v", "values": ["x"]}],
    }
    token = "aws:iam/getPolicyDocument:getPolicyDocument"
    answer = invoke(PROVIDER.aws, token, {"statements": [statement]})
    assert json.loads(answer["json"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::b/*",
                "Principal": {"AWS": "a"},
                "Condition": {"StringEquals": {"v": "x"}},
            }
        ],
    }


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1), VALUES, max_size=4))
def test_values_survive_the_journey(properties: dict) -> None:
    assert from_struct(to_struct(properties)) == properties
    assert plain(properties) == properties
    wrapped = {key: secret(value) for key, value in properties.items()}
    assert plain(from_struct(to_struct(wrapped))) == properties
    assert has_secret(wrapped) == bool(properties)


def test_the_schema_is_current() -> None:
    """`python -m pocket.provider.generate` was run after the last change of the table."""
    assert set(json.loads(schema.SCHEMA_FILE.read_text())) == set(TABLE)
    sample = ("aws:s3/bucket:Bucket", "aws:s3/bucketVersioning:BucketVersioning")
    assert generate.describe(sample) == {token: schema._load()[token] for token in sample}


def test_a_provider_is_the_same_however_its_settings_were_written() -> None:
    """Structured settings are JSON text in one state and structures in another."""
    written = {"region": "us-east-1", "defaultTags": {"tags": {"a": "b"}}, "__internal": {}}
    stored = {"region": "us-east-1", "defaultTags": '{"tags": {"a": "b"}}'}
    provider = AwsProvider()

    def change(olds: dict, news: dict) -> list[str]:
        request = provider_pb2.DiffRequest(olds=to_struct(olds), news=to_struct(news))
        return list(provider.DiffConfig(request).diffs)

    assert change(stored, written) == []
    assert change(stored, {**written, "region": "eu-west-1"}) == ["region"]
