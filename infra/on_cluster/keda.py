"""KEDA: model servers follow their load, down to nothing where the model allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(name="keda", repository="https://kedacore.github.io/charts", version="2.20.2")
NAMESPACE: Final = "keda"


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """How many of one of its processes."""

    replica_count: int


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of kedacore/keda."""

    operator: Replicas
    metrics_server: Replicas
    webhooks: Replicas


class Keda(Part):
    """The autoscaler's controllers."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__("keda", site, opts)
        each = Replicas(replica_count=site.replicas)
        self.chart = self.release(
            "keda", CHART, NAMESPACE, Values(operator=each, metrics_server=each, webhooks=each)
        )
        self.register_outputs({})
