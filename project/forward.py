"""Ports of a cluster's services on this machine, for as long as a command needs them.

MLflow, the pipelines server and the gateway may have addresses only inside the cluster. The
Kubernetes API forwards a pod's port over a websocket; here a socket on loopback is put before it,
so that any client can use it. A connection is forwarded to a pod that is ready when it is made:
one that is replaced meanwhile costs its own connections only.

Source: https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from kubernetes import client  # type: ignore[import-untyped,unused-ignore]
from kubernetes.client.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    ApiException,
)
from kubernetes.stream import portforward  # type: ignore[import-untyped,unused-ignore]
from urllib3.exceptions import HTTPError

from contracts.errors import InfrastructureError

log = structlog.get_logger(__name__)
CHUNK = 65536
TIMEOUT = (3.0, 15.0)
"""Seconds to connect and to wait for an answer of the API server."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A port of a pod."""

    pod: str
    port: int


@contextmanager
def forwarded(configuration: Any, namespace: str, service: str, port: int) -> Iterator[int]:
    """Reach a service of a cluster through a port on loopback, which is given.

    Args:
        configuration: the Kubernetes client's.
        namespace, service, port: the service, and its own port.

    Raises:
        InfrastructureError: there is no such service, or no pod of it is ready.
    """

    def find() -> Target:
        return find_target(client.ApiClient(configuration), namespace, service, port)

    def connect() -> Any:
        target = find()
        # The client's requests are diverted while a websocket is opened: each has its own client.
        api = client.CoreV1Api(client.ApiClient(configuration))
        return portforward(
            api.connect_get_namespaced_pod_portforward,
            target.pod,
            namespace,
            ports=str(target.port),
        ).socket(target.port)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                upstream = connect()
            except (ApiException, InfrastructureError, HTTPError, OSError) as error:
                log.warning("port-forward failed", service=f"{namespace}/{service}", error=error)
                return
            join(self.request, upstream)

    find()
    with _Server(("127.0.0.1", 0), Connection) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


def join(here: socket.socket, there: Any) -> None:
    """Hand bytes over in both directions until one side ends; then both are closed."""
    back = threading.Thread(target=_pump, args=(there, here), daemon=True)
    back.start()
    _pump(here, there)
    back.join()


def _pump(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def find_target(api_client: Any, namespace: str, service: str, port: int) -> Target:
    """A ready pod of a service, and the pod's port behind the service's.

    Raises:
        InfrastructureError: there is no such service or port, or no pod of it is ready.
    """
    api = client.CoreV1Api(api_client)
    where = f"{namespace}/{service}"
    try:
        spec = api.read_namespaced_service(service, namespace, _request_timeout=TIMEOUT).spec
        selector = ",".join(f"{key}={value}" for key, value in (spec.selector or {}).items())
        pods = api.list_namespaced_pod(
            namespace, label_selector=selector, _request_timeout=TIMEOUT
        ).items
    except ApiException as error:
        raise InfrastructureError(
            f"the cluster refuses ({error.status}): {error.reason}",
            where=where,
            fix="Is the service installed, and may you read services and pods there?",
        ) from None
    except (HTTPError, OSError) as error:
        raise InfrastructureError(
            f"the Kubernetes API does not answer: {type(error).__name__}", where=where
        ) from None
    ports = {each.port: each.target_port or each.port for each in spec.ports}
    if port not in ports:
        raise InfrastructureError(
            f"the service has no port {port}, but {', '.join(map(str, sorted(ports)))}",
            where=where,
        )
    ready = [pod for pod in pods if selector and _is_ready(pod)]
    if not ready:
        raise InfrastructureError(
            "the service has no pod that is ready",
            where=where,
            fix=f"See `kubectl -n {namespace} get pods`.",
        )
    pod = min(ready, key=lambda each: str(each.metadata.name))
    return Target(pod=pod.metadata.name, port=_number(pod, ports[port], where))


def _is_ready(pod: Any) -> bool:
    conditions = pod.status.conditions or ()
    return not pod.metadata.deletion_timestamp and any(
        condition.type == "Ready" and condition.status == "True" for condition in conditions
    )


def _number(pod: Any, port: int | str, where: str) -> int:
    """A pod's port by its number or its name."""
    if str(port).isdigit():
        return int(port)
    for container in pod.spec.containers:
        for named in container.ports or ():
            if named.name == port:
                return int(named.container_port)
    raise InfrastructureError(f"its pod has no port named {port!r}", where=where)
