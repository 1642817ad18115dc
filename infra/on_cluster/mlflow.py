"""MLflow: runs and the registry of models, in the environment's Postgres and its artifacts bucket.

Its database's password follows AWS's own; its database is made by a job that may run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final

import pulumi
from pulumi_kubernetes.batch import v1 as batch

from infra.concern import Outputs
from infra.database import Database
from infra.lake import Lake
from infra.on_cluster.monitoring import Monitoring
from infra.on_cluster.part import Chart, Part, Site, service
from infra.on_cluster.secrets import Secrets, external_secret

CHART: Final = Chart(
    name="mlflow",
    repository="https://community-charts.github.io/helm-charts",
    version="1.11.5",
)
NAMESPACE: Final = "mlflow"
RELEASE: Final = "mlflow"
"""The release's name, and so the service's."""
PORT: Final = 80
"""The service's, as the chart has it."""
SERVICE_ACCOUNT: Final = "mlflow"
DATABASE: Final = "mlflow"
PASSWORD: Final = "mlflow-database"
CLIENT_IMAGE: Final = "docker.io/library/postgres:17.6-alpine3.22"
USER_ID: Final = 70
"""The user ``postgres`` of that image."""
CREATE: Final = (
    f"psql -tAc \"select 1 from pg_database where datname = '{DATABASE}'\" | grep -q 1"
    f" || createdb {DATABASE}"
)
NAMES: Final = tuple(
    f"{name}{port}"
    for name in ("mlflow.mlflow", "mlflow.mlflow.svc", "mlflow.mlflow.svc.cluster.local")
    for port in ("", ":80")
)
"""By which names pods call it."""
FORWARDED: Final = ("localhost:*", "127.0.0.1:*")
"""By which names a port-forward does."""
POD_PORT: Final = 5000
"""Where the chart's pods listen, and Prometheus asks for their metrics."""


def hosts(cidr: str) -> tuple[str, ...]:
    """By which names MLflow may be called; any other is refused, against DNS rebinding.

    Args:
        cidr: the VPC's network, out of which pods have their addresses.
    """
    network = IPv4Network(cidr)
    fixed = str(network.network_address).split(".")[: network.prefixlen // 8]
    return (*NAMES, *FORWARDED, f"{'.'.join(fixed)}.*:{POD_PORT}")


@dataclass(frozen=True, kw_only=True)
class MlflowPostgres:
    """Where runs are kept."""

    host: pulumi.Input[str]
    port: pulumi.Input[int]
    enabled: bool = True
    database: str = DATABASE


@dataclass(frozen=True, kw_only=True)
class MlflowPassword:
    """The Secret with the user and the password."""

    name: str = PASSWORD
    username_key: str = "username"
    password_key: str = "password"


@dataclass(frozen=True, kw_only=True)
class MlflowBackend:
    """Runs and models."""

    postgres: MlflowPostgres
    database_migration: bool = True
    database_connection_check: bool = True
    existing_database_secret: MlflowPassword = field(default_factory=MlflowPassword)


@dataclass(frozen=True, kw_only=True)
class MlflowBucket:
    """Where artifacts are kept; with the pod's own role."""

    bucket: pulumi.Input[str]
    enabled: bool = True
    path: str = "mlflow"


@dataclass(frozen=True, kw_only=True)
class MlflowArtifacts:
    """Artifacts go through the server, so that its clients need no rights to the bucket."""

    s3: MlflowBucket
    proxied_artifact_storage: bool = True


@dataclass(frozen=True, kw_only=True)
class MlflowAccount:
    """The one that AWS knows by pod identity."""

    create: bool = True
    name: str = SERVICE_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class MlflowMonitor:
    """How Prometheus finds it."""

    enabled: bool
    namespace: str = NAMESPACE


@dataclass(frozen=True, kw_only=True)
class MlflowValues:
    """Of community-charts/mlflow."""

    replica_count: int
    backend_store: MlflowBackend
    artifact_root: MlflowArtifacts
    service_monitor: MlflowMonitor
    extra_env_vars: Mapping[str, str]
    server_allowed_hosts: tuple[str, ...]
    service_account: MlflowAccount = field(default_factory=MlflowAccount)


class Mlflow(Part):
    """The server, its database and its password."""

    part = "mlflow"
    component = "mlflow"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        database = site.platform[Database]
        keys = {"username": "username", "password": "password"}
        password = external_secret(
            self, PASSWORD, NAMESPACE, database.secret_arn, keys, after=site.ready(Secrets)
        )
        after = [self._database(database, password), *site.ready(Monitoring)]
        self.release(RELEASE, CHART, NAMESPACE, self._values(database), after=after)
        self.register_outputs({})

    def outputs(self) -> Outputs:
        """Where runs and models are registered."""
        return {"tracking": service(NAMESPACE, RELEASE, PORT)}

    def _values(self, database: Database) -> MlflowValues:
        instance = database.instance
        bucket = self.site.platform[Lake].buckets["artifacts"].bucket
        return MlflowValues(
            replica_count=self.site.replicas,
            backend_store=MlflowBackend(
                postgres=MlflowPostgres(host=instance.address, port=instance.port)
            ),
            artifact_root=MlflowArtifacts(s3=MlflowBucket(bucket=bucket)),
            service_monitor=MlflowMonitor(enabled=self.site.wants(Monitoring.component)),
            server_allowed_hosts=hosts(self.site.environment.network.cidr),
            extra_env_vars={"AWS_DEFAULT_REGION": self.site.environment.region},
        )

    def _database(self, database: Database, password: pulumi.Resource) -> pulumi.Resource:
        """The job that makes the database if it is missing."""
        plain = {
            "PGHOST": database.instance.address,
            "PGPORT": database.instance.port.apply(str),
            "PGDATABASE": "postgres",
            "PGSSLMODE": "require",
        }
        secret = {"PGUSER": "username", "PGPASSWORD": "password"}
        environment = [{"name": name, "value": value} for name, value in plain.items()] + [
            {"name": name, "value_from": {"secret_key_ref": {"name": PASSWORD, "key": key}}}
            for name, key in secret.items()
        ]
        container = {
            "name": "create",
            "image": CLIENT_IMAGE,
            "command": ["sh", "-c", CREATE],
            "env": environment,
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"memory": "128Mi"},
            },
            "security_context": {
                "allow_privilege_escalation": False,
                "read_only_root_filesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        job: pulumi.Resource = batch.Job(
            "mlflow-database",
            metadata=self.meta("mlflow-database", NAMESPACE),
            spec={
                "backoff_limit": 10,
                "template": {
                    "spec": {
                        "restart_policy": "OnFailure",
                        "automount_service_account_token": False,
                        "security_context": {
                            "run_as_non_root": True,
                            "run_as_user": USER_ID,
                            "seccomp_profile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                    }
                },
            },
            opts=self.child(password, namespace=NAMESPACE),
        )
        return job
