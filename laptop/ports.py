"""What a rollout needs of the world (`serving.rollout.ports`), as this machine has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.model import ServedModel
from contracts.rollout import Counters
from contracts.signals import SIGNALS, Source, tallies
from laptop.serving import LocalServing, PredictorCounters
from serving.rollout.aliases import ALIASES
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.seldon import seldon_deployment

if TYPE_CHECKING:
    from data.model_registry import ModelRegistry


class LocalDeployment:
    """A model's SeldonDeployment on this machine.

    Args:
        serving: the laptop's Seldon.
        model: the model's document.
    """

    def __init__(self, serving: LocalServing, model: ServedModel) -> None:
        self._serving = serving
        self._model = model

    def read(self) -> Mapping[str, Observed] | None:
        """Each predictor with the weight that Envoy confirms."""
        name = self._model.name
        if name not in self._serving.names():
            return {}
        self._serving.tick()
        observed: dict[str, Observed] = {}
        for state in self._serving.observe(name).predictors:
            if state.confirmed is None:
                return None
            observed[state.name] = Observed(
                ready=state.ready > 0, weight=state.confirmed, refusal=state.refusal
            )
        return observed

    def apply(self, predictors: Sequence[Predictor]) -> None:
        """Write the document; nothing at all is served when there are no predictors."""
        if predictors:
            self._serving.apply(seldon_deployment(self._model, predictors))
        else:
            self._serving.delete(self._model.name)


class LocalTelemetry:
    """Envoy's and the model servers' counters.

    Args:
        serving: the laptop's Seldon.
        model: the model's name.
    """

    def __init__(self, serving: LocalServing, model: str) -> None:
        self._serving = serving
        self._model = model

    def read(self) -> Mapping[str, Counters] | None:
        """Counters by predictor; None when Envoy does not answer."""
        if self._model not in self._serving.names():
            return None
        counted = self._serving.counters(self._model)
        return {name: counters(known) for name, known in counted.items()} or None


def counters(counted: PredictorCounters) -> Counters:
    """What the judge takes. A server that is silent makes its part *no data*, never less data."""
    made: dict[str, object] = {"epoch": counted.source}
    sources: list[Source] = ["gateway"]
    if counted.replicas and not counted.silent:
        sources.append("servers")
        made["servers"] = ",".join(sorted(replica.replica for replica in counted.replicas))
        made["predictions"] = counted.predictions
    counts = {row.name: counted.count(row.name) for source in sources for row in tallies(source)}
    for row in SIGNALS:  # Two numbers of one page may be of two moments.
        bad, total = counts.get(row.bad), counts.get(row.total)
        if bad is not None and total is not None:
            counts[row.bad] = min(bad, total)
    return Counters.model_validate(made | counts)


@dataclass(frozen=True)
class RegistryAliases:
    """Where a model's aliases are on this machine: the model registry.

    Args:
        registry: the model registry.
        model: the model's name.
    """

    registry: ModelRegistry
    model: str

    def get(self) -> dict[str, str | None]:
        """The version that each alias points at."""
        return {alias: self.registry.alias(self.model, alias) for alias in ALIASES}

    def put(self, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it."""
        if version is None:
            self.registry.delete_alias(self.model, alias)
        else:
            self.registry.set_alias(self.model, alias, version)
