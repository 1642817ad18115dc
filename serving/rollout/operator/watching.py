"""What kopf calls when something happens in the cluster: it only wakes loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from contracts.backends import BACKENDS
from contracts.custom_resource import GROUP, ORDER, PLURAL, VERSION
from serving.rollout.backends import backend
from serving.rollout.kubernetes import configuration
from serving.rollout.operator.loops import Loops
from serving.rollout.operator.settings import OperatorSettings


def registry(settings: OperatorSettings, loops: Callable[[], Loops]) -> kopf.OperatorRegistry:
    """What kopf calls."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(configuration(settings.kubeconfig, settings.context))

    @kopf.on.startup(registry=made)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.peering.standalone = True
        settings.scanning.disabled = True  # No right to read CRDs and namespaces is needed.
        settings.posting.enabled = False  # Events are ours.
        settings.watching.server_timeout = 240
        settings.watching.reconnect_backoff = 1

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=made)
    async def seen(namespace: str | None, name: str | None, meta: Any, **_: Any) -> None:
        said = meta.get("annotations", {}).get(ORDER)
        what = (meta.get("uid"), meta.get("generation"), said, meta.get("deletionTimestamp"))
        loops().see(str(namespace), str(name), what)

    for serving in (backend(name) for name in BACKENDS):
        _, group, version = serving.kind[0].split("/")

        @kopf.on.event(
            group,
            version,
            serving.kind[1],
            labels={"app.kubernetes.io/managed-by": "millwright"},
            registry=made,
        )
        async def owned(namespace: str | None, name: str | None, **_: Any) -> None:
            loops().wake(str(namespace), str(name))

    @kopf.on.cleanup(registry=made)
    async def cleanup(**_: Any) -> None:
        await loops().stop()

    return made


def connection(given: Any) -> kopf.ConnectionInfo:
    """kopf's form of the Kubernetes client's configuration."""
    header = given.get_api_key_with_prefix("BearerToken") or given.get_api_key_with_prefix(
        "authorization"
    )
    scheme, _, token = (header or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=given.host,
        ca_path=given.ssl_ca_cert,
        insecure=not given.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=given.cert_file,
        private_key_path=given.key_file,
    )
