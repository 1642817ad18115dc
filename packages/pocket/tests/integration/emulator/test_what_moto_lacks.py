"""Resources that the emulator had not: made, changed, refused, listed and removed through boto3."""

from __future__ import annotations

import json
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
_ROLE = "arn:aws:iam::123456789012:role/path/platform"
_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


# -- EKS ----------------------------------------------------------------------------------------


@pytest.fixture
def eks(client: Client) -> Iterator[Any]:
    api = client("eks")
    api.create_cluster(
        name="k",
        roleArn=_ROLE,
        resourcesVpcConfig={"subnetIds": ["subnet-1"]},
        accessConfig={"authenticationMode": "API"},
    )
    yield api
    api.delete_cluster(name="k")
    with refused("ResourceNotFoundException"):
        api.list_addons(clusterName="k")


def test_addons(eks: Any) -> None:
    made = eks.create_addon(clusterName="k", addonName="vpc-cni", tags={"a": "b"})["addon"]
    assert made["addonVersion"].startswith("v1")
    with refused("ResourceInUseException"):
        eks.create_addon(clusterName="k", addonName="vpc-cni")
    with refused("InvalidParameterException"):
        eks.create_addon(clusterName="k", addonName="no-such-addon")
    update = eks.update_addon(
        clusterName="k", addonName="vpc-cni", addonVersion="v9", resolveConflicts="OVERWRITE"
    )["update"]
    assert eks.describe_update(name="k", updateId=update["id"])["update"]["status"] == "Successful"
    eks.get_waiter("addon_active").wait(clusterName="k", addonName="vpc-cni")
    found = eks.describe_addon(clusterName="k", addonName="vpc-cni")["addon"]
    assert (found["addonVersion"], found["tags"]) == ("v9", {"a": "b"})
    eks.tag_resource(resourceArn=found["addonArn"], tags={"c": "d"})
    assert eks.list_tags_for_resource(resourceArn=found["addonArn"])["tags"] == {"a": "b", "c": "d"}
    assert eks.list_addons(clusterName="k")["addons"] == ["vpc-cni"]
    eks.delete_addon(clusterName="k", addonName="vpc-cni")
    eks.get_waiter("addon_deleted").wait(clusterName="k", addonName="vpc-cni")


def test_each_cluster_has_its_own_issuer_and_endpoint(eks: Any) -> None:
    eks.create_cluster(name="l", roleArn=_ROLE, resourcesVpcConfig={"subnetIds": ["subnet-1"]})
    made = [eks.describe_cluster(name=name)["cluster"] for name in ("k", "l")]
    assert len({cluster["identity"]["oidc"]["issuer"] for cluster in made}) == 2
    assert len({cluster["endpoint"] for cluster in made}) == 2
    for cluster in made:
        authority = b64decode(cluster["certificateAuthority"]["data"]).decode()
        assert ssl.create_default_context(cadata=authority).get_ca_certs()
    eks.delete_cluster(name="l")


def test_access_entries(eks: Any) -> None:
    assert eks.describe_cluster(name="k")["cluster"]["accessConfig"]["authenticationMode"] == "API"
    eks.create_access_entry(clusterName="k", principalArn=_ROLE, kubernetesGroups=["viewers"])
    with refused("InvalidParameterException"):
        eks.create_access_entry(clusterName="k", principalArn="somebody")
    eks.associate_access_policy(
        clusterName="k", principalArn=_ROLE, policyArn=_POLICY, accessScope={"type": "cluster"}
    )
    (policy,) = eks.list_associated_access_policies(clusterName="k", principalArn=_ROLE)[
        "associatedAccessPolicies"
    ]
    assert (policy["policyArn"], policy["accessScope"]["type"]) == (_POLICY, "cluster")
    eks.update_access_entry(clusterName="k", principalArn=_ROLE, kubernetesGroups=["editors"])
    entry = eks.describe_access_entry(clusterName="k", principalArn=_ROLE)["accessEntry"]
    assert entry["kubernetesGroups"] == ["editors"]
    assert eks.list_access_entries(clusterName="k")["accessEntries"] == [_ROLE]
    eks.disassociate_access_policy(clusterName="k", principalArn=_ROLE, policyArn=_POLICY)
    eks.delete_access_entry(clusterName="k", principalArn=_ROLE)
    with refused("ResourceNotFoundException"):
        eks.describe_access_entry(clusterName="k", principalArn=_ROLE)


