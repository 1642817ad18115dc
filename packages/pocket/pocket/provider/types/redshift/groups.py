"""Subnet groups and parameter groups."""

from pocket.provider import rules
from pocket.provider.resource import Call, Facet, Name, Read, ResourceType, Subject, prop, the_id
from pocket.provider.types.redshift.words import GROUP_NAME, arn, tagged
from pocket.provider.values import Properties

SUBNET_GROUP = ResourceType(
    token="aws:redshift/subnetGroup:SubnetGroup",
    service="redshift",
    create=Call(operation="create_cluster_subnet_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_cluster_subnet_groups",
        params={"ClusterSubnetGroupName": the_id},
        path="ClusterSubnetGroups[0]",
    ),
    delete=Call(operation="delete_cluster_subnet_group", params={"ClusterSubnetGroupName": the_id}),
    name=Name(lower=True),
    names={"name": "ClusterSubnetGroupName"},
    facets=(
        Facet(
            properties=("subnetIds", "description"),
            put=Call(
                operation="modify_cluster_subnet_group",
                params={"ClusterSubnetGroupName": the_id},
            ),
            at_creation=False,
        ),
    ),
    defaults={"description": "Managed by Pulumi"},
    outputs=lambda subject, found: {
        **arn("subnetgroup")(subject, found),
        "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
    },
    tags=tagged("subnetgroup"),
    rules=(
        GROUP_NAME,
        rules.at_least_items("subnetIds", 1, "a cluster stands in a subnet"),
    ),
)


def _put_parameters(subject: Subject) -> None:
    """Write the parameters that changed, and reset those no longer wanted."""
    client, name = subject.client(), subject.id
    wanted = {p["name"]: p["value"] for p in subject.inputs.get("parameters") or ()}
    before = {p["name"]: p["value"] for p in subject.olds.get("parameters") or ()}
    changed = [
        {"ParameterName": key, "ParameterValue": value, "ApplyType": "static"}
        for key, value in wanted.items()
        if before.get(key) != value
    ]
    gone = [{"ParameterName": key} for key in before if key not in wanted]
    if changed:
        client.modify_cluster_parameter_group(ParameterGroupName=name, Parameters=changed)
    if gone:
        client.reset_cluster_parameter_group(ParameterGroupName=name, Parameters=gone)


def _read_parameters(subject: Subject) -> Properties:
    pages = subject.client().get_paginator("describe_cluster_parameters")
    found = [
        parameter
        for page in pages.paginate(ParameterGroupName=subject.id, Source="user")
        for parameter in page["Parameters"]
        if parameter.get("Source") == "user"
    ]
    return {
        "parameters": [{"name": p["ParameterName"], "value": p["ParameterValue"]} for p in found]
    }


PARAMETER_GROUP = ResourceType(
    token="aws:redshift/parameterGroup:ParameterGroup",
    service="redshift",
    create=Call(operation="create_cluster_parameter_group"),
    identity=prop("name"),
    read=Read(
        operation="describe_cluster_parameter_groups",
        params={"ParameterGroupName": the_id},
        path="ParameterGroups[0]",
    ),
    delete=Call(operation="delete_cluster_parameter_group", params={"ParameterGroupName": the_id}),
    name=Name(lower=True),
    names={"name": "ParameterGroupName", "family": "ParameterGroupFamily"},
    facets=(Facet(properties=("parameters",), put=_put_parameters, read=_read_parameters),),
    defaults={"description": "Managed by Pulumi"},
    outputs=arn("parametergroup"),
    tags=tagged("parametergroup"),
    rules=(GROUP_NAME, rules.one_of("family", ("redshift-1.0", "redshift-2.0"))),
)
