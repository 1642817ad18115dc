"""A role for each workload, with exactly the actions and the resources it needs.

Pods take their role through EKS Pod Identity: the trust names this cluster of this account, so
that a pod of another cluster cannot take it. Whom nobody grants anything has no role.
"""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_aws import eks

from contracts.document import suggest
from contracts.errors import InfrastructureError
from infra.cluster import POD_ACTIONS, POD_IDENTITY, Cluster
from infra.concern import AwsConcern, Outputs, Platform
from infra.policies import Statement
from infra.roles import Role, role
from infra.workloads import WORKLOADS, Workload


class Identity(AwsConcern):
    """The roles by workload, and the service accounts that have them.

    Raises:
        InfrastructureError: a concern grants something to a workload that there is not.
    """

    def __init__(self, platform: Platform) -> None:
        super().__init__("identity", platform)
        self.cluster = platform[Cluster].cluster
        rights = platform.grants()
        if unknown := sorted(rights.keys() - WORKLOADS.keys()):
            raise InfrastructureError(
                f"rights are granted to {unknown[0]!r}, which is no workload",
                where="infra/workloads.py",
                fix=suggest(unknown[0], list(WORKLOADS)),
            )
        installed = self.environment.on_cluster.enabled
        workloads = {
            name: workload
            for name, workload in WORKLOADS.items()
            if name in rights and (installed or not workload.installed)
        }
        self.roles = {name: self._role(name, rights[name]) for name in workloads}
        if self.environment.cluster.pod_identity:
            for name, workload in workloads.items():
                self._associate(name, workload)
        self.register_outputs({})

    def outputs(self) -> Outputs:
        """The roles."""
        return {"roles": {name: made.arn for name, made in self.roles.items()}}

    def _role(self, name: str, statements: Sequence[Statement]) -> Role:
        return role(
            self,
            name,
            service=POD_IDENTITY,
            description=f"What the {name.replace('_', ' ')} may do",
            full_name=self.names.name(name),
            actions=POD_ACTIONS,
            when={
                "StringEquals": {"aws:SourceAccount": self.environment.account},
                "ArnEquals": {"aws:SourceArn": self.cluster.arn},
            },
            statements=statements,
        )

    def _associate(self, name: str, workload: Workload) -> None:
        eks.PodIdentityAssociation(
            name,
            cluster_name=self.cluster.name,
            namespace=workload.namespace,
            service_account=workload.service_account,
            role_arn=self.roles[name].arn,
            tags=self.tags(self.names.name(name)),
            opts=self.child(after=self.roles[name].ready),
        )
