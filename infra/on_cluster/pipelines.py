"""Kubeflow Pipelines 2.17: its own kustomization, on the environment's Postgres and bucket.

Upstream brings a Postgres and an object store of its own, with passwords that everyone knows. The
overlay in ``manifests/pipelines`` takes both out (and the configuration that pointed to them); the
objects here stand in their places: names that lead to RDS, the configuration, and the
passwords from Secrets Manager.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pulumi
import yaml
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.kustomize import v2 as kustomize

from infra.concern import Outputs
from infra.database import Database
from infra.lake import Lake
from infra.on_cluster.part import Part, Site, service
from infra.on_cluster.secrets import Secrets, external_secret

VERSION: Final = "2.17.0"
OVERLAY: Final = Path(__file__).resolve().parents[2] / "manifests" / "pipelines"
NAMESPACE: Final = "kubeflow"
SERVICE: Final = "ml-pipeline"
PORT: Final = 8888
"""Where its kustomization has the API, over HTTP."""
CONFIGURATION: Final = "pipeline-install-config"
HOST_NAMES: Final = ("postgres-service", "metadata-postgres-db")
"""Names by which upstream's pods call their databases."""
PASSWORDS: Final = {
    "postgres-secret-extended": {"username": "username", "password": "password"},
    "metadata-postgres-db-secrets": {
        "POSTGRES_USER": "username",
        "POSTGRES_PASSWORD": "password",
    },
}
"""Secrets that upstream's pods read, and what of RDS's secret each key takes."""
SETTINGS: Final = {
    "appName": "pipeline",
    "appVersion": VERSION,
    "dbType": "postgres",
    "mlmdDb": "metadb",
    "cacheDb": "cachedb",
    "pipelineDb": "mlpipeline",
    "autoUpdatePipelineDefaultVersion": "true",
    "cronScheduleTimezone": "UTC",
    "cacheNodeRestrictions": "false",
    "ConMaxLifeTime": "120s",
    "LOG_LEVEL": "info",
    "ARTIFACTS_PROXY_ENABLED": "false",
    "defaultSecurityContextRunAsNonRoot": "true",
    "BLOCK_V1_PIPELINES": "true",
}
"""Of ``pipeline-install-config``, what does not depend on the environment."""


class Pipelines(Part):
    """The kustomization, and what stands in for what the overlay takes out."""

    part = "pipelines"
    component = "pipelines"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        database, store = site.platform[Database], site.ready(Secrets)
        before = [
            *(self._host(name, database) for name in HOST_NAMES),
            *(
                external_secret(self, name, NAMESPACE, database.secret_arn, keys, after=store)
                for name, keys in PASSWORDS.items()
            ),
            self._configuration(database),
            self._launcher(),
        ]
        kustomize.Directory(
            "kubeflow-pipelines",
            directory=str(OVERLAY),
            namespace=NAMESPACE,
            opts=self.child(*before, namespace=NAMESPACE),
        )
        self.register_outputs({})

    def outputs(self) -> Outputs:
        """Where pipelines are submitted."""
        return {"pipelines": service(NAMESPACE, SERVICE, PORT)}

    def _host(self, name: str, database: Database) -> pulumi.Resource:
        made: pulumi.Resource = core.Service(
            name,
            metadata=self.meta(name, NAMESPACE),
            spec={"type": "ExternalName", "external_name": database.instance.address},
            opts=self.child(namespace=NAMESPACE),
        )
        return made

    def _configuration(self, database: Database) -> pulumi.Resource:
        bucket = self.site.platform[Lake].buckets["artifacts"].bucket
        made: pulumi.Resource = core.ConfigMap(
            CONFIGURATION,
            metadata=self.meta(CONFIGURATION, NAMESPACE),
            data={
                **SETTINGS,
                "postgresHost": database.instance.address,
                "postgresPort": database.instance.port.apply(str),
                "bucketName": bucket,
                "defaultPipelineRoot": pulumi.Output.concat("s3://", bucket, "/pipelines"),
            },
            opts=self.child(namespace=NAMESPACE),
        )
        return made

    def _launcher(self) -> pulumi.Resource:
        """Where each step keeps its artifacts: in our bucket, signed by the pod's own role."""
        region = self.site.environment.region
        s3 = {"endpoint": "s3.amazonaws.com", "region": region, "credentials": {"fromEnv": True}}
        bucket = self.site.platform[Lake].buckets["artifacts"].bucket
        made: pulumi.Resource = core.ConfigMap(
            "kfp-launcher",
            metadata=self.meta("kfp-launcher", NAMESPACE),
            data={
                "defaultPipelineRoot": pulumi.Output.concat("s3://", bucket, "/pipelines"),
                "providers": yaml.safe_dump({"s3": {"default": s3}}),
            },
            opts=self.child(namespace=NAMESPACE),
        )
        return made
