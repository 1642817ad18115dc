"""Route tables, routes and what joins tables to subnets."""

from collections.abc import Iterator, Mapping
from typing import Any

from pocket.provider import rules
from pocket.provider.aws import is_gone
from pocket.provider.resource import Call, Facet, ResourceType, Subject, the_id
from pocket.provider.shapes import Problem
from pocket.provider.types.ec2.words import simple, token
from pocket.provider.values import Properties

_TARGETS = {
    "carrierGatewayId": "CarrierGatewayId",
    "coreNetworkArn": "CoreNetworkArn",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "gatewayId": "GatewayId",
    "localGatewayId": "LocalGatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "vpcEndpointId": "VpcEndpointId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}
_DESTINATIONS = {
    "cidrBlock": "DestinationCidrBlock",
    "ipv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}
_ROUTE_DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}


def _route_parameters(route: Mapping[str, Any], destinations: Mapping[str, str]) -> dict[str, Any]:
    names = {**_TARGETS, **destinations}
    return {names[key]: value for key, value in route.items() if key in names and value}


def _put_routes(subject: Subject) -> None:
    """The table's inline routes: those gone removed, the rest created or pointed anew."""
    client, table = subject.client(), {"RouteTableId": subject.id}
    before = [_route_parameters(r, _DESTINATIONS) for r in subject.olds.get("routes") or []]
    wanted = [_route_parameters(r, _DESTINATIONS) for r in subject.inputs.get("routes") or []]
    kept = {_destination(route) for route in wanted}
    for route in before:
        key, value = _destination(route)
        if (key, value) not in kept:
            client.delete_route(**table, **{key: value})
    existing = {_destination(route) for route in before}
    for route in wanted:
        write = client.replace_route if _destination(route) in existing else client.create_route
        write(**table, **route)


def _destination(route: Mapping[str, Any]) -> tuple[str, Any]:
    return next((key, route[key]) for key in _DESTINATIONS.values() if route.get(key))


def _table_outputs(subject: Subject, found: Any) -> Properties:
    names = {member: name for name, member in {**_TARGETS, **_DESTINATIONS}.items()}
    routes = [
        {names[key]: value for key, value in route.items() if key in names and value}
        for route in found["Routes"]
        if route.get("GatewayId") != "local"
        and not str(route.get("GatewayId", "")).startswith("vpce-")
        and "DestinationPrefixListId" not in route
    ]
    return {
        "arn": subject.arn(f"route-table/{subject.id}"),
        # Routes of their own resources are not this resource's: only inline ones are its property.
        "routes": routes if subject.inputs.get("routes") else [],
        "ownerId": found.get("OwnerId") or subject.aws.account,
        "propagatingVgws": [vgw["GatewayId"] for vgw in found.get("PropagatingVgws") or []] or None,
    }


ROUTE_TABLE = simple(
    "RouteTable",
    "RouteTable",
    facets=(Facet(properties=("routes",), put=_put_routes),),
    outputs=_table_outputs,
)


def _route_id(subject: Subject) -> str:
    destination = next(
        subject.inputs[name] for name in _ROUTE_DESTINATIONS if subject.inputs.get(name)
    )
    return f"{subject.inputs['routeTableId']}_{destination}"


def _read_route(subject: Subject) -> Properties | None:
    table, _, destination = subject.id.partition("_")
    client = subject.client()
    try:
        found = client.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    except client.exceptions.ClientError as error:
        if is_gone(error):
            return None
        raise
    routes = (route for each in found for route in each["Routes"])
    match = next((r for r in routes if destination in map(r.get, _DESTINATIONS.values())), None)
    return {**match, "RouteTableId": table} if match else None


def _delete_route(subject: Subject) -> None:
    table, _, destination = subject.id.partition("_")
    if destination.startswith("pl-"):
        key = "DestinationPrefixListId"
    else:
        key = "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"
    subject.client().delete_route(RouteTableId=table, **{key: destination})


def _one_target(inputs: Properties) -> Iterator[Problem]:
    given = [name for name in _TARGETS if inputs.get(name)]
    if len(given) > 1:
        yield Problem(given[1], f"a route has one target, not {' and '.join(given)}")


ROUTE = ResourceType(
    token=token("Route"),
    service="ec2",
    create=Call(operation="create_route"),
    identity=_route_id,
    read=_read_route,
    delete=_delete_route,
    names={**_TARGETS, **_ROUTE_DESTINATIONS},
    facets=(
        Facet(
            properties=tuple(_TARGETS),
            put=Call(
                operation="replace_route",
                properties=("routeTableId", *_ROUTE_DESTINATIONS, *_TARGETS),
            ),
            at_creation=False,
        ),
    ),
    rules=(rules.cidr("destinationCidrBlock"), _one_target),
)


def _find_association(subject: Subject) -> str | None:
    key = "subnetId" if subject.inputs.get("subnetId") else "gatewayId"
    name = "association.subnet-id" if key == "subnetId" else "association.gateway-id"
    filters = [{"Name": name, "Values": [subject.inputs[key]]}]
    tables = subject.client().describe_route_tables(Filters=filters)["RouteTables"]
    for table in tables:
        for association in table["Associations"]:
            if association.get(f"{key[0].upper()}{key[1:]}") == subject.inputs[key]:
                same_table = table["RouteTableId"] == subject.inputs["routeTableId"]
                return str(association["RouteTableAssociationId"]) if same_table else None
    return None


def _read_association(subject: Subject) -> Properties | None:
    filters = [
        {"Name": "association.route-table-association-id", "Values": [subject.id.split("/")[-1]]}
    ]
    for table in subject.client().describe_route_tables(Filters=filters)["RouteTables"]:
        for association in table["Associations"]:
            if association["RouteTableAssociationId"] == subject.id.split("/")[-1]:
                return dict(association)
    return None


ROUTE_TABLE_ASSOCIATION = ResourceType(
    token=token("RouteTableAssociation"),
    service="ec2",
    create=Call(operation="associate_route_table"),
    id_path="AssociationId",
    find=_find_association,
    read=_read_association,
    delete=Call(operation="disassociate_route_table", params={"AssociationId": the_id}),
)
