"""EKS: the Kubernetes API, its logs, who may use it, and nodes by the environment's table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from pulumi_aws import ec2, eks, iam

from contracts.environment import Environment
from contracts.environment.cluster import OWN_LABEL, NodeGroup
from infra.alarm import Alarm
from infra.concern import AwsConcern, DataClass, Outputs, Platform
from infra.keys import GRANT, USE, Keys
from infra.log_groups import log_group
from infra.naming import Names
from infra.network import Network
from infra.policies import Condition, Statement, allow
from infra.roles import Role, own_account, role
from infra.standing import SCALING, Scaling, scaling_of

LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
CLUSTER_POLICIES: Final = ("AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController")
NODE_POLICIES: Final = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryPullOnly",
)
POD_IDENTITY: Final = "pods.eks.amazonaws.com"
POD_ACTIONS: Final = ("sts:AssumeRole", "sts:TagSession")

ADDONS: Final[dict[str, dict[str, object]]] = {
    "vpc-cni": {"enableNetworkPolicy": "true"},
    "kube-proxy": {},
    "eks-pod-identity-agent": {},
    "coredns": {},
    "aws-ebs-csi-driver": {},
    "aws-efs-csi-driver": {},
}
"""What EKS installs in the cluster and keeps current, with its configuration."""
NEED_NODES: Final = ("coredns", "aws-ebs-csi-driver", "aws-efs-csi-driver")
"""Add-ons that are ready only once there are nodes to run on."""
DRIVERS: Final = {
    "aws-ebs-csi-driver": ("ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy"),
    "aws-efs-csi-driver": ("efs-csi-controller-sa", "service-role/AmazonEFSCSIDriverPolicy"),
}
"""Add-ons that call AWS: their service account, and the policy that AWS keeps for them."""
ACCESS: Final = {"admins": "AmazonEKSClusterAdminPolicy", "viewers": "AmazonEKSViewPolicy"}
"""Access policies by the environment's lists of people."""
SEE_NODES: Final = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
)


def by_autoscaling(names: Names) -> list[Statement]:
    """Autoscaling starts the nodes, with a role that AWS made once for the account."""
    service = "autoscaling.amazonaws.com"
    taken = f"role/aws-service-role/{service}/AWSServiceRoleForAutoScaling"
    principal = {"AWS": names.arn("iam", taken, regional=False)}
    grant: Condition = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    return [
        allow("UseByAutoscaling", USE, ["*"], to=principal),
        allow("GrantByAutoscaling", GRANT, ["*"], to=principal, when=grant),
    ]


