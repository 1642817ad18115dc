"""What AWS refuses, the local cloud refuses: with AWS's code, so that no document that AWS would
refuse comes up here. Each row names the page that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pocket.emulator.core.refusals import TAG_CODES

Client = Callable[..., Any]
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ROLE = "arn:aws:iam::123456789012:role/nodes"


def unchecked(service: str) -> Any:
    """A client that sends what botocore would refuse itself."""
    return boto3.client(service, config=Config(parameter_validation=False))


def refused(call: Callable[[], object]) -> tuple[str, str]:
    """The code and the message of a refusal."""
    with pytest.raises(ClientError) as refusal:
        call()
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"]


TAGS = [
    ({"a#b": "x"}, "a#b"),
    ({"a": "x;y"}, "x;y"),
    ({"aws:mine": "x"}, "reserved"),
    ({"AWS:mine": "x"}, "reserved"),
    ({"Team": "a", "team": "b"}, "case insensitive"),
    ({"k" * 129: "x"}, "128"),
    ({"k": "v" * 257}, "256"),
    ({f"k{number}": "v" for number in range(51)}, "50"),
]
"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html"""


@pytest.mark.parametrize(("tags", "said"), TAGS, ids=[said for _, said in TAGS])
def test_tags_of_a_role(client: Client, tags: dict[str, str], said: str) -> None:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    code, message = refused(
        lambda: unchecked("iam").create_role(
            RoleName="tagged", AssumeRolePolicyDocument=TRUST, Tags=listed
        )
    )
    assert code == "ValidationError"
    assert said in message


OWN = [{"Key": "aws:mine", "Value": "x"}]
MAKING: dict[str, tuple[str, dict[str, Any]]] = {
    "ec2": (
        "create_vpc",
        {
            "CidrBlock": "10.0.0.0/16",
            "TagSpecifications": [{"ResourceType": "vpc", "Tags": OWN}],
        },
    ),
    "eks": (
        "create_cluster",
        {"name": "c", "roleArn": ROLE, "resourcesVpcConfig": {}, "tags": {"aws:mine": "x"}},
    ),
    "rds": (
        "create_db_subnet_group",
        {
            "DBSubnetGroupName": "g",
            "DBSubnetGroupDescription": "g",
            "SubnetIds": ["subnet-1"],
            "Tags": OWN,
        },
    ),
    "redshift": (
        "create_cluster_parameter_group",
        {
            "ParameterGroupName": "g",
            "ParameterGroupFamily": "redshift-1.0",
            "Description": "g",
            "Tags": OWN,
        },
    ),
    "kms": ("create_key", {"Tags": [{"TagKey": "aws:mine", "TagValue": "x"}]}),
    "ecr": ("create_repository", {"repositoryName": "aa", "tags": OWN}),
    "logs": ("create_log_group", {"logGroupName": "g", "tags": {"aws:mine": "x"}}),
    "dynamodb": (
        "create_table",
        {
            "TableName": "ttt",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "Tags": OWN,
        },
    ),
    "efs": ("create_file_system", {"CreationToken": "t", "Tags": OWN}),
    "secretsmanager": ("create_secret", {"Name": "s", "SecretString": "s", "Tags": OWN}),
    "elasticache": (
        "create_cache_subnet_group",
        {
            "CacheSubnetGroupName": "g",
            "CacheSubnetGroupDescription": "g",
            "SubnetIds": ["subnet-1"],
            "Tags": OWN,
        },
    ),
}


@pytest.mark.parametrize("service", sorted(MAKING))
def test_tags_that_are_aws_own(client: Client, service: str) -> None:
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""
    operation, parameters = MAKING[service]
    code, message = refused(lambda: getattr(unchecked(service), operation)(**parameters))
    assert code == TAG_CODES.get(service, "ValidationException")
    assert "reserved" in message


@pytest.fixture(scope="module")
def cluster(client: Client) -> str:
    client("eks").create_cluster(
        name="refusing", version="1.33", roleArn=ROLE, resourcesVpcConfig={"subnetIds": ["s-1"]}
    )
    return "refusing"


def group(cluster: str, **more: Any) -> dict[str, Any]:
    return {
        "clusterName": cluster,
        "nodegroupName": "workers",
        "nodeRole": ROLE,
        "subnets": ["s-1"],
        **more,
    }


GROUPS: list[tuple[dict[str, Any], str]] = [
    ({"labels": {"kubernetes.io/team": "a"}}, "kubernetes.io/"),
    ({"labels": {"node.kubernetes.io/team": "a"}}, "kubernetes.io/"),
    ({"labels": {"eks.amazonaws.com/team": "a"}}, "eks.amazonaws.com/"),
    ({"taints": [{"key": "k8s.io/a", "effect": "NO_SCHEDULE"}]}, "k8s.io/"),
    ({"taints": [{"key": "a", "effect": "NO_SCHEDULE"}] * 2}, "twice"),
    ({"taints": [{"key": f"a{n}", "effect": "NO_SCHEDULE"} for n in range(51)]}, "50"),
    ({"scalingConfig": {"minSize": 2, "maxSize": 3, "desiredSize": 1}}, "Minimum capacity 2"),
    ({"scalingConfig": {"minSize": 1, "maxSize": 2, "desiredSize": 3}}, "max size 2"),
    ({"scalingConfig": {"minSize": 4, "maxSize": 3, "desiredSize": 3}}, "maximum size 3"),
]
"""https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html"""


@pytest.mark.parametrize(("more", "said"), GROUPS, ids=[said for _, said in GROUPS])
def test_a_node_group(client: Client, cluster: str, more: dict[str, Any], said: str) -> None:
    code, message = refused(lambda: client("eks").create_nodegroup(**group(cluster, **more)))
    assert code == "InvalidParameterException"
    assert said in message


