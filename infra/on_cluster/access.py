"""How Pulumi reaches the cluster: the credentials of whoever deploys, through EKS's own token.

Nothing secret is kept: the token is made by the AWS CLI when it is needed.
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes

from infra.cluster import Cluster
from infra.on_cluster.part import Site


def kubeconfig(site: Site) -> pulumi.Output[str]:
    """How kubectl and the provider reach the cluster, as JSON."""
    name, cluster = site.platform[Cluster].name, site.platform[Cluster].cluster
    arguments = ["eks", "get-token", "--cluster-name", name, "--region", site.environment.region]
    return pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": cluster.endpoint,
                        "certificate-authority-data": cluster.certificate_authority.data,
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "exec": {
                            "apiVersion": "client.authentication.k8s.io/v1",
                            "interactiveMode": "Never",
                            "command": "aws",
                            "args": [*arguments, "--output", "json"],
                        }
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def provider(site: Site) -> pulumi_kubernetes.Provider:
    """Kubernetes in this environment's cluster.

    Another cluster of the same name is another provider, which its name in AWS settles; objects
    that a chart has made already (the namespace that a kustomization brings, say) are taken over.
    """
    cluster = site.platform[Cluster]
    return pulumi_kubernetes.Provider(
        "kubernetes",
        kubeconfig=kubeconfig(site),
        cluster_identifier=cluster.cluster.arn,
        enable_server_side_apply=True,
        upsert_existing_objects=True,
        opts=pulumi.ResourceOptions(depends_on=list(cluster.node_groups.values())),
    )
