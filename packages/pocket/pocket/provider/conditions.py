"""The plugin's conditional replacements and suppressed differences: a row for each function in its
source that ``changes.json`` names, or the reason why there is nothing to do here.

Everything is written down from terraform-provider-aws; which file of it, and which version, is in
``changes.json`` beside each entry. A test holds the two against each other.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from pocket.provider.changes import Change, Effect, Rule, at, facts_of

When = Callable[[Change], bool]

# --- functions that several attributes share, by their names in the source -----------------------


def _same_json(change: Change) -> bool:
    try:
        return bool(json.loads(change.old) == json.loads(change.new))
    except (TypeError, ValueError):
        return False


def _same_letters(change: Change) -> bool:
    return str(change.old).lower() == str(change.new).lower()


def _same_amount(change: Change) -> bool:
    try:
        return Decimal(str(change.old)) == Decimal(str(change.new))
    except InvalidOperation:
        return False


def _same_network(change: Change) -> bool:
    try:
        return ipaddress.ip_network(change.old) == ipaddress.ip_network(change.new)
    except ValueError:
        return False


def _same_end(separator: str) -> When:
    """An ARN, and the name at its end."""

    def when(change: Change) -> bool:
        old, new = str(change.old or ""), str(change.new or "")
        named = old.startswith("arn:") != new.startswith("arn:") and bool(old and new)
        return named and old.rsplit(separator, 1)[-1] == new.rsplit(separator, 1)[-1]

    return when


def _same_issuer(change: Change) -> bool:
    return str(change.old).removeprefix("https://") == str(change.new).removeprefix("https://")


def _left_out(change: Change) -> bool:
    return change.new is None


def _logging_off(block: str) -> When:
    """The rest of a logging block does not count while the block is not enabled."""

    def when(change: Change) -> bool:
        return not at(change.news, "configuration", "monitoringConfiguration", block, "enabled")

    return when


FUNCTIONS: dict[str, When] = {
    "SuppressMissingOptionalConfigurationBlock": _left_out,
    "SuppressEquivalentJSONDiffs": _same_json,
    "SuppressEquivalentPolicyDiffs": _same_json,
    "SuppressEquivalentTopicSubscriptionDeliveryPolicy": _same_json,
    "NormalizeJsonString": _same_json,
    "NormalizeJsonStringSchemaStateFunc": _same_json,
    "SuppressEquivalentStringCaseInsensitive": _same_letters,
    "ToLower": _same_letters,
    "ToUpperSchemaStateFunc": _same_letters,
    "DiffSuppressNullableBool": _same_letters,
    "suppressEquivalentBudgetLimitAmount": _same_amount,
    "suppressEqualCIDRBlockDiffs": _same_network,
    "suppressEquivalentKeyARNOrID": _same_end("/"),
    "instanceReplicateSourceDBSuppressDiff": _same_end(":"),
    "suppressOpenIDURL": _same_issuer,
    **{
        f"diffSuppressWorkGroupConfigurationMonitoring{name}Logging": _logging_off(block)
        for name, block in (
            ("CloudWatch", "cloudWatchLoggingConfiguration"),
            ("Managed", "managedLoggingConfiguration"),
            ("S3", "s3LoggingConfiguration"),
        )
    },
}
"""Under which condition each of them drops a difference."""


def _off(value: Any) -> bool:
    return not at(value, "enabled")


# --- the functions of one attribute ---------------------------------------------------------------


def replaces(origin: str, path: str, when: When) -> Rule:
    return Rule(origin, path, Effect.REPLACES, when)


def nothing(origin: str, path: str, when: When) -> Rule:
    return Rule(origin, path, Effect.NOTHING, when)


def refused(origin: str, path: str, when: When, sentence: str) -> Rule:
    return Rule(origin, path, Effect.REFUSED, when, sentence)


def _custom(name: str) -> str:
    return f"CustomizeDiff: {name}"


def version(text: Any) -> tuple[float, ...]:
    """An ElastiCache version as numbers; ``6.x`` is above every 6 with a number."""
    parts = str(text or "0").split(".")
    return tuple(float("inf") if part == "x" else float(part) for part in parts if part)


def _older(change: Change) -> bool:
    """Whether the engine's version goes down; from ``6.x``, against what really runs."""
    wildcard = str(change.old).endswith(".x")
    before = (change.state.get("engineVersionActual") if wildcard else None) or change.old
    try:
        old, new = version(before), version(change.new)
    except ValueError:
        return False
    return new[:2] < old[:2] if wildcard else new < old


