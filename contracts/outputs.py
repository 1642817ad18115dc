"""What an environment gives to the rooms that use it: the only thing they know about
infrastructure.

``infra`` exports it as the stack's outputs; ``data``, ``pipelines`` and ``serving`` read it. A
value that is a secret is not in it: only where the secret is kept. Each concern's outputs stand
beside its settings, in ``contracts/environment/``.
"""

from contracts.environment import PlatformOutputs
from contracts.environment.cache import CacheOutputs
from contracts.environment.cluster import ClusterOutputs
from contracts.environment.database import DatabaseOutputs
from contracts.environment.file_system import FileSystemOutputs
from contracts.environment.lake import CatalogOutputs, LakeOutputs
from contracts.environment.network import NetworkOutputs
from contracts.environment.on_cluster import ServiceOutputs
from contracts.environment.online_store import OnlineStoreOutputs
from contracts.environment.stream import StreamOutputs
from contracts.environment.warehouse import WarehouseOutputs

__all__ = [
    "CacheOutputs",
    "CatalogOutputs",
    "ClusterOutputs",
    "DatabaseOutputs",
    "FileSystemOutputs",
    "LakeOutputs",
    "NetworkOutputs",
    "OnlineStoreOutputs",
    "PlatformOutputs",
    "ServiceOutputs",
    "StreamOutputs",
    "WarehouseOutputs",
]
