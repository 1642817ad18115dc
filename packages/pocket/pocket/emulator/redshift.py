"""Redshift's clusters as AWS keeps them: managed passwords, parameters that stick, resizing.

moto ignores `ManageMasterPassword` (so nobody finds the secret), forgets what a parameter group
is for (its parameters) and cannot resize.

Source: https://docs.aws.amazon.com/redshift/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.redshift.exceptions import RedshiftClientError
from moto.redshift.models import Cluster, ParameterGroup, RedshiftBackend
from moto.redshift.responses import RedshiftResponse
from moto.secretsmanager.models import secretsmanager_backends

from pocket.emulator.core.context import Context
from pocket.emulator.core.errors import RefusedError
from pocket.emulator.core.patching import add, replace
from pocket.emulator.core.refusals import Parameters, refuse

_MOST_NODES: Final = 100
_DATABASES: Final = ("template0", "template1", "padb_harvest", "sys", "awsdatacatalog")
_USERS: Final = ("public", "rdsdb", "rdsadmin", "rdsrepladmin")
_PASSWORD_LENGTH = 32

# name -> (default, data type, allowed values, when a change takes effect)
_PARAMETERS: dict[str, tuple[str, str, str, str]] = {
    "auto_analyze": ("true", "boolean", "true,false", "static"),
    "auto_mv": ("true", "boolean", "true,false", "static"),
    "datestyle": ("ISO, MDY", "string", "", "static"),
    "enable_case_sensitive_identifier": ("false", "boolean", "true,false", "static"),
    "enable_user_activity_logging": ("false", "boolean", "true,false", "static"),
    "extra_float_digits": ("0", "integer", "-15-2", "static"),
    "max_concurrency_scaling_clusters": ("1", "integer", "0-10", "static"),
    "query_group": ("default", "string", "", "static"),
    "require_ssl": ("true", "boolean", "true,false", "static"),
    "search_path": ("$user, public", "string", "", "static"),
    "statement_timeout": ("0", "integer", "0,100-2147483647", "static"),
    "use_fips_ssl": ("false", "boolean", "true,false", "static"),
    "wlm_json_configuration": ('[{"auto_wlm":true}]', "string", "", "dynamic"),
}


WITH = ("redshift_data",)
"""What it corrects together with this: the rows go with their cluster."""


def install(context: Context) -> None:
    """Put the missing behaviour into moto's Redshift."""
    refuse("redshift", "CreateCluster", "ModifyCluster")(_refuse_names)
    _managed_passwords()
    _parameter_groups()
    for operation in (
        modify_cluster_parameter_group,
        reset_cluster_parameter_group,
        resize_cluster,
        modify_cluster_iam_roles,
        modify_cluster_subnet_group,
    ):
        add(RedshiftResponse, operation)
    _modify_cluster()


def _refuse_names(asked: Parameters) -> None:
    """Refuse names that Redshift keeps, and more nodes than it takes.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html

    Raises:
        RefusedError: a name is reserved, or the number of nodes is out of range.
    """
    from sqlglot.generators.redshift import RedshiftGenerator

    words = {word.strip() for word in RedshiftGenerator.RESERVED_KEYWORDS}
    for name, kept in (("MasterUsername", _USERS), ("DBName", _DATABASES)):
        value = str(asked.get(name) or "").lower()
        if value in kept or value in words:
            raise RefusedError(
                "InvalidParameterValue", f"The parameter {name} is not valid: {value} is reserved"
            )
    nodes = asked.get("NumberOfNodes")
    if nodes is not None and not 1 <= int(nodes) <= _MOST_NODES:
        raise RefusedError(
            "InvalidParameterValue", f"NumberOfNodes must be 1 to {_MOST_NODES}, not {nodes}"
        )


def _fault(code: str, message: str) -> RedshiftClientError:
    return RedshiftClientError(code, message)


# -- the administrator's password
# -------------------------------------------------------------------


def _managed_passwords() -> None:
    @replace(RedshiftResponse, "create_cluster")
    def create(original: Callable[..., Any], self: RedshiftResponse) -> ActionResult:
        managed = self._get_bool_param("ManageMasterPassword")
        given = self._get_param("MasterUserPassword")
        if managed and given:
            raise _fault(
                "InvalidParameterCombination",
                "MasterUserPassword cannot be given when ManageMasterPassword is true.",
            )
        if not managed and not given:
            raise _fault(
                "InvalidParameterCombination",
                "MasterUserPassword or ManageMasterPassword must be given.",
            )
        if given:
            _check_password(given)
        backend = self.redshift_backend
        _check_groups(backend, self)
        answer: ActionResult = original(self)
        if managed:
            cluster = backend.clusters[self._get_param("ClusterIdentifier")]
            _manage_password(backend, cluster, self._get_param("MasterPasswordSecretKmsKeyId"))
        return answer

    @replace(RedshiftBackend, "delete_cluster")
    def delete(
        original: Callable[..., Any], backend: RedshiftBackend, *given: Any, **asked: Any
    ) -> Cluster:
        cluster: Cluster = original(backend, *given, **asked)
        _forget_password(backend, cluster)
        return cluster


