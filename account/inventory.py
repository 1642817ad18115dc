"""What of an environment still exists, asked of AWS itself.

`destroy` must prove that nothing is left, and a state file cannot prove that: it knows what was
made, not what is. So this asks the Resource Groups Tagging API for everything with the
environment's tag and, since that API neither knows every service nor forgets at once what was
deleted, every service for itself. Only AWS's own calls are used, so the same proof holds on the
laptop, on LocalStack and on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import jmespath  # type: ignore[import-untyped,unused-ignore]
import structlog
from botocore.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    ClientError,
    EndpointConnectionError,
)

from contracts.errors import InfrastructureError

ENVIRONMENT_TAG = "millwright:environment"
CLUSTER_TAGS = (
    *("elbv2.k8s.aws/cluster", "KubernetesCluster", "cluster.k8s.amazonaws.com/name"),
    *("karpenter.k8s.aws/cluster", "eks:cluster-name", "aws:eks:cluster-name"),
)
"""Tags by which controllers and EKS say for which cluster they made something."""

_log = structlog.get_logger()
# What an emulator without an operation answers; AWS itself never does for these.
_ABSENT = frozenset({"NotImplemented", "501", "UnknownOperationException", "UnsupportedOperation"})
_TAG_KEYS = ("Key", "key", "TagKey")
_TAG_VALUES = ("Value", "value", "TagValue")
# What AWS answers for a resource that has no tags, or that went away between two calls.
_GONE = ("NoSuch", "NotFound", "DoesNotExist")


@dataclass(frozen=True, order=True)
class Leftover:
    """A resource that exists."""

    service: str
    kind: str
    id: str
    arn: str = ""

    def __str__(self) -> str:
        return f"{self.service} {self.kind} {self.id}"


@dataclass(frozen=True)
class Seen:
    """A resource that exists, its tags, and how AWS describes it in a list."""

    leftover: Leftover
    tags: Mapping[str, str]
    item: Any = None


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """How to find every resource of one kind, and its tags.

    Args:
        call: the listing operation, with `given` parameters.
        items: JMESPath to the resources in its answer; `id` and `arn` are JMESPaths in one of them
            (`@` where it is a plain string), or `arn` is a template with {id}, {account} and such.
        tags: JMESPath to the tags in the resource, unless `tags_call` asks for them: operation,
            parameter, value (`id` or `arn`) and JMESPath in the answer.
        alive: JMESPath that is false for what is only remembered (a terminated instance).
        given: the call's parameters; texts may name {account} and such.
        named: where AWS gives a kind no tags: how ours are called, as a pattern with {environment}.
        signs: how the ARNs of this kind begin after the account.
    """

    service: str
    kind: str
    call: str
    items: str
    id: str = "@"
    arn: str = ""
    tags: str = "Tags"
    tags_call: tuple[str, str, str, str] | None = None
    alive: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    named: str = ""
    signs: str = ""


def _ec2(kind: str, call: str, items: str, name: str, **more: Any) -> _Sweep:
    return _Sweep(
        service="ec2",
        kind=kind,
        call=call,
        items=items,
        id=name,
        arn=f"arn:{{partition}}:ec2:{{region}}:{{account}}:{kind}/{{id}}",
        signs=f"{kind}/",
        **more,
    )


def _elasticache(kind: str, call: str, items: str, name: str) -> _Sweep:
    return _Sweep(
        service="elasticache",
        kind=kind,
        call=call,
        items=items,
        id=name,
        arn="ARN",
        tags_call=("list_tags_for_resource", "ResourceName", "arn", "TagList"),
        signs=f"{kind}:",
    )


def _redshift(kind: str, call: str, items: str, name: str, **more: Any) -> _Sweep:
    return _Sweep(
        service="redshift",
        kind=kind,
        call=call,
        items=items,
        id=name,
        arn=f"arn:{{partition}}:redshift:{{region}}:{{account}}:{kind}:{{id}}",
        signs=f"{kind}:",
        **more,
    )


def _serverless(kind: str, call: str) -> _Sweep:
    return _Sweep(
        service="redshift-serverless",
        kind=kind,
        call=call,
        items=f"{kind}s",
        id=f"{kind}Name",
        arn=f"{kind}Arn",
        tags_call=("list_tags_for_resource", "resourceArn", "arn", "tags"),
        signs=f"{kind}/",
    )


def _rds(kind: str, call: str, items: str, name: str, arn: str, **more: Any) -> _Sweep:
    return _Sweep(
        service="rds",
        kind=kind,
        call=call,
        items=items,
        id=name,
        arn=arn,
        tags_call=("list_tags_for_resource", "ResourceName", "arn", "TagList"),
        signs=f"{kind}:",
        **more,
    )


_SWEEPS: tuple[_Sweep, ...] = (
    _ec2("vpc", "describe_vpcs", "Vpcs", "VpcId"),
    _ec2("subnet", "describe_subnets", "Subnets", "SubnetId"),
    _ec2("route-table", "describe_route_tables", "RouteTables", "RouteTableId"),
    _ec2("internet-gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    _ec2(
        "natgateway",
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        alive="State != 'deleted'",
    ),
    _ec2("elastic-ip", "describe_addresses", "Addresses", "AllocationId"),
    _ec2(
        "vpc-endpoint",
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        alive="State != 'deleted'",
    ),
    _ec2("security-group", "describe_security_groups", "SecurityGroups", "GroupId"),
    _ec2("network-acl", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    _ec2("vpc-flow-log", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    _ec2(
        "network-interface",
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        tags="TagSet",
    ),
    _ec2("volume", "describe_volumes", "Volumes", "VolumeId"),
    _ec2(
        "instance",
        "describe_instances",
        "Reservations[].Instances[]",
        "InstanceId",
        alive="State.Name != 'terminated'",
    ),
    _ec2(
        "snapshot",
        "describe_snapshots",
        "Snapshots",
        "SnapshotId",
        given={"Filters": [{"Name": "owner-id", "Values": ["{account}"]}]},
    ),
    _ec2("launch-template", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    _Sweep(
        service="autoscaling",
        kind="autoScalingGroup",
        call="describe_auto_scaling_groups",
        items="AutoScalingGroups",
        id="AutoScalingGroupName",
        arn="AutoScalingGroupARN",
        signs="autoScalingGroup:",
    ),
    _Sweep(
        service="elbv2",
        kind="loadbalancer",
        call="describe_load_balancers",
        items="LoadBalancers",
        id="LoadBalancerName",
        arn="LoadBalancerArn",
        tags_call=("describe_tags", "ResourceArns[]", "arn", "TagDescriptions[0].Tags"),
        signs="loadbalancer/",
    ),
    _Sweep(
        service="elbv2",
        kind="targetgroup",
        call="describe_target_groups",
        items="TargetGroups",
        id="TargetGroupName",
        arn="TargetGroupArn",
        tags_call=("describe_tags", "ResourceArns[]", "arn", "TagDescriptions[0].Tags"),
        signs="targetgroup/",
    ),
    _Sweep(
        service="elb",
        kind="classic-loadbalancer",
        call="describe_load_balancers",
        items="LoadBalancerDescriptions",
        id="LoadBalancerName",
        tags_call=("describe_tags", "LoadBalancerNames[]", "id", "TagDescriptions[0].Tags"),
    ),
    _Sweep(
        service="kms",
        kind="key",
        call="list_keys",
        items="Keys",
        id="KeyId",
        arn="KeyArn",
        tags_call=("list_resource_tags", "KeyId", "id", "Tags"),
        signs="key/",
    ),
    _Sweep(
        service="kms",
        kind="alias",
        call="list_aliases",
        items="Aliases",
        id="AliasName",
        arn="AliasArn",
        alive="!starts_with(AliasName, 'alias/aws/')",
        named=r"alias/millwright/{environment}/.+",
        signs="alias/",
    ),
    _Sweep(
        service="s3",
        kind="bucket",
        call="list_buckets",
        items="Buckets",
        id="Name",
        arn="arn:{partition}:s3:::{id}",
        tags_call=("get_bucket_tagging", "Bucket", "id", "TagSet"),
        signs="",
    ),
    _redshift("cluster", "describe_clusters", "Clusters", "ClusterIdentifier"),
    _redshift(
        "subnetgroup",
        "describe_cluster_subnet_groups",
        "ClusterSubnetGroups",
        "ClusterSubnetGroupName",
    ),
    _redshift(
        "parametergroup",
        "describe_cluster_parameter_groups",
        "ParameterGroups",
        "ParameterGroupName",
    ),
    _redshift(
        "snapshot",
        "describe_cluster_snapshots",
        "Snapshots",
        "SnapshotIdentifier",
        alive="SnapshotType == 'manual'",
    ),
    _serverless("namespace", "list_namespaces"),
    _serverless("workgroup", "list_workgroups"),
    _serverless("snapshot", "list_snapshots"),
    _Sweep(
        service="dynamodb",
        kind="table",
        call="list_tables",
        items="TableNames",
        arn="arn:{partition}:dynamodb:{region}:{account}:table/{id}",
        tags_call=("list_tags_of_resource", "ResourceArn", "arn", "Tags"),
        signs="table/",
    ),
    _elasticache(
        "replicationgroup",
        "describe_replication_groups",
        "ReplicationGroups",
        "ReplicationGroupId",
    ),
    _elasticache("cluster", "describe_cache_clusters", "CacheClusters", "CacheClusterId"),
    _elasticache(
        "subnetgroup", "describe_cache_subnet_groups", "CacheSubnetGroups", "CacheSubnetGroupName"
    ),
    _elasticache(
        "parametergroup",
        "describe_cache_parameter_groups",
        "CacheParameterGroups",
        "CacheParameterGroupName",
    ),
    _elasticache("user", "describe_users", "Users", "UserId"),
    _elasticache("usergroup", "describe_user_groups", "UserGroups", "UserGroupId"),
    _elasticache("snapshot", "describe_snapshots", "Snapshots", "SnapshotName"),
    _Sweep(
        service="eks",
        kind="cluster",
        call="list_clusters",
        items="clusters",
        arn="arn:{partition}:eks:{region}:{account}:cluster/{id}",
        tags_call=("describe_cluster", "name", "id", "cluster.tags"),
        signs="cluster/",
    ),
    _Sweep(
        service="iam",
        kind="role",
        call="list_roles",
        items="Roles",
        id="RoleName",
        arn="Arn",
        tags_call=("list_role_tags", "RoleName", "id", "Tags"),
        alive="!starts_with(Path, '/aws-service-role/')",
        signs="role/",
    ),
    _Sweep(
        service="iam",
        kind="policy",
        call="list_policies",
        given={"Scope": "Local"},
        items="Policies",
        id="PolicyName",
        arn="Arn",
        tags_call=("list_policy_tags", "PolicyArn", "arn", "Tags"),
        signs="policy/",
    ),
    _Sweep(
        service="iam",
        kind="instance-profile",
        call="list_instance_profiles",
        items="InstanceProfiles",
        id="InstanceProfileName",
        arn="Arn",
        signs="instance-profile/",
    ),
    _Sweep(
        service="iam",
        kind="oidc-provider",
        call="list_open_id_connect_providers",
        items="OpenIDConnectProviderList",
        id="Arn",
        arn="Arn",
        tags_call=(
            "list_open_id_connect_provider_tags",
            "OpenIDConnectProviderArn",
            "arn",
            "Tags",
        ),
        signs="oidc-provider/",
    ),
    _Sweep(
        service="ecr",
        kind="repository",
        call="describe_repositories",
        items="repositories",
        id="repositoryName",
        arn="repositoryArn",
        tags_call=("list_tags_for_resource", "resourceArn", "arn", "tags"),
        signs="repository/",
    ),
    _Sweep(
        service="secretsmanager",
        kind="secret",
        call="list_secrets",
        items="SecretList",
        id="Name",
        arn="ARN",
        alive="!DeletedDate",
        signs="secret:",
    ),
    _Sweep(
        service="logs",
        kind="log-group",
        call="describe_log_groups",
        items="logGroups",
        id="logGroupName",
        arn="arn:{partition}:logs:{region}:{account}:log-group:{id}",
        tags_call=("list_tags_for_resource", "resourceArn", "arn", "tags"),
        signs="log-group:",
    ),
    _Sweep(
        service="glue",
        kind="database",
        call="get_databases",
        items="DatabaseList",
        id="Name",
        arn="arn:{partition}:glue:{region}:{account}:database/{id}",
        tags_call=("get_tags", "ResourceArn", "arn", "Tags"),
        signs="database/",
    ),
    _Sweep(
        service="athena",
        kind="workgroup",
        call="list_work_groups",
        items="WorkGroups",
        id="Name",
        arn="arn:{partition}:athena:{region}:{account}:workgroup/{id}",
        tags_call=("list_tags_for_resource", "ResourceARN", "arn", "Tags"),
        signs="workgroup/",
    ),
    _Sweep(
        service="efs",
        kind="file-system",
        call="describe_file_systems",
        items="FileSystems",
        id="FileSystemId",
        arn="FileSystemArn",
        signs="file-system/",
    ),
    _Sweep(
        service="efs",
        kind="access-point",
        call="describe_access_points",
        items="AccessPoints",
        id="AccessPointId",
        arn="AccessPointArn",
        signs="access-point/",
    ),
    _Sweep(
        service="kinesis",
        kind="stream",
        call="list_streams",
        items="StreamNames",
        arn="arn:{partition}:kinesis:{region}:{account}:stream/{id}",
        tags_call=("list_tags_for_stream", "StreamName", "id", "Tags"),
        signs="stream/",
    ),
    _Sweep(
        service="firehose",
        kind="deliverystream",
        call="list_delivery_streams",
        items="DeliveryStreamNames",
        arn="arn:{partition}:firehose:{region}:{account}:deliverystream/{id}",
        tags_call=("list_tags_for_delivery_stream", "DeliveryStreamName", "id", "Tags"),
        signs="deliverystream/",
    ),
    _rds(
        "db",
        "describe_db_instances",
        "DBInstances",
        "DBInstanceIdentifier",
        "DBInstanceArn",
    ),
    _rds(
        "subgrp",
        "describe_db_subnet_groups",
        "DBSubnetGroups",
        "DBSubnetGroupName",
        "DBSubnetGroupArn",
    ),
    _rds(
        "pg",
        "describe_db_parameter_groups",
        "DBParameterGroups",
        "DBParameterGroupName",
        "DBParameterGroupArn",
    ),
    _rds(
        "snapshot",
        "describe_db_snapshots",
        "DBSnapshots",
        "DBSnapshotIdentifier",
        "DBSnapshotArn",
        alive="SnapshotType == 'manual'",
    ),
    _Sweep(
        service="sns",
        kind="topic",
        call="list_topics",
        items="Topics",
        id="TopicArn",
        arn="TopicArn",
        tags_call=("list_tags_for_resource", "ResourceArn", "arn", "Tags"),
        signs="",
    ),
    _Sweep(
        service="cloudwatch",
        kind="alarm",
        call="describe_alarms",
        items="MetricAlarms",
        id="AlarmName",
        arn="AlarmArn",
        tags_call=("list_tags_for_resource", "ResourceARN", "arn", "Tags"),
        signs="alarm:",
    ),
    _Sweep(
        service="cloudwatch",
        kind="dashboard",
        call="list_dashboards",
        items="DashboardEntries",
        id="DashboardName",
        arn="DashboardArn",
        named=r"millwright-{environment}-platform",
        signs="dashboard/",
    ),
    _Sweep(
        service="application-autoscaling",
        kind="scalable-target",
        call="describe_scalable_targets",
        given={"ServiceNamespace": "dynamodb"},
        items="ScalableTargets",
        id="ResourceId",
        arn="ScalableTargetARN",
        tags_call=("list_tags_for_resource", "ResourceARN", "arn", "Tags"),
        signs="scalable-target/",
    ),
    _Sweep(
        service="budgets",
        kind="budget",
        call="describe_budgets",
        given={"AccountId": "{account}"},
        items="Budgets",
        id="BudgetName",
        arn="arn:{partition}:budgets::{account}:budget/{id}",
        tags_call=("list_tags_for_resource", "ResourceARN", "arn", "ResourceTags"),
        signs="budget/",
    ),
    _Sweep(
        service="backup",
        kind="backup-vault",
        call="list_backup_vaults",
        items="BackupVaultList",
        id="BackupVaultName",
        arn="BackupVaultArn",
        tags_call=("list_tags", "ResourceArn", "arn", "Tags"),
        signs="backup-vault:",
    ),
)


@dataclass(frozen=True)
class _Found:
    leftover: Leftover
    item: Any
    sweep: _Sweep


def kinds() -> frozenset[tuple[str, str]]:
    """Service and kind of everything that is looked for."""
    return frozenset((sweep.service, sweep.kind) for sweep in _SWEEPS)


def inventory(session: Any, environment: str | None) -> list[Leftover]:
    """Everything that exists with the tag `millwright:environment=<environment>`.

    With None instead of a name: everything in the account that is not there from the beginning.

    Args:
        session: a boto3 session whose environment says where the APIs are (AWS_ENDPOINT_URL).
        environment: the environment's name.

    Raises:
        InfrastructureError: a service could not be asked, so nothing is proven.
    """
    if environment is not None:
        return sorted(
            one.leftover
            for one in survey(session, {ENVIRONMENT_TAG: environment})
            if one.tags.get(ENVIRONMENT_TAG) == environment
        )
    with _Asking(session, kinds()) as asking:
        present = _without_defaults(asking.found())
        known = {leftover.arn for leftover in present}
        tagged = asking.tagged({ENVIRONMENT_TAG: ""})
    return sorted({*present, *(one.leftover for one in tagged if one.leftover.arn not in known)})


def survey(
    session: Any,
    tags: Mapping[str, str] | None = None,
    only: frozenset[tuple[str, str]] | None = None,
) -> list[Seen]:
    """Everything in the account with its tags, of some kinds or of all.

    What cannot have tags is shown with the environment's tag where its name says whose it is.

    Args:
        session: as of `inventory`.
        tags: what the Tagging API is asked for beside: the value of a tag, or "" for any; each by
            itself. Without, it is not asked.
        only: service and kind of what is looked for; all of `kinds()` by default.

    Raises:
        InfrastructureError: a service could not be asked.
    """
    environment = (tags or {}).get(ENVIRONMENT_TAG, "")
    with _Asking(session, only or kinds()) as asking:
        seen = asking.tagged_by_service(asking.found(), environment)
        known = {one.leftover.arn for one in seen}
        others = asking.tagged(tags or {})
    return [*seen, *(one for one in others if one.leftover.arn not in known)]


class _Asking:
    """One look around: clients, facts of the account, and threads to ask with."""

    def __init__(self, session: Any, only: frozenset[tuple[str, str]]) -> None:
        self._sweeps = [sweep for sweep in _SWEEPS if (sweep.service, sweep.kind) in only]
        names = {sweep.service for sweep in self._sweeps} | {"sts", "resourcegroupstaggingapi"}
        # Not safe to make in parallel.
        self._clients = {name: session.client(name) for name in sorted(names)}
        self._facts = _facts(session, self._clients["sts"])
        self._pool = ThreadPoolExecutor(max_workers=8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown()

    def found(self) -> list[_Found]:
        """What the services list."""

        def ask(sweep: _Sweep) -> list[_Found]:
            return list(_sweep(self._clients[sweep.service], sweep, self._facts))

        return [item for items in self._pool.map(ask, self._sweeps) for item in items]

    def tagged_by_service(self, found: list[_Found], environment: str) -> list[Seen]:
        """With the tags that each service tells."""

        def ask(one: _Found) -> Seen:
            tags = _tags(self._clients[one.sweep.service], one, environment)
            return Seen(one.leftover, tags, one.item)

        return list(self._pool.map(ask, found))

    def tagged(self, tags: Mapping[str, str]) -> Iterator[Seen]:
        """What the Tagging API knows of the kinds that no service was asked for."""
        for key, value in tags.items():
            for one in _tagged(self._clients["resourcegroupstaggingapi"], key, value):
                if not _is_swept(one.leftover.arn):
                    yield one


def _facts(session: Any, sts: Any) -> dict[str, str]:
    identity = _asked(sts.get_caller_identity, "sts")
    return {
        "account": identity["Account"],
        "region": session.region_name,
        "partition": identity["Arn"].split(":")[1],
    }


def _sweep(client: Any, sweep: _Sweep, facts: Mapping[str, str]) -> Iterator[_Found]:
    for page in _pages(client, sweep, _filled(sweep.given, facts)):
        for item in jmespath.search(sweep.items, page) or []:
            if sweep.alive and not jmespath.search(sweep.alive, item):
                continue
            name = jmespath.search(sweep.id, item)
            arn = (
                sweep.arn.format(id=name, **facts)
                if "{" in sweep.arn
                else (jmespath.search(sweep.arn, item) if sweep.arn else "")
            )
            if sweep.kind == "key" and not _is_ours_and_alive(client, name):
                continue
            yield _Found(Leftover(sweep.service, sweep.kind, name, arn or ""), item, sweep)


def _filled(given: Any, facts: Mapping[str, str]) -> Any:
    """Parameters with the account's facts in their texts."""
    if isinstance(given, Mapping):
        return {key: _filled(value, facts) for key, value in given.items()}
    if isinstance(given, list):
        return [_filled(value, facts) for value in given]
    return given.format(**facts) if isinstance(given, str) else given


