"""EKS's add-ons, access entries and pod identity associations, and updates that can be followed.

moto has clusters, node groups and Fargate profiles only. What belongs to a cluster here is kept
in tables by (cluster, name) and goes with it; each kind is a few lines of facts (`Kind`) and the
code for all kinds is the same.

Source: https://docs.aws.amazon.com/eks/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import moto.eks.urls as urls
from moto.eks.responses import EKSResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add_operations
from pocket.emulator.eks import access_entries, addons, clusters, node_groups, pod_identity, tags

_PATHS = (
    *(
        "{0}/clusters/(?P<name>[^/]+)/" + path
        for collection in ("addons", "access-entries", "pod-identity-associations", "updates")
        for path in (f"{collection}$", f"{collection}/(?P<rest>.+)$")
    ),
    "{0}/clusters/(?P<name>[^/]+)/node-groups/(?P<nodegroupName>[^/]+)/update-version$",
    "{0}/addons/supported-versions$",
    "{0}/cluster-versions$",
)


def install(context: Context) -> None:
    """Give EKS the kinds that it lacks."""
    for path in _PATHS:
        urls.url_paths[path] = urls.response.dispatch
    for kind in (addons, access_entries, pod_identity, clusters):
        add_operations(EKSResponse, kind)
    clusters.follow_clusters()
    node_groups.follow_node_groups()
    tags.follow_tags()
