"""One case for every type in the provider's table: inputs, a change in place, and one that
replaces.
"""

import json
from collections.abc import Callable, Mapping
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


def bucket_policy(effect: str) -> str:
    return a_policy("s3:*", Effect=effect, Principal="*", Resource="arn:aws:s3:::settings/*")


def images_expire(count: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})


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


def _route(world: World) -> Inputs:
    entry = gateway(world)
    table = route_table(world, next(r for r in world.made if "vpc:" in r.token))
    return {"routeTableId": table.id, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": entry.id}


def _nat(world: World) -> Inputs:
    address = world.create("aws:ec2/eip:Eip", {"domain": "vpc"}, name="address")
    return {"subnetId": subnet(world).id, "allocationId": address.id}


def _association(world: World) -> Inputs:
    net = vpc(world)
    return {"subnetId": subnet(world, 1, net).id, "routeTableId": route_table(world, net).id}


def _endpoint(world: World) -> Inputs:
    net = vpc(world)
    return {
        "vpcId": net.id,
        "serviceName": "com.amazonaws.us-east-1.s3",
        "routeTableIds": [route_table(world, net).id],
    }


def _flow_log(world: World) -> Inputs:
    return {
        "vpcId": vpc(world).id,
        "trafficType": "ALL",
        "logDestinationType": "s3",
        "logDestination": bucket(world)["arn"],
    }


def _rule(world: World) -> Inputs:
    return {
        "securityGroupId": group(world).id,
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "cidrIpv4": "10.0.0.0/16",
        "description": "TLS from inside",
    }


TAGS = {"tags": {"Name": "one", "Team": "ml"}}

S3_CASES = {
    "aws:s3/bucket:Bucket": Case(
        inputs=const(**TAGS, forceDestroy=True),
        change={"tags": {"Name": "two"}},
        replace={"bucket": "another-bucket"},
        unimported=("forceDestroy",),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Case(
        inputs=in_bucket(versioningConfiguration={"status": "Enabled"}),
        change={"versioningConfiguration": {"status": "Suspended"}},
        replace={"bucket": "elsewhere"},
        stays=True,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Case(
        inputs=in_bucket(
            rules=[
                {
                    "applyServerSideEncryptionByDefault": {
                        "sseAlgorithm": "aws:kms",
                        "kmsMasterKeyId": "arn:aws:kms:us-east-1:123456789012:key/k",
                    },
                    "bucketKeyEnabled": True,
                }
            ]
        ),
        change={"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        replace={"bucket": "elsewhere"},
        stays=True,
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Case(
        inputs=in_bucket(blockPublicAcls=True, blockPublicPolicy=True, ignorePublicAcls=True),
        change={"restrictPublicBuckets": True},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Case(
        inputs=in_bucket(policy=bucket_policy("Deny")),
        change={"policy": bucket_policy("Allow")},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Case(
        inputs=in_bucket(rule={"objectOwnership": "BucketOwnerEnforced"}),
        change={"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketLogging:BucketLogging": Case(
        inputs=lambda world: {
            "bucket": bucket(world).id,
            "targetBucket": _log_bucket(world),
            "targetPrefix": "access/",
        },
        change={"targetPrefix": "other/"},
        replace={"bucket": "elsewhere"},
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Case(
        inputs=in_bucket(
            rules=[
                {
                    "id": "cheaper",
                    "status": "Enabled",
                    "transitions": [{"days": 30, "storageClass": "STANDARD_IA"}],
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                },
                {
                    "id": "tmp",
                    "status": "Enabled",
                    "filter": {"prefix": "tmp/"},
                    "expiration": {"days": 7},
                },
            ]
        ),
        change={
            "rules": [
                {
                    "id": "tmp",
                    "status": "Disabled",
                    "filter": {"prefix": "tmp/"},
                    "expiration": {"days": 9},
                }
            ]
        },
        replace={"bucket": "elsewhere"},
    ),
}


def _log_bucket(world: World) -> str:
    logs = bucket(world, "logs")
    world.create(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        {"bucket": logs.id, "rule": {"objectOwnership": "BucketOwnerPreferred"}},
    )
    statement = {
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Resource": "arn:aws:s3:::logs/*",
    }
    world.create(
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": logs.id, "policy": a_policy("s3:PutObject", **statement)},
    )
    return str(logs.id)


EC2_CASES = {
    "aws:ec2/vpc:Vpc": Case(
        inputs=const(cidrBlock="10.0.0.0/16", enableDnsHostnames=True, **TAGS),
        change={"enableDnsHostnames": False, "tags": {"Name": "two"}},
        replace={"cidrBlock": "10.1.0.0/16"},
    ),
    "aws:ec2/subnet:Subnet": Case(
        inputs=lambda world: {
            "vpcId": vpc(world).id,
            "cidrBlock": "10.0.1.0/24",
            "availabilityZone": "us-east-1a",
            **TAGS,
        },
        change={"mapPublicIpOnLaunch": True},
        replace={"cidrBlock": "10.0.2.0/24"},
    ),
    "aws:ec2/internetGateway:InternetGateway": Case(
        inputs=lambda world: {"vpcId": vpc(world).id, **TAGS},
        change=lambda world: {"vpcId": vpc(world, "other").id},
    ),
    "aws:ec2/eip:Eip": Case(
        inputs=const(domain="vpc", **TAGS), change={"tags": {}}, replace={"publicIpv4Pool": "p"}
    ),
    "aws:ec2/natGateway:NatGateway": Case(
        inputs=_nat, change=TAGS, replace={"connectivityType": "private"}
    ),
    "aws:ec2/routeTable:RouteTable": Case(
        inputs=lambda world: {"vpcId": vpc(world).id},
        change=lambda world: {
            "routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": gateway_in(world).id}],
            **TAGS,
        },
        replace={"vpcId": "vpc-else"},
    ),
    "aws:ec2/route:Route": Case(
        inputs=_route,
        change=lambda world: {
            "gatewayId": None,
            "natGatewayId": world.create(
                "aws:ec2/natGateway:NatGateway",
                {
                    "subnetId": subnet(
                        world, 1, next(r for r in world.made if "vpc:" in r.token)
                    ).id,
                    "connectivityType": "private",
                },
                name="nat",
            ).id,
        },
        replace={"destinationCidrBlock": "10.9.0.0/16"},
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Case(
        inputs=_association, replace={"routeTableId": "rtb-else"}
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Case(
        inputs=_endpoint, change=TAGS, replace={"vpcId": "vpc-else"}
    ),
    "aws:ec2/securityGroup:SecurityGroup": Case(
        inputs=lambda world: {
            "vpcId": vpc(world).id,
            "ingress": [
                {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/16"]}
            ],
            "egress": [{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}],
            **TAGS,
        },
        change={"ingress": [{"protocol": "tcp", "fromPort": 5439, "toPort": 5439, "self": True}]},
        replace={"description": "another"},
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Case(
        inputs=lambda world: {"vpcId": vpc(world).id, **TAGS},
        change={"ingress": [{"protocol": "tcp", "fromPort": 443, "toPort": 443, "self": True}]},
        replace={"vpcId": "vpc-else"},
        stays=True,
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Case(
        inputs=_rule,
        change={"fromPort": 80, "description": "also plain"},
        replace={"securityGroupId": "sg-else"},
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Case(
        inputs=_rule,
        change={"toPort": 444},
        replace={"securityGroupId": "sg-else"},
    ),
    "aws:ec2/flowLog:FlowLog": Case(
        inputs=_flow_log, change=TAGS, replace={"trafficType": "REJECT"}
    ),
}


def gateway_in(world: World) -> Any:
    net = next(r for r in world.made if "vpc:" in r.token)
    return world.create(
        "aws:ec2/internetGateway:InternetGateway", {"vpcId": net.id}, name="gateway"
    )


KMS_CASES = {
    "aws:kms/key:Key": Case(
        inputs=const(
            description="one",
            enableKeyRotation=True,
            deletionWindowInDays=7,
            **TAGS,
            policy=a_policy("kms:*", Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        ),
        change={"description": "two", "enableKeyRotation": False, "tags": {"Name": "two"}},
        replace={"keyUsage": "SIGN_VERIFY"},
        unimported=("deletionWindowInDays",),
    ),
    "aws:kms/alias:Alias": Case(
        inputs=lambda world: {"name": "alias/lake", "targetKeyId": key(world)["keyId"]},
        change=lambda world: {
            "targetKeyId": world.create("aws:kms/key:Key", {}, name="key2")["arn"]
        },
        replace={"name": "alias/other"},
    ),
}

IAM_CASES = {
    "aws:iam/role:Role": Case(
        inputs=const(assumeRolePolicy=trust(), description="one", **TAGS),
        change={
            "assumeRolePolicy": trust("eks.amazonaws.com"),
            "description": "two",
            "maxSessionDuration": 7200,
            "tags": {"Name": "two"},
        },
        replace={"path": "/elsewhere/"},
    ),
    "aws:iam/policy:Policy": Case(
        inputs=const(policy=a_policy(), description="reads", **TAGS),
        change={"policy": a_policy("s3:PutObject")},
        replace={"description": "writes"},
    ),
    "aws:iam/rolePolicy:RolePolicy": Case(
        inputs=lambda world: {"role": role(world).id, "policy": a_policy()},
        change={"policy": a_policy("s3:PutObject")},
        replace={"role": "else"},
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Case(
        inputs=lambda world: {
            "role": role(world)["name"],
            "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
        },
        replace={"policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"},
    ),
    "aws:iam/instanceProfile:InstanceProfile": Case(
        inputs=lambda world: {"role": role(world)["name"], **TAGS},
        change=lambda world: {"role": role(world, name="other")["name"]},
        replace={"path": "/elsewhere/"},
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Case(
        inputs=const(
            url="https://oidc.example.com/id/1",
            clientIdLists=["sts.amazonaws.com"],
            thumbprintLists=["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"],
            **TAGS,
        ),
        change={"clientIdLists": ["another"], "thumbprintLists": ["a" * 40]},
        replace={"url": "https://oidc.example.com/id/2"},
    ),
}

DYNAMODB_CASES = {
    "aws:dynamodb/table:Table": Case(
        inputs=const(
            attributes=[{"name": "id", "type": "S"}, {"name": "at", "type": "N"}],
            hashKey="id",
            rangeKey="at",
            billingMode="PAY_PER_REQUEST",
            ttl={"attributeName": "expires", "enabled": True},
            pointInTimeRecovery={"enabled": True},
            serverSideEncryption={
                "enabled": True,
                "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k",
            },
            **TAGS,
        ),
        change={
            "billingMode": "PROVISIONED",
            "readCapacity": 2,
            "writeCapacity": 3,
            "pointInTimeRecovery": {"enabled": False},
            "deletionProtectionEnabled": False,
            "tags": {"Name": "two"},
        },
        replace={"rangeKey": "other"},
    ),
}

REDSHIFT_CASES = {
    "aws:redshift/subnetGroup:SubnetGroup": Case(
        inputs=lambda world: {"subnetIds": [each.id for each in subnets(world)], **TAGS},
        change={"tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:redshift/parameterGroup:ParameterGroup": Case(
        inputs=const(family="redshift-1.0", **TAGS),
        change={"tags": {"Name": "two"}},
        replace={"family": "redshift-2.0"},
    ),
    "aws:redshift/cluster:Cluster": Case(
        inputs=const(
            clusterIdentifier="warehouse",
            nodeType="ra3.xlplus",
            numberOfNodes=2,
            databaseName="analytics",
            masterUsername="keeper",
            masterPassword="Secret-123",
            skipFinalSnapshot=True,
            **TAGS,
        ),
        change={"nodeType": "ra3.4xlarge", "automatedSnapshotRetentionPeriod": 7},
        replace={"databaseName": "other"},
        unimported=("masterPassword", "skipFinalSnapshot"),
    ),
    "aws:redshift/logging:Logging": Case(
        inputs=lambda world: {
            "clusterIdentifier": warehouse(world).id,
            "bucketName": _audit_bucket(world),
            "s3KeyPrefix": "audit/",
        },
        change={"s3KeyPrefix": "other/"},
        replace={"clusterIdentifier": "another"},
    ),
}


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


def _audit_bucket(world: World) -> str:
    logs = bucket(world, "audit")
    statement: dict[str, Any] = {
        "Principal": {"Service": "redshift.amazonaws.com"},
        "Action": ["s3:PutObject", "s3:GetBucketAcl"],
        "Resource": "arn:aws:s3:::audit/*",
    }
    world.create(
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": logs.id, "policy": a_policy(**statement)},
    )
    return str(logs.id)


def secret(world: World) -> Any:
    return world.create(
        "aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 0}, name="secret"
    )


SECRET_CASES = {
    "aws:secretsmanager/secret:Secret": Case(
        inputs=const(description="one", recoveryWindowInDays=0, **TAGS),
        change={"description": "two", "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("recoveryWindowInDays",),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Case(
        inputs=lambda world: {"secretId": secret(world).id, "secretString": "hush"},
        replace={"secretString": "other"},
        stays=True,
    ),
}

CACHE_CASES = {
    "aws:elasticache/subnetGroup:SubnetGroup": Case(
        inputs=lambda world: {"subnetIds": [each.id for each in subnets(world)], **TAGS},
        change={"tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": Case(
        inputs=const(
            family="valkey8", parameters=[{"name": "maxmemory-policy", "value": "allkeys-lru"}]
        ),
        change={"parameters": [{"name": "maxmemory-policy", "value": "noeviction"}]},
        replace={"family": "redis7"},
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": Case(
        inputs=const(
            description="online features",
            engine="valkey",
            nodeType="cache.t4g.micro",
            numCacheClusters=2,
            automaticFailoverEnabled=True,
            multiAzEnabled=True,
            atRestEncryptionEnabled=True,
            transitEncryptionEnabled=True,
            snapshotRetentionLimit=1,
            **TAGS,
        ),
        change={"description": "two", "snapshotRetentionLimit": 3, "tags": {"Name": "two"}},
        replace={"atRestEncryptionEnabled": False},
        unimported=("engine",),
    ),
}


def cluster(world: World) -> Any:
    return world.create(
        "aws:eks/cluster:Cluster",
        {
            "roleArn": role(world, "eks.amazonaws.com", "control")["arn"],
            "vpcConfig": {"subnetIds": [each.id for each in subnets(world)]},
        },
        name="cluster",
    )


EKS_CASES = {
    "aws:eks/cluster:Cluster": Case(
        inputs=lambda world: {
            "roleArn": role(world, "eks.amazonaws.com")["arn"],
            "vpcConfig": {
                "subnetIds": [each.id for each in subnets(world)],
                "endpointPrivateAccess": True,
                "endpointPublicAccess": False,
            },
            "version": "1.33",
            "enabledClusterLogTypes": ["api", "audit"],
            "encryptionConfig": {
                "provider": {"keyArn": "arn:aws:kms:us-east-1:123456789012:key/k"},
                "resources": ["secrets"],
            },
            **TAGS,
        },
        change={"enabledClusterLogTypes": ["api", "audit", "scheduler"]},
        replace={"roleArn": "arn:aws:iam::123456789012:role/other"},
    ),
    "aws:eks/nodeGroup:NodeGroup": Case(
        inputs=lambda world: {
            "clusterName": cluster(world).id,
            "nodeRoleArn": role(world, name="nodes")["arn"],
            "subnetIds": [each.id for each in world.made if "subnet:" in each.token],
            "scalingConfig": {"minSize": 1, "desiredSize": 2, "maxSize": 3},
            "instanceTypes": ["m6i.large"],
            "labels": {"pool": "general"},
            **TAGS,
        },
        change={
            "scalingConfig": {"minSize": 1, "desiredSize": 1, "maxSize": 5},
            "labels": {"pool": "other"},
        },
        replace={"instanceTypes": ["m6i.xlarge"]},
    ),
}

REGISTRY_CASES = {
    "aws:ecr/repository:Repository": Case(
        inputs=const(
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
            forceDelete=True,
            **TAGS,
        ),
        change={"imageScanningConfiguration": {"scanOnPush": False}, "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("forceDelete",),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Case(
        inputs=lambda world: {
            "repository": world.create("aws:ecr/repository:Repository", {}, name="images").id,
            "policy": images_expire(30),
        },
        change={"policy": images_expire(60)},
        replace={"repository": "another"},
    ),
}


LOG_CASES = {
    "aws:cloudwatch/logGroup:LogGroup": Case(
        inputs=const(
            retentionInDays=30, kmsKeyId="arn:aws:kms:us-east-1:123456789012:key/k", **TAGS
        ),
        change={"retentionInDays": 90, "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
}


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


GLUE_CASES = {
    "aws:glue/catalogDatabase:CatalogDatabase": Case(
        inputs=const(name="lake", description="one", **TAGS),
        change={"description": "two", "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:glue/catalogTable:CatalogTable": Case(
        inputs=lambda world: {
            "name": "flights",
            "databaseName": database(world)["name"],
            "tableType": "EXTERNAL_TABLE",
            "parameters": {"classification": "parquet"},
            "partitionKeys": [{"name": "month", "type": "int"}],
            "storageDescriptor": columns("delay", "distance"),
        },
        change={"storageDescriptor": columns("delay", "distance", "hour")},
        replace={"name": "another"},
    ),
    "aws:athena/workgroup:Workgroup": Case(
        inputs=const(
            description="analysts",
            forceDestroy=True,
            configuration={
                "enforceWorkgroupConfiguration": True,
                "publishCloudwatchMetricsEnabled": True,
                "bytesScannedCutoffPerQuery": 10 * 1024**3,
                "resultConfiguration": {
                    "outputLocation": "s3://results/",
                    "encryptionConfiguration": {"encryptionOption": "SSE_S3"},
                },
            },
            **TAGS,
        ),
        change={"description": "everybody", "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("forceDestroy",),
    ),
}


def file_system(world: World) -> Any:
    return world.create("aws:efs/fileSystem:FileSystem", {"encrypted": True}, name="files")


EFS_CASES = {
    "aws:efs/fileSystem:FileSystem": Case(
        inputs=const(
            encrypted=True,
            lifecyclePolicies=[{"transitionToIa": "AFTER_30_DAYS"}],
            **TAGS,
        ),
        change={
            "lifecyclePolicies": [{"transitionToIa": "AFTER_60_DAYS"}],
            "tags": {"Name": "two"},
        },
        replace={"performanceMode": "maxIO"},
    ),
    "aws:efs/mountTarget:MountTarget": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "subnetId": subnet(world).id,
            "securityGroups": [group(world, next(r for r in world.made if "vpc:" in r.token)).id],
        },
        replace={"subnetId": "subnet-else"},
    ),
    "aws:efs/accessPoint:AccessPoint": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "posixUser": {"uid": 1000, "gid": 1000},
            "rootDirectory": {
                "path": "/training",
                "creationInfo": {"ownerUid": 1000, "ownerGid": 1000, "permissions": "0755"},
            },
            **TAGS,
        },
        change={"tags": {"Name": "two"}},
        replace={"posixUser": {"uid": 1001, "gid": 1000}},
    ),
    "aws:efs/backupPolicy:BackupPolicy": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "backupPolicy": {"status": "ENABLED"},
        },
        replace={"fileSystemId": "fs-else"},
    ),
}

STREAM_CASES = {
    "aws:kinesis/stream:Stream": Case(
        inputs=const(
            streamModeDetails={"streamMode": "ON_DEMAND"},
            retentionPeriod=48,
            encryptionType="KMS",
            kmsKeyId="alias/aws/kinesis",
            **TAGS,
        ),
        change={"retentionPeriod": 24, "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:sns/topic:Topic": Case(
        inputs=const(displayName="alarms", kmsMasterKeyId="alias/aws/sns", **TAGS),
        change={"displayName": "bells", "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
}


def disks(size: int) -> list[Inputs]:
    disk = {"volumeSize": size, "volumeType": "gp3", "encrypted": "true"}
    return [{"deviceName": "/dev/xvda", "ebs": {**disk, "deleteOnTermination": "true"}}]


def delivery(world: World, **settings: Any) -> Inputs:
    arn = world.made[0]["arn"] if world.made else bucket(world)["arn"]
    block = {
        "bucketArn": arn,
        "roleArn": "arn:aws:iam::123456789012:role/delivery",
        "prefix": "events/",
        "errorOutputPrefix": "failed/",
        "compressionFormat": "GZIP",
        "bufferingSize": 64,
        "bufferingInterval": 300,
        "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k",
        "cloudwatchLoggingOptions": {
            "enabled": True,
            "logGroupName": "group",
            "logStreamName": "stream",
        },
        **settings,
    }
    return {"destination": "extended_s3", "extendedS3Configuration": block}


MACHINE_CASES = {
    "aws:ec2/launchTemplate:LaunchTemplate": Case(
        inputs=const(
            description="nodes",
            updateDefaultVersion=True,
            metadataOptions={
                "httpEndpoint": "enabled",
                "httpTokens": "required",
                "httpPutResponseHopLimit": 1,
            },
            blockDeviceMappings=disks(50),
            tagSpecifications=[{"resourceType": "instance", "tags": {"Name": "node"}}],
            **TAGS,
        ),
        change={"blockDeviceMappings": disks(80), "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("updateDefaultVersion",),
    ),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": Case(
        inputs=lambda world: {**delivery(world), **TAGS},
        change=lambda world: {**delivery(world, bufferingSize=32), "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
}

WATCH_CASES = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": Case(
        inputs=const(
            comparisonOperator="GreaterThanThreshold",
            evaluationPeriods=3,
            metricName="CPUUtilization",
            namespace="AWS/Redshift",
            period=300,
            statistic="Average",
            threshold=90,
            dimensions={"ClusterIdentifier": "warehouse"},
            alarmDescription="busy",
            **TAGS,
        ),
        change={"threshold": 80, "evaluationPeriods": 2},
        replace={"name": "another"},
    ),
    "aws:cloudwatch/dashboard:Dashboard": Case(
        inputs=const(dashboardName="platform", dashboardBody=json.dumps({"widgets": []})),
        change={"dashboardBody": json.dumps({"widgets": [{"type": "text"}]})},
        replace={"dashboardName": "another"},
    ),
}


def in_cluster(**inputs: Any) -> Callable[[World], Inputs]:
    return lambda world: {"clusterName": cluster(world).id, **inputs}


def entry(world: World) -> Any:
    return world.create(
        "aws:eks/accessEntry:AccessEntry",
        {"clusterName": cluster(world).id, "principalArn": PRINCIPAL},
        name="entry",
    )


PRINCIPAL = "arn:aws:iam::123456789012:role/people"

ACCESS_CASES = {
    "aws:eks/addon:Addon": Case(
        inputs=in_cluster(addonName="coredns", **TAGS),
        change={"configurationValues": json.dumps({"replicaCount": 3})},
        replace={"addonName": "vpc-cni"},
    ),
    "aws:eks/accessEntry:AccessEntry": Case(
        inputs=in_cluster(principalArn=PRINCIPAL, **TAGS),
        change={"kubernetesGroups": ["viewers"]},
        replace={"type": "EC2_LINUX"},
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Case(
        inputs=lambda world: {
            "clusterName": entry(world)["clusterName"],
            "principalArn": PRINCIPAL,
            "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
            "accessScope": {"type": "cluster"},
        },
        replace={"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy"},
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Case(
        inputs=lambda world: {
            "clusterName": cluster(world).id,
            "namespace": "pipelines",
            "serviceAccount": "runner",
            "roleArn": role(world, "pods.eks.amazonaws.com", "pods")["arn"],
            **TAGS,
        },
        change=lambda world: {"roleArn": role(world, "pods.eks.amazonaws.com", "pods2")["arn"]},
        replace={"serviceAccount": "other"},
    ),
}


def cache_user(world: World) -> Any:
    return world.create(
        "aws:elasticache/user:User",
        {
            "userId": "default-off",
            "userName": "default",
            "engine": "valkey",
            "accessString": "off -@all",
            "noPasswordRequired": True,
        },
        name="user",
    )


CACHE_USER_CASES = {
    "aws:elasticache/user:User": Case(
        inputs=const(
            userId="reader",
            userName="reader",
            engine="valkey",
            accessString="on ~* +@read",
            passwords=["a-long-enough-password"],
        ),
        change={"accessString": "on ~feast:* +@read"},
        replace={"userName": "writer"},
        unimported=("passwords",),
    ),
    "aws:elasticache/userGroup:UserGroup": Case(
        inputs=lambda world: {
            "userGroupId": "everyone",
            "engine": "valkey",
            "userIds": [cache_user(world).id],
        },
        replace={"userGroupId": "another"},
    ),
}

RDS_CASES = {
    "aws:rds/subnetGroup:SubnetGroup": Case(
        inputs=lambda world: {"subnetIds": [each.id for each in subnets(world)], **TAGS},
        change={"description": "changed", "tags": {"Name": "two"}},
        replace={"name": "another"},
    ),
    "aws:rds/parameterGroup:ParameterGroup": Case(
        inputs=const(
            family="postgres16",
            parameters=[{"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"}],
            **TAGS,
        ),
        change={"tags": {"Name": "two"}},
        replace={"family": "postgres17"},
    ),
    "aws:rds/instance:Instance": Case(
        inputs=const(
            instanceClass="db.t4g.micro",
            engine="postgres",
            engineVersion="16",
            allocatedStorage=20,
            dbName="mlflow",
            username="keeper",
            password="Secret-123",
            storageEncrypted=True,
            skipFinalSnapshot=True,
            **TAGS,
        ),
        change={"backupRetentionPeriod": 7, "instanceClass": "db.t4g.small"},
        replace={"username": "other"},
        unimported=("password", "skipFinalSnapshot"),
    ),
}


def scaled_table(world: World) -> str:
    table = world.create(
        "aws:dynamodb/table:Table",
        {
            "attributes": [{"name": "id", "type": "S"}],
            "hashKey": "id",
            "readCapacity": 1,
            "writeCapacity": 1,
        },
        name="scaled",
    )
    return f"table/{table.id}"


DIMENSION = {
    "serviceNamespace": "dynamodb",
    "scalableDimension": "dynamodb:table:ReadCapacityUnits",
}


def scaling_target(world: World) -> Any:
    return world.create(
        "aws:appautoscaling/target:Target",
        {**DIMENSION, "resourceId": scaled_table(world), "minCapacity": 1, "maxCapacity": 9},
        name="target",
    )


def tracking(target: int) -> Inputs:
    return {
        "targetTrackingScalingPolicyConfiguration": {
            "targetValue": target,
            "predefinedMetricSpecification": {
                "predefinedMetricType": "DynamoDBReadCapacityUtilization"
            },
        }
    }


SPENDING_CASES = {
    "aws:budgets/budget:Budget": Case(
        inputs=const(
            budgetType="COST",
            timeUnit="MONTHLY",
            limitAmount="100.0",
            limitUnit="USD",
            notifications=[
                {
                    "comparisonOperator": "GREATER_THAN",
                    "notificationType": "FORECASTED",
                    "threshold": 80,
                    "thresholdType": "PERCENTAGE",
                    "subscriberEmailAddresses": ["team@example.com"],
                }
            ],
        ),
        replace={"budgetType": "USAGE"},
    ),
    "aws:appautoscaling/target:Target": Case(
        inputs=lambda world: {
            **DIMENSION,
            "resourceId": scaled_table(world),
            "minCapacity": 1,
            "maxCapacity": 10,
        },
        change={"maxCapacity": 20},
        replace={"resourceId": "table/other"},
    ),
    "aws:appautoscaling/policy:Policy": Case(
        inputs=lambda world: {
            **DIMENSION,
            "resourceId": scaling_target(world)["resourceId"],
            "policyType": "TargetTrackingScaling",
            **tracking(70),
        },
        change=tracking(60),
        replace={"name": "another"},
    ),
}


def topic(world: World) -> Any:
    return world.create("aws:sns/topic:Topic", {}, name="topic")


def log_group(world: World) -> Any:
    return world.create("aws:cloudwatch/logGroup:LogGroup", {}, name="group")


def namespace(world: World) -> Any:
    return world.create(
        "aws:redshiftserverless/namespace:Namespace", {"namespaceName": "analytics"}, name="data"
    )


def mounting(action: str) -> str:
    return a_policy(action, Principal={"AWS": "*"})


SMALL_CASES = {
    "aws:redshiftserverless/namespace:Namespace": Case(
        inputs=const(namespaceName="analytics", manageAdminPassword=True),
        replace={"namespaceName": "another"},
    ),
    "aws:redshiftserverless/workgroup:Workgroup": Case(
        inputs=lambda world: {
            "namespaceName": namespace(world).id,
            "workgroupName": "analytics",
            "baseCapacity": 8,
            **TAGS,
        },
        change={"baseCapacity": 16, "tags": {"Name": "two"}},
        replace={"workgroupName": "another"},
    ),
    "aws:cloudwatch/logStream:LogStream": Case(
        inputs=lambda world: {"logGroupName": log_group(world).id, "name": "delivery"},
        replace={"name": "another"},
    ),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": Case(
        inputs=lambda world: {
            "fileSystemId": file_system(world).id,
            "policy": mounting("elasticfilesystem:ClientMount"),
        },
        change={"policy": mounting("elasticfilesystem:ClientWrite")},
        replace={"fileSystemId": "fs-else"},
    ),
    "aws:s3/bucketIntelligentTieringConfiguration:BucketIntelligentTieringConfiguration": Case(
        inputs=in_bucket(name="all", tierings=[{"accessTier": "ARCHIVE_ACCESS", "days": 90}]),
        change={"tierings": [{"accessTier": "ARCHIVE_ACCESS", "days": 120}]},
        replace={"name": "another"},
    ),
    "aws:sns/topicSubscription:TopicSubscription": Case(
        inputs=lambda world: {
            "topic": topic(world).id,
            "protocol": "email",
            "endpoint": "team@example.com",
        },
        replace={"endpoint": "others@example.com"},
    ),
}

CASES: Mapping[str, Case] = {
    **S3_CASES,
    **EC2_CASES,
    **KMS_CASES,
    **IAM_CASES,
    **DYNAMODB_CASES,
    **REDSHIFT_CASES,
    **SECRET_CASES,
    **CACHE_CASES,
    **EKS_CASES,
    **REGISTRY_CASES,
    **LOG_CASES,
    **GLUE_CASES,
    **EFS_CASES,
    **STREAM_CASES,
    **MACHINE_CASES,
    **WATCH_CASES,
    **ACCESS_CASES,
    **CACHE_USER_CASES,
    **RDS_CASES,
    **SPENDING_CASES,
    **SMALL_CASES,
}