def test_pod_identity_associations(eks: Any) -> None:
    asked = {"clusterName": "k", "namespace": "serving", "serviceAccount": "models"}
    made = eks.create_pod_identity_association(**asked, roleArn=_ROLE)["association"]
    with refused("ResourceInUseException"):
        eks.create_pod_identity_association(**asked, roleArn=_ROLE)
    name = {"clusterName": "k", "associationId": made["associationId"]}
    eks.update_pod_identity_association(**name, roleArn=f"{_ROLE}-2")
    found = eks.describe_pod_identity_association(**name)["association"]
    assert found["roleArn"] == f"{_ROLE}-2"
    listed = eks.list_pod_identity_associations(clusterName="k", namespace="serving")
    assert [one["associationId"] for one in listed["associations"]] == [made["associationId"]]
    assert eks.list_pod_identity_associations(clusterName="k", namespace="x")["associations"] == []
    eks.delete_pod_identity_association(**name)
    with refused("ResourceNotFoundException"):
        eks.describe_pod_identity_association(**name)


# -- ElastiCache --------------------------------------------------------------------------------


def test_cache_parameter_groups(client: Client) -> None:
    cache = client("elasticache")
    name = {"CacheParameterGroupName": "features"}
    made = cache.create_cache_parameter_group(
        **name,
        CacheParameterGroupFamily="valkey8",
        Description="-",
        Tags=[{"Key": "a", "Value": "b"}],
    )["CacheParameterGroup"]
    with refused("AlreadyExists"):
        cache.create_cache_parameter_group(
            **name, CacheParameterGroupFamily="valkey8", Description="-"
        )
    policy = {"ParameterName": "maxmemory-policy", "ParameterValue": "allkeys-lru"}
    cache.modify_cache_parameter_group(**name, ParameterNameValues=[policy])
    with refused("InvalidParameterValue"):
        cache.modify_cache_parameter_group(
            **name, ParameterNameValues=[{**policy, "ParameterValue": "random"}]
        )
    (changed,) = cache.describe_cache_parameters(**name, Source="user")["Parameters"]
    assert changed["ParameterValue"] == "allkeys-lru"
    tags = cache.list_tags_for_resource(ResourceName=made["ARN"])["TagList"]
    assert tags == [{"Key": "a", "Value": "b"}]
    (default,) = cache.describe_cache_parameter_groups(CacheParameterGroupName="default.valkey8")[
        "CacheParameterGroups"
    ]
    assert default["CacheParameterGroupFamily"] == "valkey8"
    with refused("InvalidParameterValue"):
        cache.delete_cache_parameter_group(CacheParameterGroupName="default.valkey8")
    cache.delete_cache_parameter_group(**name)
    with refused("CacheParameterGroupNotFound"):
        cache.describe_cache_parameter_groups(**name)


def test_users_and_user_groups(client: Client) -> None:
    cache = client("elasticache")
    for user, name in (("u-default", "default"), ("u-features", "features")):
        cache.create_user(
            UserId=user,
            UserName=name,
            Engine="redis",
            AccessString="on ~* +@all",
            Passwords=["sixteen-letters-or-more"],
        )
    with refused("DefaultUserRequired"):
        cache.create_user_group(UserGroupId="g", Engine="redis", UserIds=["u-features"])
    with refused("UserNotFound"):
        cache.create_user_group(UserGroupId="g", Engine="redis", UserIds=["nobody"])
    cache.create_user_group(UserGroupId="g", Engine="redis", UserIds=["u-default"])
    cache.modify_user_group(UserGroupId="g", UserIdsToAdd=["u-features"])
    (group,) = cache.describe_user_groups(UserGroupId="g")["UserGroups"]
    assert group["UserIds"] == ["u-default", "u-features"]
    changed = cache.modify_user(UserId="u-features", AccessString="on ~features:* +@read")
    assert (changed["AccessString"], changed["UserGroupIds"]) == ("on ~features:* +@read", ["g"])
    cache.delete_user_group(UserGroupId="g")
    assert cache.describe_user_groups()["UserGroups"] == []