class Cluster(AwsConcern):
    """The cluster, its node groups, its add-ons and its identity provider."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("cluster", platform)
        self.settings = platform.environment.cluster
        self.name = self.names.name("cluster")
        self.key_arns = platform[Keys].arns
        self.private_subnets = platform[Network].subnet_ids("private")
        self.cluster = self._cluster()
        self.issuer = self.cluster.identities[0].oidcs[0].issuer
        iam.OpenIdConnectProvider(
            "issuer",
            url=self.issuer,
            client_id_lists=["sts.amazonaws.com"],
            tags=self.tags(self.name),
            opts=self.child(),
        )
        self._let_in()
        early = [self._addon(name) for name in self._addons() if name not in NEED_NODES]
        self.nodes = role(
            self,
            "nodes",
            service="ec2.amazonaws.com",
            description="Nodes: join the cluster, pull images",
            full_name=self.names.name("cluster", "nodes"),
            managed=NODE_POLICIES,
        )
        self.node_groups = {
            name: self._node_group(name, group, early)
            for name, group in self.settings.node_groups.items()
        }
        for name in self._addons():
            if name in NEED_NODES:
                self._addon(name, after=list(self.node_groups.values()))
        self.register_outputs({})

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """Kubernetes' secrets, and the nodes' disks where they are ours to encrypt."""
        classes = {"cluster": DataClass()}
        if environment.cluster.hardened_nodes:
            classes["disks"] = DataClass(services=("ec2",), statements=by_autoscaling)
        return classes

    def alarms(self) -> list[Alarm]:
        """A Kubernetes API that fails."""
        return [
            Alarm(
                name="cluster-failing",
                description="The Kubernetes API answers with server errors",
                namespace="AWS/EKS",
                metric="apiserver_request_total_5XX",
                dimensions={"ClusterName": self.cluster.name},
                threshold=25,
                statistic="Sum",
            )
        ]

    def grants(self) -> dict[str, Sequence[Statement]]:
        """See which nodes there could be, and size this cluster's groups."""
        sizes = ("SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup")
        owned = f"aws:ResourceTag/k8s.io/cluster-autoscaler/{self.name}"
        scale = [
            allow(
                "SeeNodes",
                SEE_NODES,
                # These actions know no resource.
                ["*"],
                when={"StringEquals": {"aws:RequestedRegion": self.names.region}},
            ),
            allow(
                "SeeGroups",
                ["eks:DescribeNodegroup"],
                [group.arn for group in self.node_groups.values()],
            ),
            allow(
                "SizeGroups",
                [f"autoscaling:{action}" for action in sizes],
                [self.names.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")],
                when={"StringEquals": {owned: "owned"}},
            ),
        ]
        return {"autoscaler": scale}

    def outputs(self) -> Outputs:
        """Where the Kubernetes API is."""
        return {
            "cluster": {
                "name": self.cluster.name,
                "endpoint": self.cluster.endpoint,
                "oidc_issuer": self.issuer,
            }
        }

    def _cluster(self) -> eks.Cluster:
        key_arn = self.key_arns["cluster"]
        path = f"/aws/eks/{self.name}/cluster"
        logs = log_group(self, "control-plane", path, self.key_arns["logs"])
        control_plane = role(
            self,
            "control-plane",
            service="eks.amazonaws.com",
            description="EKS: run the control plane",
            full_name=self.names.name("cluster", "control-plane"),
            statements=[
                allow(
                    "SecretsKey",
                    ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"],
                    [key_arn],
                )
            ],
            managed=CLUSTER_POLICIES,
        )
        public = self.settings.public_access
        return eks.Cluster(
            "cluster",
            name=self.name,
            version=self.settings.version,
            role_arn=control_plane.arn,
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
            encryption_config={"resources": ["secrets"], "provider": {"key_arn": key_arn}},
            enabled_cluster_log_types=list(LOGS),
            deletion_protection=self.environment.retention.protect,
            tags=self.tags(self.name),
            opts=self.child(holds_data=True, after=[logs, *control_plane.ready]),
        )

    def _let_in(self) -> None:
        """Who may use the Kubernetes API, by IAM alone: there is no ConfigMap to edit by hand."""
        for access, policy in ACCESS.items():
            for principal in getattr(self.settings, access):
                name = principal.rsplit("/", 1)[1]
                entry = eks.AccessEntry(
                    f"{access}-{name}",
                    cluster_name=self.cluster.name,
                    principal_arn=principal,
                    tags=self.tags(self.names.name(name)),
                    opts=self.child(),
                )
                eks.AccessPolicyAssociation(
                    f"{access}-{name}",
                    cluster_name=self.cluster.name,
                    principal_arn=entry.principal_arn,
                    policy_arn=f"arn:{self.names.partition}:eks::aws:cluster-access-policy/{policy}",
                    access_scope={"type": "cluster"},
                    opts=self.child(),
                )

    def _addons(self) -> tuple[str, ...]:
        return tuple(ADDONS) if self.settings.addons else ()

    def _addon(self, name: str, after: list[pulumi.Resource] | None = None) -> eks.Addon:
        associations: list[eks.AddonPodIdentityAssociationArgsDict] = []
        if name in DRIVERS:
            account, policy = DRIVERS[name]
            driver = self._driver_role(name, policy)
            associations = [{"service_account": account, "role_arn": driver.arn}]
        configuration = ADDONS[name]
        return eks.Addon(
            name,
            cluster_name=self.cluster.name,
            addon_name=name,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            configuration_values=json.dumps(configuration) if configuration else None,
            pod_identity_associations=associations or None,
            tags=self.tags(self.names.name(name)),
            opts=self.child(after=after or ()),
        )

    def _driver_role(self, name: str, policy: str) -> Role:
        return role(
            self,
            name,
            service=POD_IDENTITY,
            description=f"The cluster's {name}",
            full_name=self.names.name("cluster", name),
            actions=POD_ACTIONS,
            when=own_account(self),
            managed=[policy],
        )

    def _node_group(self, name: str, group: NodeGroup, early: list[eks.Addon]) -> eks.NodeGroup:
        hardened = self._launch_template(name, group) if self.settings.hardened_nodes else None
        full = self.names.name(name)
        before = scaling_of(self, self.name, full)
        # The autoscaler moves the size between min and max; a deployment must not move it back.
        size = (before or Scaling(group.min, group.max, group.min)).within(group.min, group.max)
        return eks.NodeGroup(
            name,
            cluster_name=self.cluster.name,
            node_group_name=full,
            node_role_arn=self.nodes.arn,
            subnet_ids=self.private_subnets,
            ami_type=group.machine.image,
            capacity_type="SPOT" if group.spot else "ON_DEMAND",
            instance_types=list(group.instance_types),
            disk_size=None if hardened else group.disk,
            launch_template={
                "id": hardened.id,
                "version": hardened.latest_version.apply(str),
            }
            if hardened
            else None,
            scaling_config={
                "min_size": size.least,
                "max_size": size.most,
                "desired_size": size.desired,
            },
            update_config={"max_unavailable_percentage": 33},
            labels={OWN_LABEL: name, **group.labels},
            taints=[
                {"key": taint.key, "value": taint.value, "effect": taint.effect}
                for taint in group.taints
            ],
            tags=self.tags(full),
            opts=pulumi.ResourceOptions.merge(
                self.child(after=[*self.nodes.ready, *early]),
                pulumi.ResourceOptions(ignore_changes=list(SCALING) if size == before else None),
            ),
        )

    def _launch_template(self, name: str, group: NodeGroup) -> ec2.LaunchTemplate:
        """Disks under our key; the instance's metadata, and so its role, out of the pods' reach."""
        full = self.names.name(name)
        tags = self.tags(full)
        return ec2.LaunchTemplate(
            name,
            name=full,
            description=f"Nodes of the group {name}",
            update_default_version=True,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
            },
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "volume_size": group.disk,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "kms_key_id": self.key_arns["disks"],
                        "delete_on_termination": "true",
                    },
                }
            ],
            tag_specifications=[
                {"resource_type": kind, "tags": tags} for kind in ("instance", "volume")
            ],
            tags=tags,
            opts=self.child(),
        )
