"""The serving systems that a cluster can serve models with, one row each.

A row is what others than the backend itself have to know of it: clients where a model answers, a
plan how finely its traffic can be shared out. The rest is in the module that it names, which is
loaded when a model asks for it; so that another serving system is a package and a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.document import suggest


@dataclass(frozen=True, kw_only=True)
class BackendFacts:
    """What is known of a serving system.

    Args:
        name: as `serving.backend` names it.
        title: its own name.
        prefix: the path in front of a model's own, with {namespace} and {model}; no slash at its
            end.
        finest: the smallest share of the traffic that it can express, in 1/10000.
        module: where its `ServingBackend` is, as `BACKEND`.
    """

    name: str
    title: str
    prefix: str
    finest: int
    module: str

    def path(self, namespace: str, model: str) -> str:
        """The path in front of a model's own."""
        return self.prefix.format(namespace=namespace, model=model)


SELDON = BackendFacts(
    name="seldon",
    title="Seldon",
    prefix="/seldon/{namespace}/{model}",
    finest=100,  # its `traffic` is a whole percentage
    module="serving.rollout.seldon",
)

BACKENDS: dict[str, BackendFacts] = {
    SELDON.name: SELDON,
}
"""By name."""


def known_backend(name: str) -> str:
    """The name, if there is such a backend; for pydantic.

    Raises:
        ValueError: there is none; with the one that was probably meant.
    """
    if name not in BACKENDS:
        raise ValueError(f"{name!r} is not known; {suggest(name, list(BACKENDS))}")
    return name