def _global(change: Change) -> bool:
    return bool(change.olds.get("globalReplicationGroupId"))


def _node_groups(change: Change) -> bool:
    """Whether shards come, go, or differ in what cannot be changed in place."""
    before, after = (
        {one.get("nodeGroupId", ""): one for one in side.get("nodeGroupConfigurations") or ()}
        for side in (change.olds, change.news)
    )
    if before.keys() != after.keys():
        return True
    always = ("nodeGroupId", "replicaCount", "slots")
    where_set = ("primaryAvailabilityZone", "replicaAvailabilityZones")
    return any(
        any(one.get(name) != after[key].get(name) for name in always)
        or any(one.get(name) and one[name] != after[key].get(name) for name in where_set)
        for key, one in before.items()
    )


def _fewer(change: Change) -> bool:
    return bool(change.new) and change.new < (change.old or 0)


SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")


def _other_source(change: Change) -> bool:
    before, after = (
        [name for name in SOURCES if side.get(name)] for side in (change.olds, change.news)
    )
    return before != after


_MONITORING = "configuration.monitoringConfiguration"
_SOURCE_TYPE = tuple(replaces(_custom("ModifyPlan source type"), n, _other_source) for n in SOURCES)
_OWNER = replaces(
    _custom("expected_bucket_owner"), "expectedBucketOwner", lambda c: c.old is not None
)
_SECRET = _custom("secretVersionForceNewCustomDiff")

