"""KEDA: model servers follow their load, down to nothing where the model allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(name="keda", repository="https://kedacore.github.io/charts", version="2.20.2")
NAMESPACE: Final = "keda"


@dataclass(frozen=True, kw_only=True)
class KedaReplicas:
    """How many of one of its processes."""

    replica_count: int


@dataclass(frozen=True, kw_only=True)
class KedaValues:
    """Of kedacore/keda."""

    operator: KedaReplicas
    metrics_server: KedaReplicas
    webhooks: KedaReplicas


class Keda(Part):
    """The autoscaler's controllers."""

    part = "keda"
    component = "keda"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        each = KedaReplicas(replica_count=site.replicas)
        values = KedaValues(operator=each, metrics_server=each, webhooks=each)
        self.ready = [self.release("keda", CHART, NAMESPACE, values)]
        self.register_outputs({})
