"""Which things of AWS pass through which states, and the methods that begin it: a table.

``states`` says what a passing state is; here moto's methods are wrapped so that what they make,
change and delete enters one, and so that they refuse meanwhile what AWS refuses.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.base_backend import BaseBackend

from pocket.emulator.core.errors import RefusedError
from pocket.emulator.core.states import Place, States, read_state

Arguments = Mapping[str, Any]


def _in(table: str, name: str, result: str = "") -> Callable[[Any, Arguments], Place]:
    """Things in a backend's table, by an argument or (of what was just made) by an attribute."""

    def find(backend: Any, given: Arguments) -> Place:
        return getattr(backend, table), given.get(name) or getattr(given["result"], result or name)

    return find


def _itself(owner: Any) -> BaseBackend:
    backend: BaseBackend = owner
    return backend


@dataclass(frozen=True)
class Words:
    """AWS's names of the states of a kind of thing."""

    creating: str = "creating"
    settled: str = "available"
    changing: str = "modifying"
    deleting: str = "deleting"


CAPITALS = Words("CREATING", "ACTIVE", "UPDATING", "DELETING")
"""As the younger services write them."""
PENDING = Words(creating="pending")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A kind of thing.

    Args:
        service: moto's name of the service.
        owner: module and class of the methods: a backend, or what answers its requests.
        find: where a thing is, from the owner and the method's arguments (and its ``result``).
        attribute: where the state stands.
        words: the states' names.
        made, changed, deleted: the methods that do it. What is ``deleted`` by a method that leaves
            the thing in its table stays there, as AWS shows it for an hour.
        busy: AWS's error when a thing is to be changed or deleted in a passing state.
        backend: the backend of an owner.
    """

    service: str
    owner: str
    find: Callable[[Any, Arguments], Place]
    attribute: str = "status"
    words: Words = Words()
    made: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    busy: str = ""
    backend: Callable[[Any], BaseBackend] = _itself


def _stream(backend: Any, given: Arguments) -> Place:
    if "result" in given and given.get("stream_name"):
        return backend.streams, given["stream_name"]
    stream = backend.describe_stream(
        stream_arn=given.get("stream_arn"), stream_name=given.get("stream_name")
    )
    return backend.streams, stream.stream_name


def _node_group(backend: Any, given: Arguments) -> Place:
    return backend.clusters[given["cluster_name"]].nodegroups, given["nodegroup_name"]


def _addon(response: Any, given: Arguments) -> Place:
    from pocket.emulator.eks.kinds import addon_place  # loads moto's EKS, which not all need

    return addon_place(response)


def _replication_group(response: Any, given: Arguments) -> Place:
    groups = response.elasticache_backend.replication_groups
    return groups, response._get_param("ReplicationGroupId")


def _warehouse(response: Any, given: Arguments) -> Place:
    return response.redshift_backend.clusters, response._get_param("ClusterIdentifier")


def _file_system(response: Any, given: Arguments) -> Place:
    return response.efs_backend.file_systems_by_id, response._get_param("FileSystemId")


ROWS: tuple[Row, ...] = (
    Row(
        service="redshift",
        owner="moto.redshift.models:RedshiftBackend",
        find=_in("clusters", "cluster_identifier"),
        made=("create_cluster", "restore_from_cluster_snapshot"),
        changed=("modify_cluster",),
        deleted=("delete_cluster",),
        busy="InvalidClusterState",
    ),
    Row(
        service="redshift",
        owner="moto.redshift.responses:RedshiftResponse",
        find=_warehouse,
        words=Words(changing="resizing"),
        changed=("resize_cluster",),
        busy="InvalidClusterState",
        backend=lambda owner: owner.redshift_backend,
    ),
    Row(
        service="rds",
        owner="moto.rds.models:RDSBackend",
        find=_in("databases", "db_instance_identifier"),
        made=("create_db_instance",),
        changed=("modify_db_instance",),
        deleted=("delete_db_instance",),
        busy="InvalidDBInstanceState",
    ),
    Row(
        service="eks",
        owner="moto.eks.models:EKSBackend",
        find=_in("clusters", "name"),
        made=("create_cluster",),
        changed=("update_cluster_config",),
        deleted=("delete_cluster",),
        busy="ResourceInUseException",
        words=CAPITALS,
    ),
    Row(
        service="eks",
        owner="moto.eks.models:EKSBackend",
        find=_node_group,
        made=("create_nodegroup",),
        changed=("update_nodegroup_config",),
        deleted=("delete_nodegroup",),
        busy="ResourceInUseException",
        words=CAPITALS,
    ),
    Row(
        service="eks",
        owner="moto.eks.responses:EKSResponse",
        find=_addon,
        made=("create_addon",),
        changed=("update_addon",),
        deleted=("delete_addon",),
        busy="ResourceInUseException",
        backend=lambda owner: owner.eks_backend,
        words=CAPITALS,
    ),
    Row(
        service="elasticache",
        owner="moto.elasticache.models:ElastiCacheBackend",
        find=_in("replication_groups", "replication_group_id"),
        made=("create_replication_group",),
        deleted=("delete_replication_group",),
        busy="InvalidReplicationGroupState",
    ),
    Row(
        service="elasticache",
        owner="moto.elasticache.responses:ElastiCacheResponse",
        find=_replication_group,
        changed=("modify_replication_group", "increase_replica_count", "decrease_replica_count"),
        busy="InvalidReplicationGroupState",
        backend=lambda owner: owner.elasticache_backend,
    ),
    Row(
        service="elasticache",
        owner="moto.elasticache.models:ElastiCacheBackend",
        find=_in("cache_clusters", "cache_cluster_id"),
        attribute="cache_cluster_status",
        made=("create_cache_cluster",),
        deleted=("delete_cache_cluster",),
        busy="InvalidCacheClusterState",
    ),
    Row(
        service="efs",
        owner="moto.efs.models:EFSBackend",
        find=_in("file_systems_by_id", "file_system_id"),
        attribute="life_cycle_state",
        made=("create_file_system",),
        deleted=("delete_file_system",),
        busy="IncorrectFileSystemLifeCycleState",
    ),
    Row(
        service="efs",
        owner="moto.efs.responses:EFSResponse",
        find=_file_system,
        attribute="life_cycle_state",
        words=Words(changing="updating"),
        changed=("update_file_system",),
        busy="IncorrectFileSystemLifeCycleState",
        backend=lambda owner: owner.efs_backend,
    ),
    Row(
        service="efs",
        owner="moto.efs.models:EFSBackend",
        find=_in("mount_targets_by_id", "mount_target_id"),
        attribute="life_cycle_state",
        made=("create_mount_target",),
        deleted=("delete_mount_target",),
        busy="IncorrectMountTargetState",
    ),
    Row(
        service="firehose",
        owner="moto.firehose.models:FirehoseBackend",
        find=_in("delivery_streams", "delivery_stream_name"),
        attribute="delivery_stream_status",
        made=("create_delivery_stream",),
        deleted=("delete_delivery_stream",),
        busy="ResourceInUseException",
        words=CAPITALS,
    ),
    Row(
        service="kinesis",
        owner="moto.kinesis.models:KinesisBackend",
        find=_stream,
        made=("create_stream",),
        changed=(
            *("update_stream_mode", "update_shard_count", "start_stream_encryption"),
            *("increase_stream_retention_period", "decrease_stream_retention_period"),
            "stop_stream_encryption",
        ),
        deleted=("delete_stream",),
        busy="ResourceInUseException",
        words=CAPITALS,
    ),
    Row(
        service="ec2",
        owner="moto.ec2.models:EC2Backend",
        find=_in("nat_gateways", "nat_gateway_id", "id"),
        attribute="state",
        words=PENDING,
        made=("create_nat_gateway",),
        deleted=("delete_nat_gateway",),
    ),
    Row(
        service="ec2",
        owner="moto.ec2.models:EC2Backend",
        find=_in("vpc_end_points", "vpc_end_point_id", "id"),
        attribute="state",
        words=PENDING,
        made=("create_vpc_endpoint",),
    ),
)


def install(states: States, service: str) -> None:
    """Let a service's things pass through their states."""
    for row in ROWS:
        if row.service == service:
            module, _, name = row.owner.partition(":")
            owner = getattr(importlib.import_module(module), name)
            for methods, wrap in (
                (row.made, _making),
                (row.changed, _changing),
                (row.deleted, _deleting),
            ):
                for method in methods:
                    original = getattr(owner, method)
                    setattr(owner, method, wrap(states, row, original))