def test_a_node_group_that_changes(client: Client, cluster: str) -> None:
    eks = client("eks")
    sizes = {"minSize": 1, "maxSize": 3, "desiredSize": 1}
    eks.create_nodegroup(**group(cluster, scalingConfig=sizes))
    where = {"clusterName": cluster, "nodegroupName": "workers"}
    changes: list[tuple[dict[str, Any], str]] = [
        ({"scalingConfig": {"minSize": 2}}, "desired size 1"),
        ({"scalingConfig": {"desiredSize": 4}}, "max size 3"),
        ({"labels": {"addOrUpdateLabels": {"k8s.io/a": "b"}}}, "k8s.io/"),
    ]
    for change, said in changes:
        code, message = refused(lambda: eks.update_nodegroup_config(**where, **change))  # noqa: B023
        assert code == "InvalidParameterException"
        assert said in message


@pytest.mark.parametrize("version", ["1.32", "1.33", "1.35"])
def test_kubernetes_goes_one_minor_at_a_time(client: Client, cluster: str, version: str) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html"""
    code, message = refused(
        lambda: client("eks").update_cluster_version(name=cluster, version=version)
    )
    assert code == "InvalidParameterException"
    assert message.endswith(f"Unsupported Kubernetes minor version update from 1.33 to {version}")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MasterUsername": "public"}, "public"),
        ({"MasterUsername": "user"}, "user"),
        ({"DBName": "select"}, "select"),
        ({"DBName": "template1"}, "template1"),
        ({"NumberOfNodes": 101}, "101"),
    ],
)
def test_a_warehouse(client: Client, changed: dict[str, Any], said: str) -> None:
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html"""
    asked = {
        "ClusterIdentifier": "w",
        "NodeType": "ra3.large",
        "MasterUsername": "admin",
        "MasterUserPassword": "Str0ngEnough",
        **changed,
    }
    code, message = refused(lambda: client("redshift").create_cluster(**asked))
    assert code == "InvalidParameterValue"
    assert said in message


def test_a_database_that_goes_back(client: Client) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    rds = client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="going",
        DBInstanceClass="db.t4g.small",
        Engine="postgres",
        EngineVersion="16",
        AllocatedStorage=50,
        MasterUsername="someone",
        MasterUserPassword="Str0ngEnough",
    )
    changes: list[tuple[dict[str, Any], str, str]] = [
        ({"EngineVersion": "15"}, "InvalidParameterCombination", "Cannot upgrade postgres from 16"),
        ({"AllocatedStorage": 40}, "InvalidParameterValue", "40"),
        ({"MaxAllocatedStorage": 54}, "InvalidParameterCombination", "54"),
        (
            {"AllocatedStorage": 60, "MaxAllocatedStorage": 65},
            "InvalidParameterCombination",
            "no tenth above the 60 GiB",
        ),
    ]
    for change, code, said in changes:
        found = refused(lambda: rds.modify_db_instance(DBInstanceIdentifier="going", **change))  # noqa: B023
        assert found[0] == code
        assert said in found[1]
    rds.modify_db_instance(DBInstanceIdentifier="going", EngineVersion="17", AllocatedStorage=60)
    for most in (66, 60):
        rds.modify_db_instance(DBInstanceIdentifier="going", MaxAllocatedStorage=most)


def test_a_cache_that_goes_back(client: Client) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/VersionManagement.HowTo.html"""
    cache = client("elasticache")
    cache.create_replication_group(
        ReplicationGroupId="going",
        ReplicationGroupDescription="going",
        Engine="valkey",
        EngineVersion="8.0",
        CacheNodeType="cache.t4g.micro",
        NumCacheClusters=1,
    )
    (node,) = cache.describe_cache_clusters(CacheClusterId="going-001")["CacheClusters"]
    assert (node["Engine"], node["EngineVersion"]) == ("valkey", "8.0")
    for change in ({"EngineVersion": "7.2"}, {"Engine": "redis", "EngineVersion": "7.1"}):
        code, _ = refused(
            lambda: cache.modify_replication_group(ReplicationGroupId="going", **change)  # noqa: B023
        )
        assert code == "InvalidParameterCombination"
    cache.modify_replication_group(ReplicationGroupId="going", EngineVersion="8.1")


@pytest.mark.parametrize(("kind", "count"), [("EMAIL", 11), ("SNS", 2)])
def test_subscribers_of_a_budget(client: Client, kind: str, count: int) -> None:
    """https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-best-practices.html"""
    budgets = unchecked("budgets")
    code, message = refused(
        lambda: budgets.create_budget(
            AccountId="123456789012",
            Budget={"BudgetName": "b", "TimeUnit": "MONTHLY", "BudgetType": "COST"},
            NotificationsWithSubscribers=[
                {
                    "Notification": {
                        "NotificationType": "ACTUAL",
                        "ComparisonOperator": "GREATER_THAN",
                        "Threshold": 80,
                    },
                    "Subscribers": [
                        {"SubscriptionType": kind, "Address": f"a{number}@example.com"}
                        for number in range(count)
                    ],
                }
            ],
        )
    )
    assert code == "InvalidParameterException"
    assert str(count) in message


@pytest.mark.parametrize("service", sorted(set(MAKING) & set(TAG_CODES)))
def test_the_codes_are_the_services_own(client: Client, service: str) -> None:
    shapes = client(service).meta.service_model.error_shapes
    codes = {shape.metadata.get("error", {}).get("code") for shape in shapes}
    general = {"ValidationError", "InvalidParameterValue"}
    assert TAG_CODES[service] in codes | {shape.name for shape in shapes} | general