def _pages(client: Any, sweep: _Sweep, given: Mapping[str, Any]) -> Iterator[Any]:
    where = f"{sweep.service}:{sweep.call}"
    if client.can_paginate(sweep.call):
        pages = iter(client.get_paginator(sweep.call).paginate(**given))
        while (page := _asked(lambda: next(pages, None), where)) is not None:
            yield page
    else:
        page = _asked(lambda: getattr(client, sweep.call)(**given), where)
        if page is not None:
            yield page


def _asked(call: Callable[[], Any], where: str) -> Any:
    """What the call gives; None when this endpoint does not have the operation at all.

    Raises:
        InfrastructureError: it was refused or failed.
    """
    try:
        return call()
    except ClientError as failure:
        error = failure.response["Error"]
        status = failure.response["ResponseMetadata"].get("HTTPStatusCode")
        if error["Code"] in _ABSENT or status == 501:
            _log.warning("inventory.operation_absent", operation=where)
            return None
        raise InfrastructureError(
            f"{error['Code']}: {error['Message']}",
            where=where,
            fix="Allow this call: without it nobody can say that nothing is left.",
        ) from failure
    except EndpointConnectionError as failure:
        raise InfrastructureError(
            str(failure), where=where, fix="Is AWS_ENDPOINT_URL right, and does it answer?"
        ) from failure


