"""What the cases share: their form, and making what others need."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pocket_testing.provider_world import World

Inputs = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """``inputs`` are made in a world in which prerequisites may be created first; ``change`` are
    inputs that an update can write (None: nothing can be changed in place), ``replace`` one that
    it cannot."""

    inputs: Callable[[World], Inputs]
    change: Inputs | Callable[[World], Inputs] | None = None
    replace: Inputs | None = None
    unimported: tuple[str, ...] = ()  # what an import cannot know
    stays: bool = False  # deletion lets it go without removing it


def const(**inputs: Any) -> Callable[[World], Inputs]:
    return lambda world: inputs


def a_policy(action: str = "s3:GetObject", **statement: Any) -> str:
    body = {"Effect": "Allow", "Action": [action], "Resource": "*", **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [body]})


def trust(service: str = "ec2.amazonaws.com") -> str:
    body = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [body]})


def vpc(world: World, name: str = "net") -> Any:
    return world.create("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, name=name)


def subnet(world: World, number: int = 1, net: Any = None) -> Any:
    net = net or vpc(world)
    return world.create(
        "aws:ec2/subnet:Subnet",
        {
            "vpcId": net.id,
            "cidrBlock": f"10.0.{number}.0/24",
            "availabilityZone": f"us-east-1{'abc'[number - 1]}",
        },
        name=f"subnet{number}",
    )


def subnets(world: World) -> list[Any]:
    net = vpc(world)
    return [subnet(world, 1, net), subnet(world, 2, net)]


def gateway(world: World) -> Any:
    return world.create(
        "aws:ec2/internetGateway:InternetGateway", {"vpcId": vpc(world).id}, name="gateway"
    )


def _net(world: World) -> Any:
    """The network that was made already, if one was."""
    return next((each for each in world.made if "vpc:Vpc" in each.token), None) or vpc(world)


def groups(world: World, count: int) -> list[str]:
    """So many security groups of one network."""
    net = _net(world)
    token = "aws:ec2/securityGroup:SecurityGroup"
    return [world.create(token, {"vpcId": net.id}, name=f"group{n}").id for n in range(count)]


def route_tables(world: World, count: int) -> list[str]:
    """So many route tables of one network."""
    net = _net(world)
    token = "aws:ec2/routeTable:RouteTable"
    return [world.create(token, {"vpcId": net.id}, name=f"table{n}").id for n in range(count)]


def cache_users(world: World, count: int) -> list[str]:
    """The default user of a cache, which each group has, and so many less one."""
    there = next(each.id for each in world.made if "user:User" in each.token)
    token = "aws:elasticache/user:User"
    more = [
        world.create(
            token,
            {
                "userId": f"user{number}",
                "userName": f"user{number}",
                "engine": "valkey",
                "accessString": "on ~* +@read",
                "noPasswordRequired": True,
            },
            name=f"user{number}",
        ).id
        for number in range(count - 1)
    ]
    return [there, *more]


def route_table(world: World, net: Any) -> Any:
    return world.create("aws:ec2/routeTable:RouteTable", {"vpcId": net.id}, name="table")


def group(world: World, net: Any = None) -> Any:
    net = net or vpc(world)
    return world.create("aws:ec2/securityGroup:SecurityGroup", {"vpcId": net.id}, name="group")


def role(world: World, service: str = "ec2.amazonaws.com", name: str = "role") -> Any:
    return world.create("aws:iam/role:Role", {"assumeRolePolicy": trust(service)}, name=name)


def key(world: World) -> Any:
    return world.create("aws:kms/key:Key", {"description": "for tests"}, name="key")


def bucket(world: World, name: str = "settings") -> Any:
    return world.create("aws:s3/bucket:Bucket", {"bucket": name, "forceDestroy": True}, name=name)


def in_bucket(**inputs: Any) -> Callable[[World], Inputs]:
    return lambda world: {"bucket": bucket(world).id, **inputs}


TAGS = {"tags": {"Name": "one", "Team": "ml"}}


def gateway_in(world: World) -> Any:
    net = next(r for r in world.made if "vpc:" in r.token)
    return world.create(
        "aws:ec2/internetGateway:InternetGateway", {"vpcId": net.id}, name="gateway"
    )


def warehouse(world: World) -> Any:
    return world.create(
        "aws:redshift/cluster:Cluster",
        {
            "clusterIdentifier": "audited",
            "nodeType": "ra3.xlplus",
            "masterUsername": "keeper",
            "masterPassword": "Secret-123",
            "skipFinalSnapshot": True,
        },
        name="warehouse",
    )


def secret(world: World) -> Any:
    return world.create(
        "aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 0}, name="secret"
    )


def cluster(world: World) -> Any:
    return world.create(
        "aws:eks/cluster:Cluster",
        {
            "roleArn": role(world, "eks.amazonaws.com", "control")["arn"],
            "vpcConfig": {"subnetIds": [each.id for each in subnets(world)]},
        },
        name="cluster",
    )


def database(world: World) -> Any:
    return world.create(
        "aws:glue/catalogDatabase:CatalogDatabase", {"name": "flights"}, name="database"
    )


def columns(*names: str) -> Inputs:
    return {
        "location": "s3://raw/flights/",
        "inputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "columns": [{"name": name, "type": "bigint"} for name in names],
        "serDeInfo": {
            "serializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
        },
    }


def file_system(world: World) -> Any:
    return world.create("aws:efs/fileSystem:FileSystem", {"encrypted": True}, name="files")


def disks(size: int) -> list[Inputs]:
    disk = {"volumeSize": size, "volumeType": "gp3", "encrypted": "true"}
    return [{"deviceName": "/dev/xvda", "ebs": {**disk, "deleteOnTermination": "true"}}]


def in_cluster(**inputs: Any) -> Callable[[World], Inputs]:
    return lambda world: {"clusterName": cluster(world).id, **inputs}


def topic(world: World) -> Any:
    return world.create("aws:sns/topic:Topic", {}, name="topic")


def log_group(world: World) -> Any:
    return world.create("aws:cloudwatch/logGroup:LogGroup", {}, name="group")


def namespace(world: World) -> Any:
    return world.create(
        "aws:redshiftserverless/namespace:Namespace", {"namespaceName": "analytics"}, name="data"
    )