def _check_password(password: str) -> None:
    classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    if not 8 <= len(password) <= 64 or not all(
        any(letter in kind for letter in password) for kind in classes
    ):
        raise _fault(
            "InvalidParameterValue",
            "The parameter MasterUserPassword must be 8 to 64 characters long and contain at least "
            "one upper-case letter, one lower-case letter and one number.",
        )


def _check_groups(backend: RedshiftBackend, request: RedshiftResponse) -> None:
    """A cluster's subnet group and parameter group must exist."""
    subnets = request._get_param("ClusterSubnetGroupName")
    if subnets:
        backend.describe_cluster_subnet_groups(subnets)
    parameters = request._get_param("ClusterParameterGroupName")
    if parameters and not parameters.startswith("default."):
        backend.describe_cluster_parameter_groups(parameters)


def _manage_password(backend: RedshiftBackend, cluster: Cluster, key: str | None) -> None:
    """Make a password, and keep it in the secret where AWS would."""
    letters = string.ascii_letters + string.digits
    password = "Aa1" + "".join(secrets.choice(letters) for _ in range(_PASSWORD_LENGTH - 3))
    cluster.master_user_password = password
    store = secretsmanager_backends[backend.account_id][backend.region_name]
    secret = store.create_managed_secret(
        service_name="redshift",
        secret_id=f"redshift!{cluster.cluster_identifier}-{cluster.master_username}",
        secret_string=json.dumps({"username": cluster.master_username, "password": password}),
        description=f"The administrator of {cluster.cluster_identifier}",
        kms_key_id=key,
        tags=[{"Key": "aws:redshift:clusterArn", "Value": cluster.arn}],
    )
    cluster.master_password_secret_arn = secret.arn  # type: ignore[attr-defined]
    cluster.master_password_secret_kms_key_id = key  # type: ignore[attr-defined]


def _forget_password(backend: RedshiftBackend, cluster: Cluster) -> None:
    secret = getattr(cluster, "master_password_secret_arn", None)
    if secret:
        store = secretsmanager_backends[backend.account_id][backend.region_name]
        store.delete_secret(
            secret, recovery_window_in_days=None, force_delete_without_recovery=True
        )


# -- parameter groups
# -------------------------------------------------------------------------------


def _parameter_groups() -> None:
    @replace(RedshiftBackend, "create_cluster_parameter_group")
    def create(
        original: Callable[..., Any], backend: RedshiftBackend, *given: Any, **asked: Any
    ) -> ParameterGroup:
        name = given[0] if given else asked["cluster_parameter_group_name"]
        if name in backend.parameter_groups:
            raise _fault(
                "ClusterParameterGroupAlreadyExists", f"Parameter group {name} already exists."
            )
        group: ParameterGroup = original(backend, *given, **asked)
        return group

    @replace(RedshiftBackend, "delete_cluster_parameter_group")
    def delete(
        original: Callable[..., Any], backend: RedshiftBackend, parameter_group_name: str
    ) -> ParameterGroup:
        users = [
            cluster.cluster_identifier
            for cluster in backend.clusters.values()
            if parameter_group_name in cluster.cluster_parameter_group_name
        ]
        if users:
            raise _fault(
                "InvalidClusterParameterGroupState",
                f"Parameter group {parameter_group_name} is used by {', '.join(users)}.",
            )
        group: ParameterGroup = original(backend, parameter_group_name)
        return group

    @replace(RedshiftBackend, "describe_cluster_parameters")
    def describe(
        original: Callable[..., Any], backend: RedshiftBackend, parameter_group_name: str
    ) -> list[dict[str, Any]]:
        values: dict[str, str] = {}
        if not parameter_group_name.startswith("default."):
            (group,) = backend.describe_cluster_parameter_groups(parameter_group_name)
            values = _values(group)
        return [
            {
                "ParameterName": name,
                "ParameterValue": values.get(name, default),
                "Source": "user" if name in values else "engine-default",
                "DataType": kind,
                "AllowedValues": allowed,
                "ApplyType": applied,
                "IsModifiable": True,
            }
            for name, (default, kind, allowed, applied) in _PARAMETERS.items()
        ]

    @replace(RedshiftResponse, "describe_cluster_parameters")
    def answer(original: Callable[..., Any], self: RedshiftResponse) -> ActionResult:
        name, source = self._get_param("ParameterGroupName"), self._get_param("Source")
        parameters = self.redshift_backend.describe_cluster_parameters(name)
        return ActionResult(
            {"Parameters": [one for one in parameters if source in (None, one["Source"])]}
        )


def _values(group: ParameterGroup) -> dict[str, str]:
    values: dict[str, str] = group.__dict__.setdefault("pocket_values", {})
    return values