def _is_ours_and_alive(kms: Any, key: str) -> bool:
    """False for AWS's own keys, and for keys whose deletion is scheduled: there is no other."""
    described = _asked(lambda: kms.describe_key(KeyId=key), "kms:describe_key")["KeyMetadata"]
    return bool(
        described.get("KeyManager") == "CUSTOMER" and described.get("KeyState") != "PendingDeletion"
    )


def _tags(client: Any, found: _Found, environment: str) -> dict[str, str]:
    sweep = found.sweep
    if sweep.named:
        ours = re.fullmatch(sweep.named.format(environment=environment), found.leftover.id)
        return {ENVIRONMENT_TAG: environment} if ours else {}
    if sweep.tags_call is None:
        return _as_dict(jmespath.search(sweep.tags, found.item))
    operation, parameter, value, path = sweep.tags_call
    argument: Any = found.leftover.id if value == "id" else found.leftover.arn
    if parameter.endswith("[]"):
        parameter, argument = parameter[:-2], [argument]
    try:
        answer = getattr(client, operation)(**{parameter: argument})
    except ClientError as failure:
        code = failure.response["Error"]["Code"]
        if any(sign in code for sign in _GONE):
            return {}
        raise InfrastructureError(
            f"the tags of {found.leftover.id} cannot be read: {code}",
            where=f"{sweep.service}:{operation}",
            fix="Allow this call: without it nobody can say that nothing is left.",
        ) from failure
    return _as_dict(jmespath.search(path, answer))