ROWS: dict[str, tuple[Rule, ...]] = {
    "aws:athena/workgroup:Workgroup": tuple(
        nothing(f"{_MONITORING}.{block}{inner}: function", f"{_MONITORING}.{block}{inner}", when)
        for block in (
            "cloudWatchLoggingConfiguration",
            "managedLoggingConfiguration",
            "s3LoggingConfiguration",
        )
        for inner, when in (
            ("", lambda c: not c.old and _off(c.new)),
            (".enabled", lambda c: not c.old and not c.new),
        )
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        nothing(
            "retentionInDays: function",
            "retentionInDays",
            lambda c: c.news.get("logGroupClass") == "DELIVERY" and not c.differs("logGroupClass"),
        ),
    ),
    "aws:dynamodb/table:Table": (
        *(
            nothing(_custom(f"Clear {origin}"), path, lambda c: _off(c.old) and _off(c.new))
            for origin, path in (
                ("server_side_encryption", "serverSideEncryption"),
                ("point_in_time_recovery", "pointInTimeRecovery"),
            )
        ),
        *(
            replaces(_custom(f"ForceNewIfChange {origin}"), path, lambda c: bool(c.new))
            for origin, path in (
                ("restore_backup_arn", "restoreBackupArn"),
                ("restore_source_name", "restoreSourceName"),
                ("restore_source_table_arn", "restoreSourceTableArn"),
            )
        ),
        replaces(
            _custom("ForceNewIfChange warm_throughput.read_units_per_second"),
            "warmThroughput.readUnitsPerSecond",
            _fewer,
        ),
        replaces(
            _custom("ForceNewIfChange warm_throughput.write_units_per_second"),
            "warmThroughput.writeUnitsPerSecond",
            _fewer,
        ),
        nothing(_custom("suppressTableWarmThroughputDefaults"), "warmThroughput", _left_out),
        nothing(
            _custom("Clear attribute"),
            "attributes",
            lambda c: not c.differs("globalSecondaryIndexes"),
        ),
        *(
            nothing(f"{path}: function", path, lambda c: not c.old and c.new == -1)
            for path in (
                "onDemandThroughput.maxReadRequestUnits",
                "onDemandThroughput.maxWriteRequestUnits",
            )
        ),
        nothing(
            "pointInTimeRecovery.recoveryPeriodInDays: function",
            "pointInTimeRecovery.recoveryPeriodInDays",
            lambda c: _off(c.news.get("pointInTimeRecovery")),
        ),
        nothing("tableClass: function", "tableClass", lambda c: not c.old and c.new == "STANDARD"),
        nothing(
            "ttl.attributeName: function",
            "ttl.attributeName",
            lambda c: not c.old and bool(c.new) and _off(c.news.get("ttl")),
        ),
    ),
    "aws:ec2/natGateway:NatGateway": (
        replaces(
            _custom("resourceNATGatewayCustomizeDiff"),
            "secondaryPrivateIpAddressCount",
            lambda c: c.new is not None and c.news.get("connectivityType") == "private",
        ),
    ),
    "aws:ec2/subnet:Subnet": (
        replaces(
            _custom("ForceNewIf ipv6_cidr_block"),
            "ipv6CidrBlock",
            lambda c: bool(c.olds.get("assignIpv6AddressOnCreation")),
        ),
    ),
    "aws:ec2/vpc:Vpc": (
        replaces(
            _custom("resourceVPCCustomizeDiff instance_tenancy"),
            "instanceTenancy",
            lambda c: (c.old, c.new or "default") != ("dedicated", "default"),
        ),
        nothing(
            _custom("resourceVPCCustomizeDiff cidr_block"),
            "cidrBlock",
            lambda c: bool(c.news.get("ipv4NetmaskLength")),
        ),
        replaces(
            _custom("resourceVPCCustomizeDiff cidr_block"),
            "cidrBlock",
            lambda c: not c.news.get("ipv4NetmaskLength"),
        ),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (
        replaces(
            _custom("ForceNew private_dns_enabled"),
            "privateDnsEnabled",
            lambda c: c.news.get("vpcEndpointType", "Gateway") != "Interface",
        ),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": (nothing("policy: function", "policy", _same_json),),
    "aws:eks/cluster:Cluster": (
        replaces(
            _custom("ForceNewIfChange encryption_config"),
            "encryptionConfig",
            lambda c: bool(c.olds.get("encryptionConfig")) and not c.news.get("encryptionConfig"),
        ),
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": (
        *(
            nothing(_custom("suppressDiffIfBelongsToGlobalReplicationGroup"), path, _global)
            for path in ("engine", "engineVersion", "parameterGroupName")
        ),
        replaces(
            _custom("customizeDiffEngineForceNewOnDowngrade"),
            "engine",
            lambda c: (c.old or "redis", c.new) != ("redis", "valkey"),
        ),
        replaces(_custom("customizeDiffEngineVersionForceNewOnDowngrade"), "engineVersion", _older),
        replaces(
            _custom("ForceNewIf node_group_configuration"), "nodeGroupConfigurations", _node_groups
        ),
        replaces(
            _custom("ForceNewIf transit_encryption_enabled"),
            "transitEncryptionEnabled",
            lambda c: (
                version(c.state.get("engineVersionActual") or c.olds.get("engineVersion"))
                < (7, 0, 5)
            ),
        ),
        nothing("port: function", "port", lambda c: not c.new and c.old == 6379),
    ),
    "aws:iam/role:Role": (nothing("inlinePolicies: function", "inlinePolicies", _same_json),),
    "aws:kinesis/stream:Stream": (
        nothing("encryptionType: function", "encryptionType", _same_letters),
    ),
    "aws:rds/instance:Instance": (
        nothing(
            "allocatedStorage: function",
            "allocatedStorage",
            lambda c: (
                bool(c.old and c.new)
                and c.old > c.new
                and (c.news.get("maxAllocatedStorage") or 0) > c.new
            ),
        ),
        nothing(
            "maxAllocatedStorage: function",
            "maxAllocatedStorage",
            lambda c: not c.old and c.new == c.news.get("allocatedStorage"),
        ),
    ),
    "aws:redshift/cluster:Cluster": (
        refused(
            _custom("availability_zone"),
            "availabilityZone",
            lambda c: not c.news.get("availabilityZoneRelocationEnabled"),
            "it cannot be changed while availabilityZoneRelocationEnabled is off",
        ),
        nothing("aquaConfigurationStatus: function", "aquaConfigurationStatus", lambda c: True),
    ),
    "aws:s3/bucketLogging:BucketLogging": (_OWNER,),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        _OWNER,
    ),
    "aws:s3/bucketVersioning:BucketVersioning": (
        _OWNER,
        refused(
            _custom("versioning_configuration.status"),
            "versioningConfiguration.status",
            lambda c: c.new == "Disabled" and c.old in ("Enabled", "Suspended"),
            "versioning that was enabled cannot be disabled again; Suspended stops it",
        ),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": tuple(
        replaces(_SECRET, path, lambda c: c.old is not None and c.new is not None)
        for path in ("secretString", "secretStringWo", "secretStringWoVersion")
    ),
    "aws:sns/topicSubscription:TopicSubscription": (
        nothing(
            _custom("resourceTopicSubscriptionCustomizeDiff"),
            "filterPolicyScope",
            lambda c: c.new is None and not c.news.get("filterPolicy"),
        ),
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _SOURCE_TYPE,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _SOURCE_TYPE,
}
"""By type: what decides in it beside the shared functions."""

INPUTS_ALONE = "refuses inputs that do not go together, whatever was there before"
OUTPUTS_ALONE = "says which outputs are known only afterwards"
NONE: dict[tuple[str, str], str] = {
    **{
        (token, _custom(name)): INPUTS_ALONE
        for token, name in (
            ("aws:athena/workgroup:Workgroup", "managedQueryResultsValidation"),
            ("aws:budgets/budget:Budget", "validateFilterExpressionDiff"),
            ("aws:cloudwatch/metricAlarm:MetricAlarm", "resourceMetricAlarmCustomizeDiff"),
            ("aws:dynamodb/table:Table", "validateTableAttributes"),
            ("aws:ecr/repository:Repository", "validateImageTagMutabilityExclusionFilterUsage"),
            ("aws:eks/cluster:Cluster", "validateAutoModeCustomizeDiff"),
            ("aws:eks/cluster:Cluster", "validateAutoModeComputeConfigCustomizeDiff"),
            (
                "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream",
                "destination needs its configuration",
            ),
            ("aws:kinesis/stream:Stream", "stream_mode and shard_count"),
            ("aws:rds/instance:Instance", "blue_green_update of a replica"),
            ("aws:rds/instance:Instance", "blue_green_update of the engine"),
            ("aws:rds/instance:Instance", "replicate_source_db and db_subnet_group_name"),
            ("aws:redshift/cluster:Cluster", "availability_zone_relocation_enabled and multi_az"),
            ("aws:sns/topic:Topic", "resourceTopicCustomizeDiff"),
            *(
                ("aws:elasticache/replicationGroup:ReplicationGroup", name)
                for name in (
                    "authTokenUpdateStrategyValidate",
                    "replicationGroupValidateAutomaticFailoverNumCacheClusters",
                    "replicationGroupValidateMultiAZAutomaticFailover",
                )
            ),
        )
    },
    **{
        (token, _custom(name)): OUTPUTS_ALONE
        for token, name in (
            ("aws:dynamodb/table:Table", "SetNewComputed stream_arn"),
            ("aws:ec2/launchTemplate:LaunchTemplate", "ComputedIf default_version"),
            ("aws:ec2/launchTemplate:LaunchTemplate", "ComputedIf latest_version"),
            ("aws:ec2/vpc:Vpc", "resourceVPCCustomizeDiff assign_generated_ipv6_cidr_block"),
            ("aws:ec2/vpcEndpoint:VpcEndpoint", "ComputedIf network_interface_ids"),
            (
                "aws:elasticache/replicationGroup:ReplicationGroup",
                "ComputedIf member_clusters",
            ),
        )
    },
    ("aws:dynamodb/table:Table", _custom("customDiffGlobalSecondaryIndex")): (
        "indexes are compared without their order here in any case"
    ),
    ("aws:ec2/natGateway:NatGateway", "availabilityZoneAddresses: function"): (
        "a set, compared without its order here in any case"
    ),
    ("aws:elasticache/subnetGroup:SubnetGroup", _custom("resourceSubnetGroupCustomizeDiff")): (
        "about the subnet group that AWS names default, which nobody makes"
    ),
    ("aws:kinesis/stream:Stream", _custom("findLimits")): "asks the account for its quota",
}
"""Functions that need no row, and why."""


@cache
def rules_of(token: str) -> tuple[Rule, ...]:
    """Every rule of a type: its own, and the shared functions that its schema names."""
    return (*ROWS.get(token, ()), *_shared(token))


def _shared(token: str) -> Iterator[Rule]:
    for entry in facts_of(token).rules:
        path, _, name = entry.partition(": ")
        if name in FUNCTIONS:
            yield nothing(entry, path, FUNCTIONS[name])


def undecided(token: str) -> list[str]:
    """The functions in a type's source for which there is neither a row nor a reason."""
    decided = {rule.origin for rule in rules_of(token)}
    return [
        entry
        for entry in facts_of(token).rules
        if entry not in decided and (token, entry) not in NONE
    ]
