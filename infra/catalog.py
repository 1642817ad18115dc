"""Glue and Athena: the lake's files as tables, and a limit to what one query may cost.

Athena bills by what a query reads. The workgroup holds every query to the limit and to encrypted
results, whatever the client asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_aws import athena, glue

from contracts.environment import Environment
from contracts.environment.lake import LakeTable
from infra.concern import AwsConcern, Outputs, Platform
from infra.lake import Lake
from infra.policies import Statement, allow

LAYERS: Final = ("raw", "curated")
GIB: Final = 1 << 30
PARQUET: Final = "org.apache.hadoop.hive.ql.io.parquet"
SERDE: Final = f"{PARQUET}.serde.ParquetHiveSerDe"
RESULTS: Final = "athena"
"""The prefix of the results, in the curated bucket."""
QUERIED_BY: Final = ("pipelines", "spark")
"""Workloads that query the lake."""


class Catalog(AwsConcern):
    """Glue databases and tables, and the Athena workgroup."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("catalog", platform)
        self.settings = platform.environment.lake.catalog
        self.lake = platform[Lake]
        self.databases = {layer: self._database(layer) for layer in LAYERS}
        for name, table in self.settings.tables.items():
            self._table(name, table)
        self.workgroup = self._workgroup()
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """By setting."""
        return environment.lake.catalog.enabled

    def grants(self) -> dict[str, Sequence[Statement]]:
        """Run queries in the workgroup and read the tables they name."""
        databases = [database.arn for database in self.databases.values()]
        tables = [
            arn.apply(lambda text: f"{text}/*".replace(":database/", ":table/"))
            for arn in databases
        ]
        queries = (
            *("StartQueryExecution", "GetQueryExecution"),
            *("GetQueryResults", "StopQueryExecution"),
        )
        reads = ("GetDatabase", "GetDatabases", "GetTable", "GetTables", "GetPartitions")
        catalogue = self.names.arn("glue", "catalog")
        statements = [
            allow("Query", [f"athena:{query}" for query in queries], [self.workgroup.arn]),
            allow(
                "ReadTables", [f"glue:{read}" for read in reads], [catalogue, *databases, *tables]
            ),
        ]
        return dict.fromkeys(QUERIED_BY, statements)

    def outputs(self) -> Outputs:
        """Where SQL finds the lake."""
        return {
            "catalog": {
                "databases": {layer: database.name for layer, database in self.databases.items()},
                "workgroup": self.workgroup.name,
            }
        }

    def _database(self, layer: str) -> glue.CatalogDatabase:
        name = self.names.name(layer).replace("-", "_")
        return glue.CatalogDatabase(
            layer,
            name=name,
            description=f"The lake's {layer} data",
            location_uri=self._location(layer, ""),
            tags=self.tags(name),
            opts=self.child(),
        )

    def _location(self, layer: str, prefix: str) -> pulumi.Output[str]:
        return pulumi.Output.concat("s3://", self.lake.buckets[layer].bucket, "/", prefix)

    def _table(self, name: str, table: LakeTable) -> None:
        glue.CatalogTable(
            name,
            name=name,
            database_name=self.databases[table.bucket].name,
            table_type="EXTERNAL_TABLE",
            parameters={"classification": "parquet", "EXTERNAL": "TRUE"},
            partition_keys=[
                {"name": column.name, "type": column.type} for column in table.partitions
            ],
            storage_descriptor={
                "location": self._location(table.bucket, f"{name}/"),
                "input_format": f"{PARQUET}.MapredParquetInputFormat",
                "output_format": f"{PARQUET}.MapredParquetOutputFormat",
                "ser_de_info": {"name": "parquet", "serialization_library": SERDE},
                "columns": [{"name": column.name, "type": column.type} for column in table.columns],
            },
            opts=self.child(),
        )

    def _workgroup(self) -> athena.Workgroup:
        name = self.names.name("queries")
        return athena.Workgroup(
            "queries",
            name=name,
            description="Queries of the lake, limited and encrypted",
            force_destroy=self.environment.retention.empty_buckets,
            configuration={
                "enforce_workgroup_configuration": True,
                "publish_cloudwatch_metrics_enabled": True,
                "bytes_scanned_cutoff_per_query": self.settings.scan_limit * GIB,
                "result_configuration": {
                    "output_location": self._location("curated", f"{RESULTS}/"),
                    "encryption_configuration": {
                        "encryption_option": "SSE_KMS",
                        "kms_key_arn": self.lake.key_arn,
                    },
                },
            },
            tags=self.tags(name),
            opts=self.child(),
        )