def _as_dict(tags: Any) -> dict[str, str]:
    """Tags in any of the forms that AWS's services use."""
    if isinstance(tags, Mapping):
        return dict(tags)
    return {
        next(str(tag[key]) for key in _TAG_KEYS if key in tag): next(
            (str(tag[key]) for key in _TAG_VALUES if key in tag), ""
        )
        for tag in tags or []
    }


def _without_defaults(found: Iterable[_Found]) -> list[Leftover]:
    """What somebody made: not the default VPC and its parts, groups and users."""
    found = list(found)
    default_vpcs = {
        item.leftover.id
        for item in found
        if item.leftover.kind == "vpc" and item.item.get("IsDefault")
    }

    def is_default(item: _Found) -> bool:
        if isinstance(item.item, Mapping) and item.item.get("VpcId") in default_vpcs:
            return True
        name = item.leftover.id
        return (
            name in default_vpcs
            or name.lower().startswith("default")
            or (item.leftover.kind, name) == ("workgroup", "primary")
        )

    return [item.leftover for item in found if not is_default(item)]


def _tagged(client: Any, key: str, value: str) -> Iterator[Seen]:
    """What has a tag, by the Tagging API; of any value where none is given."""
    wanted = {"Key": key, **({"Values": [value]} if value else {})}
    pages = client.get_paginator("get_resources").paginate(TagFilters=[wanted])
    for page in _asked(lambda: list(pages), "tag:GetResources") or []:
        for resource in page["ResourceTagMappingList"]:
            arn = resource["ResourceARN"]
            service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
            leftover = Leftover(service, rest.replace(":", "/").split("/")[0], rest, arn)
            yield Seen(leftover, _as_dict(resource.get("Tags")))


def _is_swept(arn: str) -> bool:
    """Whether a sweep has looked for this kind: it forgets at once, the Tagging API does not."""
    service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
    aliases = {"elasticloadbalancing": "elbv2", "elasticfilesystem": "efs"}
    service = aliases.get(service, service)
    return any(sweep.service == service and rest.startswith(sweep.signs) for sweep in _SWEEPS)
