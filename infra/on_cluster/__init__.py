"""What runs in the cluster: namespaces first, then what everything needs, then the components.

The program declares charts, kustomizations and plain objects; Pulumi's Kubernetes provider
resolves them when it applies them to a real cluster. So a preview needs no network, and says what
would be installed, from where and with which values.
"""

from infra.on_cluster.concern import OnCluster

__all__ = ["OnCluster"]
