"""Changes of resources, and what the real plugin makes of each."""

from __future__ import annotations

from typing import Any

from pocket.provider.values import UNKNOWN

EXAMPLES: dict[str, tuple[Any, Any, Any]] = {
    "SuppressMissingOptionalConfigurationBlock": ({"a": 1}, None, {"a": 2}),
    "SuppressEquivalentJSONDiffs": ('{"a": 1}', '{ "a":1 }', '{"a": 2}'),
    "SuppressEquivalentPolicyDiffs": ('{"a": 1}', '{ "a":1 }', '{"a": 2}'),
    "SuppressEquivalentTopicSubscriptionDeliveryPolicy": ('{"a": 1}', '{"a":1}', '{"a": 2}'),
    "NormalizeJsonString": ('{"a": [1]}', '{"a":[1]}', '{"a": [2]}'),
    "NormalizeJsonStringSchemaStateFunc": ('{"a": 1}', '{"a":1}', '{"b": 1}'),
    "SuppressEquivalentStringCaseInsensitive": ("redis", "REDIS", "valkey"),
    "ToLower": ("sun:04:00-sun:05:00", "Sun:04:00-Sun:05:00", "mon:04:00-mon:05:00"),
    "ToUpperSchemaStateFunc": ("NEW_IMAGE", "new_image", "OLD_IMAGE"),
    "DiffSuppressNullableBool": ("true", True, "false"),
    "suppressEquivalentBudgetLimitAmount": ("100", "100.00", "100.01"),
    "suppressEqualCIDRBlockDiffs": ("2001:db8::/32", "2001:DB8:0::/32", "2001:db8::/48"),
    "suppressEquivalentKeyARNOrID": ("k-1", "arn:aws:kms:eu-west-1:123456789012:key/k-1", "k-2"),
    "instanceReplicateSourceDBSuppressDiff": (
        *("one", "arn:aws:rds:eu-west-1:123456789012:db:one"),
        "arn:aws:rds:eu-west-1:123456789012:db:two",
    ),
    "suppressOpenIDURL": ("https://a.example", "a.example", "b.example"),
}
LOGGING = "cloudWatchLoggingConfiguration"


def monitoring(**logging: Any) -> dict[str, Any]:
    return {"configuration": {"monitoringConfiguration": {LOGGING: logging}}}


GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SHARD = {"nodeGroupId": "1", "slots": "0-16383", "primaryAvailabilityZone": "a"}
TABLE_, VPC = "aws:dynamodb/table:Table", "aws:ec2/vpc:Vpc"
WARM = "warmThroughput"
WRITES, READS = "writeUnitsPerSecond", "readUnitsPerSecond"
INGRESS, EGRESS = (
    f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress")
)
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    # The cache: what comes up stays, what goes down is lost.
    (GROUP, {"engine": "redis"}, {"engine": "valkey"}, "in place"),
    (GROUP, {"engine": "valkey"}, {"engine": "redis"}, "replaced: engine"),
    (GROUP, {"engine": "redis"}, {"engine": UNKNOWN}, "replaced: engine"),
    (GROUP, {"engineVersion": "7.1"}, {"engineVersion": "8.0"}, "in place"),
    (GROUP, {"engineVersion": "7.1"}, {"engineVersion": "7.0"}, "replaced: engineVersion"),
    (GROUP, {"engineVersion": "6.2"}, {"engineVersion": "6.x"}, "in place"),
    (GROUP, {"engineVersion": "6.x"}, {"engineVersion": "6.0"}, "replaced: engineVersion"),
    (GROUP, {"engineVersion": "7.1"}, {}, "same"),
    *(
        (
            GROUP,
            {"globalReplicationGroupId": "g", name: old},
            {"globalReplicationGroupId": "g", name: new},
            "same",
        )
        for name, old, new in (
            ("engine", "valkey", "redis"),
            ("engineVersion", "7.1", "7.0"),
            ("parameterGroupName", "a", "b"),
        )
    ),
    (GROUP, {"parameterGroupName": "a"}, {"parameterGroupName": "b"}, "in place"),
    (
        *(GROUP, {"transitEncryptionEnabled": False, "engineVersion": "7.1"}),
        *({"transitEncryptionEnabled": True, "engineVersion": "7.1"}, "in place"),
    ),
    (
        *(GROUP, {"transitEncryptionEnabled": False, "engineVersion": "7.0"}),
        *({"transitEncryptionEnabled": True, "engineVersion": "7.0"},),
        "replaced: transitEncryptionEnabled",
    ),
    (
        *(GROUP, {"nodeGroupConfigurations": [SHARD]}),
        *({"nodeGroupConfigurations": [{**SHARD, "slots": "0-1"}]},),
        "replaced: nodeGroupConfigurations",
    ),
    (
        *(GROUP, {"nodeGroupConfigurations": [SHARD]}),
        *({"nodeGroupConfigurations": [{**SHARD, "replicaOutpostArns": ["x"]}]}, "in place"),
    ),
    (GROUP, {"port": 6379}, {"port": 0}, "same"),
    (GROUP, {"port": 6380}, {"port": 0}, "replaced: port"),
    (
        GROUP,
        {"atRestEncryptionEnabled": False},
        {"atRestEncryptionEnabled": True},
        "replaced: atRestEncryptionEnabled",
    ),
    # Logging of queries.
    (
        "aws:athena/workgroup:Workgroup",
        {"configuration": {"monitoringConfiguration": {}}},
        monitoring(enabled=False),
        "same",
    ),
    (
        "aws:athena/workgroup:Workgroup",
        {"configuration": {"monitoringConfiguration": {}}},
        monitoring(enabled=True),
        "in place",
    ),
    (
        "aws:athena/workgroup:Workgroup",
        monitoring(logGroup="a"),
        monitoring(logGroup="a", enabled=False),
        "same",
    ),
    (
        "aws:athena/workgroup:Workgroup",
        monitoring(enabled=False, logGroup="a"),
        monitoring(enabled=False, logGroup="b"),
        "same",
    ),
    (
        "aws:athena/workgroup:Workgroup",
        monitoring(enabled=True, logGroup="a"),
        monitoring(enabled=True, logGroup="b"),
        "in place",
    ),
    *(
        (
            "aws:athena/workgroup:Workgroup",
            {"configuration": {"monitoringConfiguration": {block: {"enabled": on, key: "a"}}}},
            {"configuration": {"monitoringConfiguration": {block: {"enabled": on, key: "b"}}}},
            "in place" if on else "same",
        )
        for block, key in (
            ("managedLoggingConfiguration", "kmsKey"),
            ("s3LoggingConfiguration", "logLocation"),
        )
        for on in (True, False)
    ),
    *(
        (
            "aws:athena/workgroup:Workgroup",
            {"configuration": {"monitoringConfiguration": old}},
            {"configuration": {"monitoringConfiguration": {block: new}}},
            expected,
        )
        for block in ("managedLoggingConfiguration", "s3LoggingConfiguration")
        for old, new, expected in (
            ({}, {"enabled": False}, "same"),
            ({}, {"enabled": True}, "in place"),
            ({block: {"kmsKey": "k"}}, {"kmsKey": "k", "enabled": False}, "same"),
            ({block: {"kmsKey": "k"}}, {"kmsKey": "k", "enabled": True}, "in place"),
        )
    ),
    (
        "aws:athena/workgroup:Workgroup",
        monitoring(logGroup="a"),
        monitoring(logGroup="a", enabled=True),
        "in place",
    ),
    (
        "aws:cloudwatch/logGroup:LogGroup",
        {"retentionInDays": 2, "logGroupClass": "DELIVERY"},
        {"retentionInDays": 1, "logGroupClass": "DELIVERY"},
        "same",
    ),
    (
        "aws:cloudwatch/logGroup:LogGroup",
        {"retentionInDays": 7},
        {"retentionInDays": 1},
        "in place",
    ),
    # The online store.
    (
        TABLE_,
        {"serverSideEncryption": {"enabled": False}},
        {"serverSideEncryption": {"enabled": False, "kmsKeyArn": "x"}},
        "same",
    ),
    (TABLE_, {}, {"serverSideEncryption": {"enabled": False}}, "same"),
    (TABLE_, {}, {"serverSideEncryption": {"enabled": True}}, "in place"),
    (TABLE_, {}, {"pointInTimeRecovery": {"enabled": False}}, "same"),
    (TABLE_, {}, {"pointInTimeRecovery": {"enabled": True}}, "in place"),
    *(
        case
        for name in ("restoreBackupArn", "restoreSourceName", "restoreSourceTableArn")
        for case in (
            (TABLE_, {name: "a"}, {name: "b"}, f"replaced: {name}"),
            (TABLE_, {name: "a"}, {name: ""}, "in place"),
        )
    ),
    *(
        case
        for name in (READS, WRITES)
        for case in (
            (TABLE_, {WARM: {name: 9}}, {WARM: {name: 8}}, f"replaced: {WARM}"),
            (TABLE_, {WARM: {name: 9}}, {WARM: {name: 10}}, "in place"),
        )
    ),
    (TABLE_, {WARM: {READS: 12000}}, {}, "same"),
    (
        TABLE_,
        {"attributes": [{"name": "a", "type": "S"}]},
        {"attributes": [{"name": "b", "type": "S"}]},
        "same",
    ),
    (
        TABLE_,
        {"attributes": [{"name": "a", "type": "S"}]},
        {"attributes": [{"name": "b", "type": "S"}], "globalSecondaryIndexes": [{"name": "i"}]},
        "in place",
    ),
    *(
        case
        for name in ("maxReadRequestUnits", "maxWriteRequestUnits")
        for case in (
            (
                TABLE_,
                {"onDemandThroughput": {"x": 1}},
                {"onDemandThroughput": {"x": 1, name: -1}},
                "same",
            ),
            (
                TABLE_,
                {"onDemandThroughput": {name: 5}},
                {"onDemandThroughput": {name: 6}},
                "in place",
            ),
        )
    ),
    (
        TABLE_,
        {"pointInTimeRecovery": {"enabled": False, "recoveryPeriodInDays": 3}},
        {"pointInTimeRecovery": {"enabled": False, "recoveryPeriodInDays": 4}},
        "same",
    ),
    (
        TABLE_,
        {"pointInTimeRecovery": {"enabled": True, "recoveryPeriodInDays": 3}},
        {"pointInTimeRecovery": {"enabled": True, "recoveryPeriodInDays": 4}},
        "in place",
    ),
    (TABLE_, {}, {"tableClass": "STANDARD"}, "same"),
    (TABLE_, {}, {"tableClass": "STANDARD_INFREQUENT_ACCESS"}, "in place"),
    (
        TABLE_,
        {"ttl": {"enabled": False}},
        {"ttl": {"enabled": False, "attributeName": "t"}},
        "same",
    ),
    (
        TABLE_,
        {"ttl": {"enabled": True}},
        {"ttl": {"enabled": True, "attributeName": "t"}},
        "in place",
    ),
    (TABLE_, {"hashKey": "a"}, {"hashKey": "b"}, "replaced: hashKey"),
    # The network.
    (
        "aws:ec2/natGateway:NatGateway",
        {"connectivityType": "private", "secondaryPrivateIpAddressCount": 1},
        {"connectivityType": "private", "secondaryPrivateIpAddressCount": 2},
        "replaced: secondaryPrivateIpAddressCount",
    ),
    (
        "aws:ec2/natGateway:NatGateway",
        {"secondaryPrivateIpAddressCount": 1},
        {"secondaryPrivateIpAddressCount": 2},
        "in place",
    ),
    (
        "aws:ec2/subnet:Subnet",
        {"ipv6CidrBlock": "a", "assignIpv6AddressOnCreation": True},
        {"ipv6CidrBlock": "b", "assignIpv6AddressOnCreation": True},
        "replaced: ipv6CidrBlock",
    ),
    ("aws:ec2/subnet:Subnet", {"ipv6CidrBlock": "a"}, {"ipv6CidrBlock": "b"}, "in place"),
    (VPC, {"instanceTenancy": "dedicated"}, {"instanceTenancy": "default"}, "in place"),
    (
        VPC,
        {"instanceTenancy": "default"},
        {"instanceTenancy": "dedicated"},
        "replaced: instanceTenancy",
    ),
    (VPC, {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}, "replaced: cidrBlock"),
    (
        VPC,
        {"cidrBlock": "10.0.0.0/16", "ipv4NetmaskLength": 16},
        {"cidrBlock": "10.1.0.0/16", "ipv4NetmaskLength": 16},
        "same",
    ),
    (
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {"privateDnsEnabled": True},
        {"privateDnsEnabled": False},
        "replaced: privateDnsEnabled",
    ),
    (
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {"privateDnsEnabled": True, "vpcEndpointType": "Interface"},
        {"privateDnsEnabled": False, "vpcEndpointType": "Interface"},
        "in place",
    ),
    *(
        case
        for token in (INGRESS, EGRESS)
        for case in (
            (token, {"cidrIpv4": "a"}, {"cidrIpv4": "b"}, "in place"),
            (token, {"cidrIpv4": "a"}, {"cidrIpv6": "b"}, "replaced: cidrIpv4, cidrIpv6"),
            (
                token,
                {"prefixListId": "a"},
                {"referencedSecurityGroupId": "b"},
                "replaced: prefixListId, referencedSecurityGroupId",
            ),
            (token, {"prefixListId": "a"}, {"prefixListId": "b"}, "in place"),
            (
                token,
                {"referencedSecurityGroupId": "a"},
                {"referencedSecurityGroupId": "b"},
                "in place",
            ),
            (token, {"cidrIpv6": "a"}, {"cidrIpv6": "b"}, "in place"),
        )
    ),
    # Everything else that has one.
    (
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        {"policy": '{"a":1}'},
        {"policy": '{"a":  1}'},
        "same",
    ),
    (
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        {"policy": '{"a":1}'},
        {"policy": '{"a":2}'},
        "replaced: policy",
    ),
    ("aws:eks/cluster:Cluster", {"encryptionConfig": {"resources": ["secrets"]}}, {}, "same"),
    ("aws:eks/cluster:Cluster", {}, {"encryptionConfig": {"resources": ["secrets"]}}, "in place"),
    (
        "aws:eks/cluster:Cluster",
        {"accessConfig": {"bootstrapClusterCreatorAdminPermissions": True}},
        {"accessConfig": {"bootstrapClusterCreatorAdminPermissions": False}},
        "replaced: accessConfig",
    ),
    (
        "aws:eks/cluster:Cluster",
        {"accessConfig": {"authenticationMode": "A"}},
        {"accessConfig": {"authenticationMode": "B"}},
        "in place",
    ),
    (
        "aws:iam/role:Role",
        {"inlinePolicies": [{"name": "a", "policy": '{"x":1}'}]},
        {"inlinePolicies": [{"name": "a", "policy": '{"x": 1}'}]},
        "same",
    ),
    (
        "aws:iam/role:Role",
        {"inlinePolicies": [{"name": "a"}]},
        {"inlinePolicies": [{"name": "b"}]},
        "in place",
    ),
    ("aws:kinesis/stream:Stream", {"encryptionType": "KMS"}, {"encryptionType": "kms"}, "same"),
    (
        "aws:kinesis/stream:Stream",
        {"encryptionType": "KMS"},
        {"encryptionType": "NONE"},
        "in place",
    ),
    (
        "aws:rds/instance:Instance",
        {"allocatedStorage": 40},
        {"allocatedStorage": 20, "maxAllocatedStorage": 100},
        "in place",
    ),
    (
        "aws:rds/instance:Instance",
        {"allocatedStorage": 40, "maxAllocatedStorage": 100},
        {"allocatedStorage": 20, "maxAllocatedStorage": 100},
        "same",
    ),
    ("aws:rds/instance:Instance", {"allocatedStorage": 20}, {"allocatedStorage": 40}, "in place"),
    (
        "aws:rds/instance:Instance",
        {"allocatedStorage": 20},
        {"allocatedStorage": 20, "maxAllocatedStorage": 20},
        "same",
    ),
    ("aws:rds/instance:Instance", {"dbName": "a"}, {}, "same"),
    ("aws:rds/instance:Instance", {"dbName": "a"}, {"dbName": "b"}, "replaced: dbName"),
    (
        "aws:redshift/cluster:Cluster",
        {"aquaConfigurationStatus": "auto"},
        {"aquaConfigurationStatus": "enabled"},
        "same",
    ),
    (
        "aws:redshift/cluster:Cluster",
        {"availabilityZone": "a", "availabilityZoneRelocationEnabled": True},
        {"availabilityZone": "b", "availabilityZoneRelocationEnabled": True},
        "in place",
    ),
    *(
        case
        for token in (
            "aws:s3/bucketLogging:BucketLogging",
            ENCRYPTION,
            "aws:s3/bucketVersioning:BucketVersioning",
        )
        for case in (
            (token, {}, {"expectedBucketOwner": "123456789012"}, "in place"),
            (
                token,
                {"expectedBucketOwner": "1"},
                {"expectedBucketOwner": "2"},
                "replaced: expectedBucketOwner",
            ),
        )
    ),
    (
        "aws:s3/bucketVersioning:BucketVersioning",
        {"versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        "in place",
    ),
    *(
        case
        for name in ("secretString", "secretStringWo", "secretStringWoVersion")
        for case in (
            (VERSION, {name: "1"}, {name: "2"}, f"replaced: {name}"),
            (VERSION, {}, {name: "2"}, "in place"),
        )
    ),
    (
        "aws:sns/topicSubscription:TopicSubscription",
        {"filterPolicyScope": "MessageBody"},
        {},
        "same",
    ),
    (
        "aws:sns/topicSubscription:TopicSubscription",
        {"filterPolicyScope": "MessageBody", "filterPolicy": "{}"},
        {"filterPolicyScope": "MessageAttributes", "filterPolicy": "{}"},
        "in place",
    ),
]


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "aws:redshift/cluster:Cluster",
        {"availabilityZone": "a"},
        {"availabilityZone": "b"},
        "Relocation",
    ),
    *(
        (
            "aws:s3/bucketVersioning:BucketVersioning",
            {"versioningConfiguration": {"status": before}},
            {"versioningConfiguration": {"status": "Disabled"}},
            "Suspended stops it",
        )
        for before in ("Enabled", "Suspended")
    ),
]
