"""Kubernetes clusters, and machines for them."""

import json
from typing import Any

from pocket_testing.provider_cases.analytics import delivery
from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    cluster,
    const,
    disks,
    in_cluster,
    role,
    subnets,
)
from pocket_testing.provider_world import World

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


def entry(world: World) -> Any:
    return world.create(
        "aws:eks/accessEntry:AccessEntry",
        {"clusterName": cluster(world).id, "principalArn": PRINCIPAL},
        name="entry",
    )


PRINCIPAL = "arn:aws:iam::123456789012:role/people"
ACCESS_CASES = {
    "aws:eks/addon:Addon": Case(
        inputs=in_cluster(
            addonName="coredns", configurationValues=json.dumps({"replicaCount": 2}), **TAGS
        ),
        change={"configurationValues": json.dumps({"replicaCount": 3})},
        replace={"addonName": "vpc-cni"},
    ),
    "aws:eks/accessEntry:AccessEntry": Case(
        inputs=in_cluster(principalArn=PRINCIPAL, kubernetesGroups=["editors"], **TAGS),
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