def _named_parameters(request: RedshiftResponse) -> dict[str, str]:
    parameters = request._get_params().get("Parameters") or []
    for item in parameters:
        name, value = item["ParameterName"], item.get("ParameterValue", "")
        if name not in _PARAMETERS:
            raise _fault("InvalidParameterValue", f"Could not find parameter with name: {name}")
        _, kind, allowed, _ = _PARAMETERS[name]
        if kind == "boolean" and value and value.lower() not in allowed.split(","):
            raise _fault("InvalidParameterValue", f"{name} must be one of {allowed}: {value}")
        if kind == "integer" and value and not value.removeprefix("-").isdigit():
            raise _fault("InvalidParameterValue", f"{name} must be an integer: {value}")
    return {item["ParameterName"]: item.get("ParameterValue", "") for item in parameters}


def _updated(group: ParameterGroup) -> ActionResult:
    return ActionResult(
        {
            "ParameterGroupName": group.name,
            "ParameterGroupStatus": "Your parameter group has been updated. If you have changed "
            "static parameters, reboot the clusters that use it.",
        }
    )


def modify_cluster_parameter_group(self: RedshiftResponse) -> ActionResult:
    name = self._get_param("ParameterGroupName")
    (group,) = self.redshift_backend.describe_cluster_parameter_groups(name)
    _values(group).update(_named_parameters(self))
    return _updated(group)


def reset_cluster_parameter_group(self: RedshiftResponse) -> ActionResult:
    name = self._get_param("ParameterGroupName")
    (group,) = self.redshift_backend.describe_cluster_parameter_groups(name)
    if self._get_bool_param("ResetAllParameters"):
        _values(group).clear()
    for parameter in _named_parameters(self):
        _values(group).pop(parameter, None)
    return _updated(group)


# -- changing a cluster
# -----------------------------------------------------------------------------


def resize_cluster(self: RedshiftResponse) -> ActionResult:
    (cluster,) = self.redshift_backend.describe_clusters(self._get_param("ClusterIdentifier"))
    kind, nodes = self._get_param("ClusterType"), self._get_int_param("NumberOfNodes")
    if kind == "multi-node" and (nodes or cluster.number_of_nodes) < 2:
        raise _fault(
            "InvalidParameterCombination",
            "Number of nodes for cluster type multi-node must be greater than or equal to 2",
        )
    cluster.node_type = self._get_param("NodeType") or cluster.node_type
    cluster.number_of_nodes = 1 if kind == "single-node" else nodes or cluster.number_of_nodes
    return ActionResult({"Cluster": cluster})


def modify_cluster_iam_roles(self: RedshiftResponse) -> ActionResult:
    (cluster,) = self.redshift_backend.describe_clusters(self._get_param("ClusterIdentifier"))
    removed = set(self._get_param("RemoveIamRoles") or [])
    added = [
        role for role in self._get_param("AddIamRoles") or [] if role not in cluster.iam_roles_arn
    ]
    cluster.iam_roles_arn = [
        *(role for role in cluster.iam_roles_arn if role not in removed),
        *added,
    ]
    return ActionResult({"Cluster": cluster})


def modify_cluster_subnet_group(self: RedshiftResponse) -> ActionResult:
    name = self._get_param("ClusterSubnetGroupName")
    (group,) = self.redshift_backend.describe_cluster_subnet_groups(name)
    group.subnet_ids = self._get_param("SubnetIds")
    group.description = self._get_param("Description") or group.description
    return ActionResult({"ClusterSubnetGroup": group})


def _modify_cluster() -> None:
    """moto sets what comes as text: booleans and lists must be what they are at creation."""

    @replace(RedshiftBackend, "modify_cluster")
    def modify(original: Callable[..., Any], backend: RedshiftBackend, **asked: Any) -> Cluster:
        for name in ("publicly_accessible", "encrypted", "enhanced_vpc_routing"):
            if isinstance(asked.get(name), str):
                asked[name] = asked[name].lower() == "true"
        if isinstance(asked.get("cluster_parameter_group_name"), str):
            group = asked["cluster_parameter_group_name"]
            if not group.startswith("default."):
                backend.describe_cluster_parameter_groups(group)
            asked["cluster_parameter_group_name"] = [group]
        if asked.get("master_user_password"):
            _check_password(asked["master_user_password"])
        cluster: Cluster = original(backend, **asked)
        return cluster

    @replace(RedshiftResponse, "modify_cluster")
    def answer(original: Callable[..., Any], self: RedshiftResponse) -> ActionResult:
        result: ActionResult = original(self)
        backend = self.redshift_backend
        name = self._get_param("NewClusterIdentifier") or self._get_param("ClusterIdentifier")
        cluster, managed = backend.clusters[name], self._get_bool_param("ManageMasterPassword")
        has_secret = bool(getattr(cluster, "master_password_secret_arn", None))
        if managed and not has_secret:
            _manage_password(backend, cluster, self._get_param("MasterPasswordSecretKmsKeyId"))
        if managed is False and has_secret:
            _forget_password(backend, cluster)
            cluster.master_password_secret_arn = None  # type: ignore[attr-defined]
        key = self._get_param("KmsKeyId")
        if key:
            cluster.kms_key_id = key
        return result
