"""SeldonDeployments as local processes behind one Envoy.

The laptop's stand-in for Seldon Core and Istio: the same documents, paths and weights, real model
servers and a real data plane. See `laptop.serving.serving` for how it acts.
"""

from laptop.serving.serving import LocalServing
from laptop.serving.state import PredictorState, ServingState
from laptop.serving.telemetry import PredictorCounters, ReplicaCounters

__all__ = [
    "LocalServing",
    "PredictorCounters",
    "PredictorState",
    "ReplicaCounters",
    "ServingState",
]
