"""The platform's workloads, and the service accounts that their pods run as.

What each may do is said by the concerns that grant it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Pods of one kind."""

    namespace: str
    service_account: str
    installed: bool = False
    """Whether it comes with what is installed in the cluster, and has no role without it."""


WORKLOADS: Final[dict[str, Workload]] = {
    "pipelines": Workload(namespace="kubeflow", service_account="pipeline-runner"),
    "training": Workload(namespace="training", service_account="training"),
    "serving": Workload(namespace="serving", service_account="serving"),
    "feature_server": Workload(namespace="features", service_account="feature-server"),
    "operator": Workload(namespace="millwright", service_account="millwright-operator"),
    "mlflow": Workload(namespace="mlflow", service_account="mlflow"),
    "spark": Workload(namespace="spark", service_account="spark"),
    "autoscaler": Workload(namespace="kube-system", service_account="cluster-autoscaler"),
    "secrets": Workload(
        namespace="external-secrets", service_account="external-secrets", installed=True
    ),
}
"""Every workload of the platform."""
