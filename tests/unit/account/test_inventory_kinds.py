"""Nothing that the program can make escapes the proof that nothing is left."""

from __future__ import annotations

from account.inventory import kinds
from account.teardown import REMOVALS
from pocket.provider.types import TABLE

SEEN = {
    "appautoscaling/target": ("application-autoscaling", "scalable-target"),
    "athena/workgroup": ("athena", "workgroup"),
    "budgets/budget": ("budgets", "budget"),
    "cloudwatch/dashboard": ("cloudwatch", "dashboard"),
    "cloudwatch/logGroup": ("logs", "log-group"),
    "cloudwatch/metricAlarm": ("cloudwatch", "alarm"),
    "dynamodb/table": ("dynamodb", "table"),
    "ec2/eip": ("ec2", "elastic-ip"),
    "ec2/flowLog": ("ec2", "vpc-flow-log"),
    "ec2/internetGateway": ("ec2", "internet-gateway"),
    "ec2/launchTemplate": ("ec2", "launch-template"),
    "ec2/natGateway": ("ec2", "natgateway"),
    "ec2/routeTable": ("ec2", "route-table"),
    "ec2/securityGroup": ("ec2", "security-group"),
    "ec2/subnet": ("ec2", "subnet"),
    "ec2/vpc": ("ec2", "vpc"),
    "ec2/vpcEndpoint": ("ec2", "vpc-endpoint"),
    "ecr/repository": ("ecr", "repository"),
    "efs/accessPoint": ("efs", "access-point"),
    "efs/fileSystem": ("efs", "file-system"),
    "eks/cluster": ("eks", "cluster"),
    "elasticache/parameterGroup": ("elasticache", "parametergroup"),
    "elasticache/replicationGroup": ("elasticache", "replicationgroup"),
    "elasticache/subnetGroup": ("elasticache", "subnetgroup"),
    "elasticache/user": ("elasticache", "user"),
    "elasticache/userGroup": ("elasticache", "usergroup"),
    "glue/catalogDatabase": ("glue", "database"),
    "iam/instanceProfile": ("iam", "instance-profile"),
    "iam/openIdConnectProvider": ("iam", "oidc-provider"),
    "iam/policy": ("iam", "policy"),
    "iam/role": ("iam", "role"),
    "kinesis/firehoseDeliveryStream": ("firehose", "deliverystream"),
    "kinesis/stream": ("kinesis", "stream"),
    "kms/alias": ("kms", "alias"),
    "kms/key": ("kms", "key"),
    "rds/instance": ("rds", "db"),
    "rds/parameterGroup": ("rds", "pg"),
    "rds/subnetGroup": ("rds", "subgrp"),
    "redshift/cluster": ("redshift", "cluster"),
    "redshift/parameterGroup": ("redshift", "parametergroup"),
    "redshift/subnetGroup": ("redshift", "subnetgroup"),
    "redshiftserverless/namespace": ("redshift-serverless", "namespace"),
    "redshiftserverless/workgroup": ("redshift-serverless", "workgroup"),
    "s3/bucket": ("s3", "bucket"),
    "secretsmanager/secret": ("secretsmanager", "secret"),
    "sns/topic": ("sns", "topic"),
}
"""What is looked for by itself."""
PARTS = {
    "appautoscaling/policy": "appautoscaling/target",
    "cloudwatch/logStream": "cloudwatch/logGroup",
    "ec2/defaultSecurityGroup": "ec2/vpc",
    "ec2/route": "ec2/routeTable",
    "ec2/routeTableAssociation": "ec2/routeTable",
    "ecr/lifecyclePolicy": "ecr/repository",
    "efs/backupPolicy": "efs/fileSystem",
    "efs/fileSystemPolicy": "efs/fileSystem",
    "efs/mountTarget": "efs/fileSystem",
    "eks/accessEntry": "eks/cluster",
    "eks/accessPolicyAssociation": "eks/cluster",
    "eks/addon": "eks/cluster",
    "eks/nodeGroup": "eks/cluster",
    "eks/podIdentityAssociation": "eks/cluster",
    "glue/catalogTable": "glue/catalogDatabase",
    "iam/rolePolicy": "iam/role",
    "iam/rolePolicyAttachment": "iam/role",
    "redshift/logging": "redshift/cluster",
    "s3/bucketIntelligentTieringConfiguration": "s3/bucket",
    "s3/bucketLifecycleConfiguration": "s3/bucket",
    "s3/bucketLogging": "s3/bucket",
    "s3/bucketOwnershipControls": "s3/bucket",
    "s3/bucketPolicy": "s3/bucket",
    "s3/bucketPublicAccessBlock": "s3/bucket",
    "s3/bucketServerSideEncryptionConfiguration": "s3/bucket",
    "s3/bucketVersioning": "s3/bucket",
    "secretsmanager/secretVersion": "secretsmanager/secret",
    "sns/topicSubscription": "sns/topic",
    "vpc/securityGroupEgressRule": "ec2/securityGroup",
    "vpc/securityGroupIngressRule": "ec2/securityGroup",
}
"""What cannot be without the other: AWS deletes it with that, or that not before it."""


def test_every_type_of_the_provider_is_looked_for_or_is_part_of_what_is() -> None:
    types = {token.split(":")[1] for token in TABLE}
    assert types == SEEN.keys() | PARTS.keys()
    assert set(PARTS.values()) <= SEEN.keys()
    assert set(SEEN.values()) <= kinds()


def test_what_is_removed_is_looked_for() -> None:
    assert set(REMOVALS) <= kinds()