def test_a_replication_group_is_modified(client: Client) -> None:
    cache = client("elasticache")
    name = {"ReplicationGroupId": "changing"}
    cache.create_replication_group(**name, ReplicationGroupDescription="-", NumCacheClusters=2)
    cache.modify_replication_group(
        **name,
        ReplicationGroupDescription="features",
        MultiAZEnabled=True,
        AutomaticFailoverEnabled=True,
        SnapshotRetentionLimit=7,
        CacheNodeType="cache.r7g.large",
        CacheParameterGroupName="default.valkey8",
        ApplyImmediately=True,
    )
    cache.increase_replica_count(**name, NewReplicaCount=2, ApplyImmediately=True)
    (found,) = cache.describe_replication_groups(**name)["ReplicationGroups"]
    assert {key: found[key] for key in ("Description", "MultiAZ", "SnapshotRetentionLimit")} == {
        "Description": "features",
        "MultiAZ": "enabled",
        "SnapshotRetentionLimit": 7,
    }
    assert (found["Status"], len(found["MemberClusters"])) == ("available", 3)
    cache.delete_replication_group(**name)


def test_a_subnet_group_goes_when_nothing_uses_it(client: Client) -> None:
    cache, ec2 = client("elasticache"), client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    name = {"CacheSubnetGroupName": "used"}
    cache.create_cache_subnet_group(**name, CacheSubnetGroupDescription="-", SubnetIds=[subnet])
    cache.create_replication_group(
        ReplicationGroupId="user", ReplicationGroupDescription="-", **name
    )
    with refused("CacheSubnetGroupInUse"):
        cache.delete_cache_subnet_group(**name)
    cache.delete_replication_group(ReplicationGroupId="user")
    cache.delete_cache_subnet_group(**name)
    with refused("CacheSubnetGroupNotFoundFault"):
        cache.describe_cache_subnet_groups(**name)


# -- Redshift -----------------------------------------------------------------------------------


def test_a_managed_password_lies_in_a_secret_that_goes_with_the_cluster(client: Client) -> None:
    redshift, secrets = client("redshift"), client("secretsmanager")
    asked = {"ClusterIdentifier": "managed", "NodeType": "ra3.large", "MasterUsername": "admin"}
    with refused("MasterUserPassword"):
        redshift.create_cluster(**asked)
    with refused("upper-case letter"):
        redshift.create_cluster(**asked, MasterUserPassword="weak")
    redshift.create_cluster(**asked, ManageMasterPassword=True)
    (cluster,) = redshift.describe_clusters(ClusterIdentifier="managed")["Clusters"]
    secret = json.loads(
        secrets.get_secret_value(SecretId=cluster["MasterPasswordSecretArn"])["SecretString"]
    )
    assert (secret["username"], len(secret["password"])) == ("admin", 32)
    redshift.delete_cluster(ClusterIdentifier="managed", SkipFinalClusterSnapshot=True)
    with refused("ResourceNotFoundException"):
        secrets.describe_secret(SecretId=cluster["MasterPasswordSecretArn"])


def test_parameters_of_a_cluster_stick(client: Client) -> None:
    redshift = client("redshift")
    name = {"ParameterGroupName": "strict"}
    redshift.create_cluster_parameter_group(
        **name, ParameterGroupFamily="redshift-1.0", Description="-"
    )
    redshift.modify_cluster_parameter_group(
        **name, Parameters=[{"ParameterName": "require_ssl", "ParameterValue": "false"}]
    )
    with refused("Could not find parameter"):
        redshift.modify_cluster_parameter_group(
            **name, Parameters=[{"ParameterName": "require_tls", "ParameterValue": "true"}]
        )
    (changed,) = redshift.describe_cluster_parameters(**name, Source="user")["Parameters"]
    assert (changed["ParameterName"], changed["ParameterValue"]) == ("require_ssl", "false")
    redshift.delete_cluster_parameter_group(**name)


