"""Functions that say how something of AWS stands, by its name.

Each answers with what pulumi-aws's function of that name does, as far as AWS says it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pocket.provider.aws import Aws
from pocket.provider.values import Properties


def _eks_cluster(aws: Aws, arguments: Properties) -> Properties:
    found = aws.client("eks").describe_cluster(name=arguments["name"])["cluster"]
    return {
        "id": found["name"],
        "name": found["name"],
        "arn": found["arn"],
        "endpoint": found.get("endpoint"),
        "version": found.get("version"),
        "roleArn": found.get("roleArn"),
        "status": found.get("status"),
        "certificateAuthorities": [{"data": found["certificateAuthority"]["data"]}],
        "identities": [{"oidcs": [{"issuer": found["identity"]["oidc"]["issuer"]}]}]
        if found.get("identity")
        else [],
        "tags": found.get("tags") or {},
    }


def _listed(aws: Aws, service: str, operation: str, key: str, **asked: str) -> Properties:
    """Every name that an operation lists, page after page."""
    pages = aws.client(service).get_paginator(operation).paginate(**asked)
    names = [name for page in pages for name in page[key]]
    return {"names": names, "region": aws.region, **asked}


def _eks_clusters(aws: Aws, _: Properties) -> Properties:
    return {"id": aws.region, **_listed(aws, "eks", "list_clusters", "clusters")}


def _node_groups(aws: Aws, arguments: Properties) -> Properties:
    cluster = arguments["clusterName"]
    found = _listed(aws, "eks", "list_nodegroups", "nodegroups", clusterName=cluster)
    return {"id": cluster, **found}


def _node_group(aws: Aws, arguments: Properties) -> Properties:
    cluster, name = arguments["clusterName"], arguments["nodeGroupName"]
    found = aws.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)[
        "nodegroup"
    ]
    return {
        "id": f"{cluster}:{name}",
        "clusterName": cluster,
        "nodeGroupName": name,
        "arn": found["nodegroupArn"],
        "amiType": found.get("amiType"),
        "diskSize": found.get("diskSize"),
        "instanceTypes": found.get("instanceTypes") or [],
        "labels": found.get("labels") or {},
        "launchTemplates": [found["launchTemplate"]] if found.get("launchTemplate") else [],
        "nodeRoleArn": found["nodeRole"],
        "releaseVersion": found.get("releaseVersion"),
        "scalingConfigs": [found["scalingConfig"]],
        "status": found["status"],
        "subnetIds": found["subnets"],
        "taints": found.get("taints") or [],
        "tags": found.get("tags") or {},
        "version": found.get("version"),
        "region": aws.region,
    }


def _tables(aws: Aws, _: Properties) -> Properties:
    return _listed(aws, "dynamodb", "list_tables", "TableNames")


def _table(aws: Aws, arguments: Properties) -> Properties:
    found = aws.client("dynamodb").describe_table(TableName=arguments["name"])["Table"]
    throughput = found.get("ProvisionedThroughput") or {}
    keys = {key["KeyType"]: key["AttributeName"] for key in found["KeySchema"]}
    billing = (found.get("BillingModeSummary") or {}).get("BillingMode") or "PROVISIONED"
    return {
        "id": arguments["name"],
        "name": arguments["name"],
        "arn": found["TableArn"],
        "attributes": [
            {"name": each["AttributeName"], "type": each["AttributeType"]}
            for each in found["AttributeDefinitions"]
        ],
        "billingMode": billing,
        "deletionProtectionEnabled": found.get("DeletionProtectionEnabled", False),
        "hashKey": keys.get("HASH"),
        "rangeKey": keys.get("RANGE"),
        "readCapacity": throughput.get("ReadCapacityUnits", 0),
        "writeCapacity": throughput.get("WriteCapacityUnits", 0),
        "region": aws.region,
    }


def _instance(aws: Aws, arguments: Properties) -> Properties:
    name = arguments["dbInstanceIdentifier"]
    (found,) = aws.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    endpoint: Mapping[str, Any] = found.get("Endpoint") or {}
    return {
        "id": name,
        "dbInstanceIdentifier": name,
        "dbInstanceArn": found["DBInstanceArn"],
        "dbInstanceClass": found["DBInstanceClass"],
        "address": endpoint.get("Address"),
        "port": endpoint.get("Port"),
        "allocatedStorage": found["AllocatedStorage"],
        "maxAllocatedStorage": found.get("MaxAllocatedStorage"),
        "engine": found["Engine"],
        "engineVersion": found["EngineVersion"],
        "multiAz": found.get("MultiAZ"),
        "storageType": found.get("StorageType"),
        "region": aws.region,
    }


def _cache_cluster(aws: Aws, arguments: Properties) -> Properties:
    name = arguments["clusterId"]
    client = aws.client("elasticache")
    (found,) = client.describe_cache_clusters(CacheClusterId=name)["CacheClusters"]
    return {
        "id": name,
        "clusterId": name,
        "arn": found.get("ARN"),
        "engine": found["Engine"],
        "engineVersion": found["EngineVersion"],
        "nodeType": found["CacheNodeType"],
        "numCacheNodes": found.get("NumCacheNodes"),
        "replicationGroupId": found.get("ReplicationGroupId"),
        "region": aws.region,
    }


LOOKUPS: Final[Mapping[tuple[str, str], Callable[[Aws, Properties], Properties]]] = {
    ("eks", "getCluster"): _eks_cluster,
    ("eks", "getClusters"): _eks_clusters,
    ("eks", "getNodeGroups"): _node_groups,
    ("eks", "getNodeGroup"): _node_group,
    ("dynamodb", "getTables"): _tables,
    ("dynamodb", "getTable"): _table,
    ("rds", "getInstance"): _instance,
    ("elasticache", "getCluster"): _cache_cluster,
}
"""By module and name."""
