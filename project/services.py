"""The services of an environment, and how a command reaches one.

In this order: the address that a person gave, what runs on this machine, the address that the
outputs have, and a port-forward into the cluster that lasts as long as the command needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from contracts.errors import InfrastructureError
from contracts.outputs import ServiceOutputs

Service = Literal["tracking", "pipelines", "gateway"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What people know a service by.

    Args:
        title: its name in a sentence.
        option: the option that names an address of it.
    """

    title: str
    option: str


SERVICES: Final[dict[Service, Facts]] = {
    "tracking": Facts(title="MLflow", option="--mlflow"),
    "pipelines": Facts(title="Kubeflow Pipelines server", option="--kfp"),
    "gateway": Facts(title="front door", option="--gateway"),
}


@contextmanager
def reached(
    environment: str,
    service: Service,
    place: ServiceOutputs | None,
    configuration: Callable[[], Any],
) -> Iterator[str]:
    """A service's URL, by the environment's outputs.

    Args:
        environment: its name.
        service: which service.
        place: what the outputs say of it.
        configuration: gives the Kubernetes client's, where a port has to be forwarded.

    Raises:
        InfrastructureError: the environment has no such service, or it cannot be reached.
    """
    facts = SERVICES[service]
    if place is None:
        raise InfrastructureError(
            f"{environment} has no {facts.title}",
            where=f"its outputs: {service}",
            fix=f"Have it installed (on_cluster in Pulumi.{environment}.yaml), or name one with "
            f"{facts.option} URL.",
        )
    if place.url:
        yield place.url
        return
    from project.forward import forwarded

    with ExitStack() as stack:
        try:
            port = stack.enter_context(
                forwarded(configuration(), place.namespace, place.service, place.port)
            )
        except InfrastructureError as error:
            fix = f"{error.fix} Or name its address with {facts.option} URL.".strip()
            raise InfrastructureError(error.what, where=error.where, fix=fix) from None
        yield f"http://127.0.0.1:{port}"
