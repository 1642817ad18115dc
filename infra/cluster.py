"""EKS: the Kubernetes API, its logs, its roles, and nodes by the environment's table."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_aws import eks, iam

from contracts.environment import Environment, NodeGroup
from infra.concern import Concern
from infra.log_groups import log_group
from infra.network import Network
from infra.policies import allow, document, trust

LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
CLUSTER_POLICIES: Final = ("AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController")
NODE_POLICIES: Final = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryPullOnly",
)
IMAGES: Final = {False: "AL2023_x86_64_STANDARD", True: "AL2023_x86_64_NVIDIA"}
"""Node images, without and with NVIDIA's drivers."""


class Cluster(Concern):
    """The cluster, its node groups and its identity provider."""

    def __init__(
        self,
        environment: Environment,
        *,
        network: Network,
        key_arns: dict[str, pulumi.Output[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cluster", environment, opts)
        self.settings = environment.cluster
        self.name = self.names.name("cluster")
        self.private_subnets = network.subnet_ids("private")
        self.cluster = self._cluster(network, key_arns)
        self.issuer = self.cluster.identities[0].oidcs[0].issuer
        iam.OpenIdConnectProvider(
            "issuer",
            url=self.issuer,
            client_id_lists=["sts.amazonaws.com"],
            tags=self.tags(self.name),
            opts=self.child(),
        )
        self.nodes = self._role("nodes", "ec2.amazonaws.com", NODE_POLICIES)
        self.node_groups = {
            group: self._node_group(group, facts)
            for group, facts in self.settings.node_groups.items()
        }
        self.register_outputs({})

    def _cluster(self, network: Network, key_arns: dict[str, pulumi.Output[str]]) -> eks.Cluster:
        logs = log_group(self, "control-plane", f"/aws/eks/{self.name}/cluster", key_arns["logs"])
        role, attached = self._role("control-plane", "eks.amazonaws.com", CLUSTER_POLICIES)
        key = iam.RolePolicy(
            "secrets-key",
            name="secrets-key",
            role=role.name,
            policy=document(
                allow(
                    "SecretsKey",
                    ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"],
                    [key_arns["cluster"]],
                )
            ),
            opts=self.child(),
        )
        public = self.settings.public_access
        return eks.Cluster(
            "cluster",
            name=self.name,
            version=self.settings.version,
            role_arn=role.arn,
            vpc_config={
                "subnet_ids": self.private_subnets,
                "endpoint_private_access": True,
                "endpoint_public_access": bool(public),
                "public_access_cidrs": list(public) or None,
            },
            access_config={
                "authentication_mode": "API",
                "bootstrap_cluster_creator_admin_permissions": True,
            },
            encryption_config={
                "resources": ["secrets"],
                "provider": {"key_arn": key_arns["cluster"]},
            },
            enabled_cluster_log_types=list(LOGS),
            deletion_protection=self.environment.retention.protect,
            tags=self.tags(self.name),
            opts=self.child(holds_data=True, after=[logs, key, *attached]),
        )

    def _role(
        self, name: str, service: str, policies: tuple[str, ...]
    ) -> tuple[iam.Role, list[iam.RolePolicyAttachment]]:
        """A role with policies that AWS keeps; whoever needs the role waits for the attachments."""
        full = self.names.name("cluster", name)
        role = iam.Role(
            name,
            name=full,
            assume_role_policy=trust(service, actions=["sts:AssumeRole"]),
            permissions_boundary=self.environment.identity.boundary,
            tags=self.tags(full),
            opts=self.child(),
        )
        attached = [
            iam.RolePolicyAttachment(
                f"{name}-{policy}",
                role=role.name,
                policy_arn=self.names.managed_policy(policy),
                opts=self.child(),
            )
            for policy in policies
        ]
        return role, attached

    def _node_group(self, name: str, group: NodeGroup) -> eks.NodeGroup:
        role, attached = self.nodes
        full = self.names.name(name)
        return eks.NodeGroup(
            name,
            cluster_name=self.cluster.name,
            node_group_name=full,
            node_role_arn=role.arn,
            subnet_ids=self.private_subnets,
            ami_type=IMAGES[group.gpu],
            capacity_type="SPOT" if group.spot else "ON_DEMAND",
            instance_types=list(group.instance_types),
            disk_size=group.disk,
            scaling_config={
                "min_size": group.min,
                "max_size": group.max,
                "desired_size": group.min,
            },
            update_config={"max_unavailable_percentage": 33},
            labels={"millwright/group": name, **group.labels},
            taints=[
                {"key": taint.key, "value": taint.value, "effect": taint.effect}
                for taint in group.taints
            ],
            tags=self.tags(full),
            # The autoscaler moves the size between min and max; a deployment must not move it back.
            opts=pulumi.ResourceOptions.merge(
                self.child(after=attached),
                pulumi.ResourceOptions(ignore_changes=["scalingConfig.desiredSize"]),
            ),
        )