Method = Callable[..., Any]


def _making(states: States, row: Row, original: Method) -> Method:
    @functools.wraps(original)
    def make(owner: Any, *given: Any, **asked: Any) -> Any:
        if not states.delay:
            return original(owner, *given, **asked)
        result = original(owner, *given, **asked)
        table, key = row.find(owner, _arguments(original, owner, given, asked, result))
        states.enter(
            row.backend(owner), table[key], row.attribute, (row.words.creating, row.words.settled)
        )
        return result

    return make


def _changing(states: States, row: Row, original: Method) -> Method:
    @functools.wraps(original)
    def change(owner: Any, *given: Any, **asked: Any) -> Any:
        if not states.delay:
            return original(owner, *given, **asked)
        table, key = row.find(owner, _arguments(original, owner, given, asked))
        _refuse_busy(states, row, owner, table.get(key), key)
        result = original(owner, *given, **asked)
        if key in table:
            states.enter(
                row.backend(owner),
                table[key],
                row.attribute,
                (row.words.changing, row.words.settled),
            )
        return result

    return change


def _deleting(states: States, row: Row, original: Method) -> Method:
    @functools.wraps(original)
    def delete(owner: Any, *given: Any, **asked: Any) -> Any:
        if not states.delay:
            return original(owner, *given, **asked)
        table, key = row.find(owner, _arguments(original, owner, given, asked))
        thing = table.get(key)
        gone = thing is not None and states.passes(row.backend(owner), thing) == row.words.deleting
        if gone and row.backend is _itself:
            return thing
        _refuse_busy(states, row, owner, thing, key)
        result = original(owner, *given, **asked)
        if thing is not None:
            stays = table.get(key) is thing
            settled = str(read_state(thing, row.attribute)) if stays else row.words.deleting
            table[key] = thing
            leaves = None if stays else (table, key)
            states.enter(
                row.backend(owner), thing, row.attribute, (row.words.deleting, settled), leaves
            )
        return result

    return delete


def _arguments(
    method: Method, owner: Any, given: tuple[Any, ...], asked: dict[str, Any], result: Any = None
) -> Arguments:
    """A call's arguments by name; those in a dict (``db_kwargs``) beside the others."""
    bound = inspect.signature(method).bind(owner, *given, **asked).arguments
    found = dict(bound)
    for name, value in bound.items():
        if name.endswith("kwargs") and isinstance(value, dict):
            found.update(value)
    found.update(asked)
    return {**found, "result": result} if result is not None else found


def _refuse_busy(states: States, row: Row, owner: Any, thing: Any, key: str) -> None:
    """
    Raises:
        RefusedError: the thing is in a passing state, and AWS does nothing else to it then.
    """
    state = states.passes(row.backend(owner), thing) if thing is not None and row.busy else ""
    if state:
        raise RefusedError(row.busy, f"{key} is {state}: wait until it is {row.words.settled}.")
