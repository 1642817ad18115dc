"""The operator as a process."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Any, cast

import kopf
import structlog
from tenacity import retry, retry_if_result, wait_fixed

from contracts.custom_resource import GROUP
from contracts.errors import MillwrightError, RolloutError
from serving.rollout.kubernetes import ROLLOUTS, Api, configuration
from serving.rollout.mlflow import MlflowServer
from serving.rollout.operator.loops import Loops
from serving.rollout.operator.metrics import Metrics
from serving.rollout.operator.pages import Pages
from serving.rollout.operator.settings import OperatorSettings, read
from serving.rollout.operator.stepper import Stepper
from serving.rollout.operator.watching import registry
from serving.rollout.prometheus import Prometheus

log = structlog.get_logger(__name__)


def run(settings: OperatorSettings) -> None:
    """Run until a signal ends it."""
    metrics = Metrics()
    api = Api(configuration(settings.kubeconfig, settings.context))
    stepper = Stepper(
        api,
        Prometheus(settings.prometheus),
        mlflow=MlflowServer(settings.mlflow) if settings.mlflow else None,
        image=settings.image,
        origins=settings.origins,
        metrics=metrics,
    )
    loops = Loops(stepper, metrics)
    pages = Pages(settings.listen, metrics, loops.healthy)
    log.info("started", namespace=settings.namespace or "all", prometheus=settings.prometheus)
    try:
        _wait_for_crd(api)
        kopf.run(
            registry=registry(settings, lambda: loops),
            # kopf would ask for the user's name, and a pod's user has none. As text: kopf exports
            # no type of it.
            identity=cast(Any, f"{GROUP}/{socket.gethostname()}"),
            standalone=True,
            clusterwide=settings.namespace is None,
            namespace=settings.namespace,
        )
    finally:
        pages.close()


@retry(wait=wait_fixed(2), retry=retry_if_result(lambda known: not known))
def _wait_for_crd(api: Api) -> bool:
    """Wait until the cluster knows ModelRollouts: kopf looks for them once, at its start."""
    try:
        known = api.serves(ROLLOUTS)
    except RolloutError as error:
        log.warning("waiting for the Kubernetes API", error=error.what)
        return False
    if not known:
        log.warning("the CRD is not installed", fix="kubectl apply -k manifests/operator")
    return known


def logs() -> None:
    """Structured lines on stderr, kopf's warnings among them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        level=logging.WARNING,
        format=json.dumps({"event": "%(message)s", "level": "%(levelname)s", "from": "%(name)s"}),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the operator."""
    try:
        settings = read(argv)
        logs()
        run(settings)
    except MillwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