def test_a_cluster_is_resized_and_modified(client: Client) -> None:
    redshift = client("redshift")
    name = {"ClusterIdentifier": "growing"}
    redshift.create_cluster(
        **name, NodeType="ra3.large", MasterUsername="admin", MasterUserPassword="Str0ngEnough"
    )
    redshift.resize_cluster(**name, ClusterType="multi-node", NumberOfNodes=3)
    redshift.modify_cluster(**name, PubliclyAccessible=False, AutomatedSnapshotRetentionPeriod=7)
    redshift.modify_cluster_iam_roles(**name, AddIamRoles=[_ROLE])
    (found,) = redshift.describe_clusters(**name)["Clusters"]
    assert (found["NumberOfNodes"], found["PubliclyAccessible"]) == (3, False)
    assert [role["IamRoleArn"] for role in found["IamRoles"]] == [_ROLE]
    redshift.delete_cluster(**name, SkipFinalClusterSnapshot=True)


def test_users_are_what_the_cache_lets_in(client: Client) -> None:
    """A user group is the ACL of the Redis behind its replication group, whatever changes it."""
    import redis

    cache = client("elasticache")
    secrets = {"features": "features-password", "later": "password-of-later"}
    cache.create_user(
        UserId="acl-default",
        UserName="default",
        Engine="redis",
        AccessString="off -@all",
        NoPasswordRequired=True,
    )
    for name, access in (("features", "on ~features:* +@read +set"), ("later", "on ~* +@all")):
        cache.create_user(
            UserId=f"acl-{name}",
            UserName=name,
            Engine="redis",
            AccessString=access,
            Passwords=[secrets[name]],
        )
    users = ["acl-default", "acl-features"]
    cache.create_user_group(UserGroupId="acl", Engine="redis", UserIds=users)
    group = {"ReplicationGroupId": "acl"}
    wanted = {**group, "ReplicationGroupDescription": "-", "UserGroupIds": ["acl"]}
    with refused("InvalidParameterCombination"):
        cache.create_replication_group(**wanted)
    cache.create_replication_group(**wanted, TransitEncryptionEnabled=True)

    def signed_in(name: str | None) -> redis.Redis:
        (found,) = cache.describe_replication_groups(**group)["ReplicationGroups"]
        end = found["NodeGroups"][0]["PrimaryEndpoint"]
        password = secrets.get(name or "")
        return redis.Redis(end["Address"], end["Port"], username=name, password=password)

    signed_in("features").set("features:1", "x")
    assert signed_in("features").get("features:1") == b"x"
    with pytest.raises(redis.exceptions.NoPermissionError):
        signed_in("features").set("others:1", "x")
    with pytest.raises(redis.exceptions.NoPermissionError):
        signed_in("features").flushall()
    for name in (None, "later"):  # the default user is off, the other not in the group
        with pytest.raises(
            (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)
        ):
            signed_in(name).ping()

    cache.modify_user_group(UserGroupId="acl", UserIdsToAdd=["acl-later"])
    assert signed_in("later").get("features:1") == b"x", "what was written is still there"
    cache.modify_user(UserId="acl-features", AccessString="on ~features:* +get")
    with pytest.raises(redis.exceptions.NoPermissionError):
        signed_in("features").set("features:1", "y")
    with refused("InvalidParameterValue"):
        cache.modify_user(UserId="acl-features", AccessString="on ~* +@nonsense")
    assert signed_in("later").ping()
    with refused("InvalidUserGroupState"):
        cache.delete_user_group(UserGroupId="acl")
    cache.delete_replication_group(**group)
    cache.delete_user_group(UserGroupId="acl")
    for name in ("default", "features", "later"):
        cache.delete_user(UserId=f"acl-{name}")
