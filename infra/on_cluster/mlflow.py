"""MLflow: runs and the registry of models, in the environment's Postgres and its artifacts bucket.

Its database's password follows AWS's own; its database is made by a job that may run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.batch import v1 as batch

from infra.database import Database
from infra.on_cluster.part import Chart, Part, Site
from infra.on_cluster.secrets import external_secret

CHART: Final = Chart(
    name="mlflow",
    repository="https://community-charts.github.io/helm-charts",
    version="1.11.5",
)
NAMESPACE: Final = "mlflow"
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
HOSTS: Final = tuple(
    f"{name}{port}"
    for name in ("mlflow.mlflow", "mlflow.mlflow.svc", "mlflow.mlflow.svc.cluster.local")
    for port in ("", ":80")
)
"""By which names clients may call it; any other is refused, against DNS rebinding."""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """Where runs are kept."""

    host: pulumi.Input[str]
    port: pulumi.Input[int]
    enabled: bool = True
    database: str = DATABASE


@dataclass(frozen=True, kw_only=True)
class Password:
    """The Secret with the user and the password."""

    name: str = PASSWORD
    username_key: str = "username"
    password_key: str = "password"


@dataclass(frozen=True, kw_only=True)
class BackendStore:
    """Runs and models."""

    postgres: Postgres
    database_migration: bool = True
    database_connection_check: bool = True
    existing_database_secret: Password = field(default_factory=Password)


@dataclass(frozen=True, kw_only=True)
class S3:
    """Where artifacts are kept; with the pod's own role."""

    bucket: pulumi.Input[str]
    enabled: bool = True
    path: str = "mlflow"


@dataclass(frozen=True, kw_only=True)
class ArtifactRoot:
    """Artifacts go through the server, so that its clients need no rights to the bucket."""

    s3: S3
    proxied_artifact_storage: bool = True


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """The one that AWS knows by pod identity."""

    create: bool = True
    name: str = SERVICE_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """How Prometheus finds it."""

    enabled: bool
    namespace: str = NAMESPACE


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of community-charts/mlflow."""

    replica_count: int
    backend_store: BackendStore
    artifact_root: ArtifactRoot
    service_monitor: Monitor
    extra_env_vars: Mapping[str, str]
    service_account: ServiceAccount = field(default_factory=ServiceAccount)
    server_allowed_hosts: tuple[str, ...] = HOSTS


class Mlflow(Part):
    """The server, its database and its password."""

    def __init__(
        self,
        site: Site,
        opts: pulumi.ResourceOptions,
        *,
        database: Database,
        store: pulumi.Resource,
        after: list[pulumi.Resource],
    ) -> None:
        super().__init__("mlflow", site, opts)
        keys = {"username": "username", "password": "password"}
        password = external_secret(
            self, PASSWORD, NAMESPACE, database.secret_arn, keys, after=[store]
        )
        made = self._database(database, password)
        self.chart = self.release(
            "mlflow", CHART, NAMESPACE, self._values(database), after=[made, *after]
        )
        self.register_outputs({})

    def _values(self, database: Database) -> Values:
        instance = database.instance
        return Values(
            replica_count=self.site.replicas,
            backend_store=BackendStore(
                postgres=Postgres(host=instance.address, port=instance.port)
            ),
            artifact_root=ArtifactRoot(s3=S3(bucket=self.site.lake.buckets["artifacts"].bucket)),
            service_monitor=Monitor(enabled=self.site.wants("monitoring")),
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
