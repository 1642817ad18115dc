"""EC2's network: VPCs, subnets, gateways, routes, endpoints, security groups and flow logs.

Nothing here has a name that AWS keeps unique, so each is tagged with its URN at creation, and what
a crash left behind is found by that tag; associations are found by what they join.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from pocket.provider import rules
from pocket.provider.aws import error_code, is_gone
from pocket.provider.resource import (
    URN_TAG,
    Call,
    Facet,
    Hook,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    Wait,
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties

DEFAULT_DESCRIPTION = "Managed by Pulumi"


def _tags(kind: str) -> Tags:
    return Tags(
        at_creation="TagSpecifications",
        put="create_tags",
        remove="delete_tags",
        target="Resources",
        remove_member="Tags",
        identity=the_id,
        kind=kind,
    )


def _find_tagged(operation: str, path: str, states: tuple[str, ...] = ()) -> Hook:
    """A search among what ``operation`` lists for the one that carries the URN and is not on its
    way out.
    """

    def find(subject: Subject) -> str | None:
        filters = [{"Name": f"tag:{URN_TAG}", "Values": [subject.urn[-256:]]}]
        names = {"describe_nat_gateways": "Filter", "describe_flow_logs": "Filter"}
        response = getattr(subject.client(), operation)(
            **{names.get(operation, "Filters"): filters}
        )
        group, key = path.split(".")
        living = [entry for entry in response[group] if entry.get("State") not in states]
        return str(living[0][key]) if living else None

    return find


def _described(operation: str, parameter: str, group: str, absent: tuple[str, ...] = ()) -> Read:
    return Read(
        operation=operation, params={parameter: lambda s: [s.id]}, path=f"{group}[0]", absent=absent
    )


def _simple(name: str, thing: str, *, kind: str = "", **more: Any) -> ResourceType:
    """The common form: ``create_x``, ``describe_xs`` and ``delete_x`` around an ``XId``."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in thing).lstrip("_")
    settings: dict[str, Any] = {
        "create": Call(operation=f"create_{snake}"),
        "id_path": f"{thing}.{thing}Id",
        "find": _find_tagged(f"describe_{snake}s", f"{thing}s.{thing}Id"),
        "read": _described(f"describe_{snake}s", f"{thing}Ids", f"{thing}s"),
        "delete": Call(operation=f"delete_{snake}", params={f"{thing}Id": the_id}),
        "tags": _tags(kind or snake.replace("_", "-")),
    }
    return ResourceType(token=_token(name), service="ec2", **{**settings, **more})


def _token(name: str, module: str = "ec2") -> str:
    return f"aws:{module}/{name[0].lower()}{name[1:]}:{name}"


def _arn(kind: str) -> Any:
    return lambda subject: {"arn": subject.arn(f"{kind}/{subject.id}")}


def _attribute(name: str, operation: str, target: str, member: str = "") -> Facet:
    """A boolean that its own call of Modify…Attribute sets."""
    member = member or f"{name[0].upper()}{name[1:]}"
    return Facet(
        properties=(name,),
        put=Call(
            operation=operation,
            params={target: the_id, member: lambda s: {"Value": bool(s.inputs.get(name))}},
            properties=(),
        ),
    )


# --- VPC ----------------------------------------------------------------------------------------


def _vpc_outputs(subject: Subject, found: Any) -> Properties:
    client, here = subject.client(), [{"Name": "vpc-id", "Values": [subject.id]}]

    def attribute(name: str) -> bool:
        answer = client.describe_vpc_attribute(VpcId=subject.id, Attribute=name)
        return bool(answer[f"{name[0].upper()}{name[1:]}"]["Value"])

    main = [*here, {"Name": "association.main", "Values": ["true"]}]
    tables = client.describe_route_tables(Filters=main)["RouteTables"]
    default = [*here, {"Name": "group-name", "Values": ["default"]}]
    groups = client.describe_security_groups(Filters=default)["SecurityGroups"]
    acls = client.describe_network_acls(Filters=[*here, {"Name": "default", "Values": ["true"]}])[
        "NetworkAcls"
    ]
    table = tables[0]["RouteTableId"] if tables else None
    return {
        "arn": subject.arn(f"vpc/{subject.id}"),
        "enableDnsSupport": attribute("enableDnsSupport"),
        "enableDnsHostnames": attribute("enableDnsHostnames"),
        "mainRouteTableId": table,
        "defaultRouteTableId": table,
        "defaultSecurityGroupId": groups[0]["GroupId"] if groups else None,
        "defaultNetworkAclId": acls[0]["NetworkAclId"] if acls else None,
        "ownerId": found.get("OwnerId") or subject.aws.account,
        "assignGeneratedIpv6CidrBlock": subject.get("assignGeneratedIpv6CidrBlock", False),
    }


VPC = _simple(
    "Vpc",
    "Vpc",
    names={"assignGeneratedIpv6CidrBlock": "AmazonProvidedIpv6CidrBlock"},
    facets=(
        _attribute("enableDnsSupport", "modify_vpc_attribute", "VpcId"),
        _attribute("enableDnsHostnames", "modify_vpc_attribute", "VpcId"),
        _attribute("enableNetworkAddressUsageMetrics", "modify_vpc_attribute", "VpcId"),
    ),
    defaults={"enableDnsSupport": True, "instanceTenancy": "default"},
    hidden=("enableNetworkAddressUsageMetrics",),
    outputs=_vpc_outputs,
    rules=(rules.cidr("cidrBlock", 16, 28),),
)

SUBNET = _simple(
    "Subnet",
    "Subnet",
    names={"arn": "SubnetArn"},
    filled=("availabilityZone", "availabilityZoneId", "privateDnsHostnameTypeOnLaunch"),
    facets=(
        _attribute("mapPublicIpOnLaunch", "modify_subnet_attribute", "SubnetId"),
        _attribute("assignIpv6AddressOnCreation", "modify_subnet_attribute", "SubnetId"),
        _attribute("enableDns64", "modify_subnet_attribute", "SubnetId"),
    ),
    defaults={"mapPublicIpOnLaunch": False, "assignIpv6AddressOnCreation": False},
    hidden=("enableDns64",),
    rules=(rules.cidr("cidrBlock", 16, 28),),
)


# --- gateways -----------------------------------------------------------------------------------


def _attach(subject: Subject) -> None:
    client, before, wanted = (
        subject.client(),
        subject.olds.get("vpcId"),
        subject.inputs.get("vpcId"),
    )
    if before:
        client.detach_internet_gateway(InternetGatewayId=subject.id, VpcId=before)
    if wanted:
        try:
            client.attach_internet_gateway(InternetGatewayId=subject.id, VpcId=wanted)
        except client.exceptions.ClientError as error:
            if error_code(error) != "Resource.AlreadyAssociated":
                raise


def _detach(subject: Subject) -> None:
    client = subject.client()
    found = client.describe_internet_gateways(InternetGatewayIds=[subject.id])["InternetGateways"]
    for gateway in found:
        for attachment in gateway["Attachments"]:
            client.detach_internet_gateway(InternetGatewayId=subject.id, VpcId=attachment["VpcId"])


INTERNET_GATEWAY = _simple(
    "InternetGateway",
    "InternetGateway",
    names={"vpcId": "-"},
    facets=(Facet(properties=("vpcId",), put=_attach),),
    before_delete=_detach,
    outputs=lambda subject, found: {
        "arn": subject.arn(f"internet-gateway/{subject.id}"),
        "vpcId": found["Attachments"][0]["VpcId"] if found["Attachments"] else None,
        "ownerId": found.get("OwnerId") or subject.aws.account,
    },
)

ELASTIC_IP = ResourceType(
    token=_token("Eip"),
    service="ec2",
    create=Call(operation="allocate_address"),
    id_path="AllocationId",
    find=_find_tagged("describe_addresses", "Addresses.AllocationId"),
    read=_described("describe_addresses", "AllocationIds", "Addresses"),
    delete=Call(operation="release_address", params={"AllocationId": the_id}),
    tags=_tags("elastic-ip"),
    names={"instance": "-", "networkInterface": "-", "associateWithPrivateIp": "-"},
    defaults={"domain": "vpc"},
    hidden=("address", "ipamPoolId"),
    rules=(
        rules.one_of("domain", ("vpc",)),
        lambda inputs: [
            Problem(
                name, f"associate the address by an ec2.EipAssociation: {name} is not supported"
            )
            for name in ("instance", "networkInterface", "associateWithPrivateIp")
            if inputs.get(name)
        ],
    ),
    outputs=lambda subject, found: {
        "allocationId": subject.id,
        "arn": subject.arn(f"elastic-ip/{subject.id}"),
        "associateWithPrivateIp": None,
        "instance": found.get("InstanceId") or "",
        "networkInterface": found.get("NetworkInterfaceId"),
        "privateIp": found.get("PrivateIpAddress"),
        "publicDns": f"ec2-{found['PublicIp'].replace('.', '-')}.compute-1.amazonaws.com"
        if subject.region == "us-east-1"
        else f"ec2-{found['PublicIp'].replace('.', '-')}.{subject.region}.compute.amazonaws.com",
    },
)

NAT_GATEWAY = _simple(
    "NatGateway",
    "NatGateway",
    kind="natgateway",
    find=_find_tagged(
        "describe_nat_gateways", "NatGateways.NatGatewayId", ("deleted", "deleting", "failed")
    ),
    wait=Wait(path="State", ready=("available",), failed=("failed",), gone=("deleted",)),
    names={"privateIp": "PrivateIpAddress"},
    filled=("privateIp", "vpcId", "availabilityMode"),
    defaults={"connectivityType": "public"},
    hidden=("secondaryAllocationIds", "secondaryPrivateIpAddresses"),
    outputs=lambda subject, found: {
        "allocationId": _first_address(found, "AllocationId"),
        "publicIp": _first_address(found, "PublicIp"),
        "privateIp": _first_address(found, "PrivateIp"),
        "networkInterfaceId": _first_address(found, "NetworkInterfaceId"),
    },
    rules=(
        lambda inputs: (
            [Problem("allocationId", "a public NAT gateway needs an allocationId (of an ec2.Eip)")]
            if inputs.get("connectivityType", "public") == "public"
            and not inputs.get("allocationId")
            else ()
        ),
    ),
)


def _first_address(found: Mapping[str, Any], key: str) -> str | None:
    addresses = found.get("NatGatewayAddresses") or [{}]
    address: str | None = addresses[0].get(key)
    return address


# --- routes -------------------------------------------------------------------------------------

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


ROUTE_TABLE = _simple(
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
    token=_token("Route"),
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
    token=_token("RouteTableAssociation"),
    service="ec2",
    create=Call(operation="associate_route_table"),
    id_path="AssociationId",
    find=_find_association,
    read=_read_association,
    delete=Call(operation="disassociate_route_table", params={"AssociationId": the_id}),
)


# --- endpoints ----------------------------------------------------------------------------------

_ENDPOINT_LISTS = {
    "routeTableIds": ("AddRouteTableIds", "RemoveRouteTableIds"),
    "subnetIds": ("AddSubnetIds", "RemoveSubnetIds"),
    "securityGroupIds": ("AddSecurityGroupIds", "RemoveSecurityGroupIds"),
}


def _modify_endpoint(subject: Subject) -> None:
    parameters: dict[str, Any] = {}
    for name, (add, remove) in _ENDPOINT_LISTS.items():
        wanted, before = set(subject.inputs.get(name) or ()), set(subject.olds.get(name) or ())
        if wanted - before:
            parameters[add] = sorted(wanted - before)
        if before - wanted:
            parameters[remove] = sorted(before - wanted)
    if subject.changed("policy"):
        policy = subject.inputs.get("policy")
        parameters.update({"PolicyDocument": policy} if policy else {"ResetPolicy": True})
    if subject.changed("privateDnsEnabled"):
        parameters["PrivateDnsEnabled"] = bool(subject.inputs.get("privateDnsEnabled"))
    subject.client().modify_vpc_endpoint(VpcEndpointId=subject.id, **parameters)


def _endpoint_outputs(subject: Subject, found: Any) -> Properties:
    prefixes: list[Any] = []
    if found.get("VpcEndpointType") == "Gateway":
        filters = [{"Name": "prefix-list-name", "Values": [found["ServiceName"]]}]
        prefixes = subject.client().describe_prefix_lists(Filters=filters)["PrefixLists"]
    return {
        "arn": subject.arn(f"vpc-endpoint/{subject.id}"),
        "prefixListId": prefixes[0]["PrefixListId"] if prefixes else None,
        "cidrBlocks": prefixes[0].get("Cidrs", []) if prefixes else [],
        "securityGroupIds": [group["GroupId"] for group in found.get("Groups") or []] or None,
        "ownerId": found.get("OwnerId") or subject.aws.account,
    }


VPC_ENDPOINT = _simple(
    "VpcEndpoint",
    "VpcEndpoint",
    delete=Call(operation="delete_vpc_endpoints", params={"VpcEndpointIds": lambda s: [s.id]}),
    wait=Wait(
        path="State",
        ready=("available", "Available", "pendingAcceptance"),
        failed=("failed", "rejected"),
        gone=("deleted", "Deleted"),
    ),
    names={"policy": "PolicyDocument"},
    facets=(
        Facet(
            properties=(*_ENDPOINT_LISTS, "policy", "privateDnsEnabled"),
            put=_modify_endpoint,
            at_creation=False,
        ),
    ),
    defaults={"vpcEndpointType": "Gateway"},
    filled=("policy", "privateDnsEnabled", "securityGroupIds"),
    local=("autoAccept",),
    hidden=("dnsOptions", "ipAddressType"),
    outputs=_endpoint_outputs,
    rules=(
        rules.policy("policy", resource=True),
        rules.text(
            "serviceName",
            r"(com|cn\.com|aws)\..+",
            "an endpoint's service is named like com.amazonaws.<region>.<service>",
        ),
    ),
)


# --- security groups ----------------------------------------------------------------------------

_RULE_SOURCES = {
    "cidrIpv4": ("IpRanges", "CidrIp"),
    "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "prefixListId": ("PrefixListIds", "PrefixListId"),
    "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
}
_BLOCK_SOURCES = {
    "cidrBlocks": ("IpRanges", "CidrIp"),
    "ipv6CidrBlocks": ("Ipv6Ranges", "CidrIpv6"),
    "prefixListIds": ("PrefixListIds", "PrefixListId"),
    "securityGroups": ("UserIdGroupPairs", "GroupId"),
}


def _permission(protocol: Any, start: Any, end: Any) -> dict[str, Any]:
    permission: dict[str, Any] = {
        "IpProtocol": "-1" if str(protocol) in ("-1", "all") else str(protocol)
    }
    if permission["IpProtocol"] != "-1":
        permission |= {"FromPort": int(start), "ToPort": int(end)}
    return permission


def _block_permission(block: Mapping[str, Any], group: str) -> dict[str, Any]:
    """An inline rule of a security group as one IpPermission."""
    permission = _permission(block["protocol"], block["fromPort"], block["toPort"])
    described = {"Description": block["description"]} if block.get("description") else {}
    for name, (member, key) in _BLOCK_SOURCES.items():
        for value in block.get(name) or ():
            permission.setdefault(member, []).append({key: value, **described})
    if block.get("self"):
        permission.setdefault("UserIdGroupPairs", []).append({"GroupId": group, **described})
    return permission


def _put_blocks(direction: str) -> Hook:
    def put(subject: Subject) -> None:
        client, group = subject.client(), subject.id
        before = [_block_permission(block, group) for block in _existing(subject, direction)]
        wanted = [_block_permission(b, group) for b in subject.inputs.get(direction) or ()]
        for permission in before:
            if permission not in wanted:
                revoke = getattr(client, f"revoke_security_group_{direction}")
                _unless_done(revoke, group, permission)
        for permission in wanted:
            if permission not in before:
                authorize = getattr(client, f"authorize_security_group_{direction}")
                _unless_done(authorize, group, permission)

    return put


def _unless_done(call: Callable[..., Any], group: str, permission: Properties) -> None:
    """Write a rule; one whose writing was answered by nobody is there at the second attempt."""
    try:
        call(GroupId=group, IpPermissions=[permission])
    except ClientError as error:
        if error_code(error) not in ("InvalidPermission.Duplicate", "InvalidPermission.NotFound"):
            raise


def _existing(subject: Subject, direction: str) -> list[Properties]:
    groups = subject.client().describe_security_groups(GroupIds=[subject.id])["SecurityGroups"]
    member = "IpPermissions" if direction == "ingress" else "IpPermissionsEgress"
    return [block for permission in groups[0][member] for block in _blocks(permission, subject.id)]


def _blocks(permission: Mapping[str, Any], group: str) -> Iterator[Properties]:
    """An IpPermission as inline rules: one for each description, as pulumi-aws groups them."""
    by_description: dict[str, Properties] = {}
    for name, (member, key) in _BLOCK_SOURCES.items():
        for entry in permission.get(member) or ():
            described = entry.get("Description", "")
            block = by_description.setdefault(described, {})
            if entry[key] == group:
                block["self"] = True
            else:
                block.setdefault(name, []).append(entry[key])
    for described, block in by_description.items():
        yield {
            "protocol": permission["IpProtocol"],
            "fromPort": permission.get("FromPort", 0),
            "toPort": permission.get("ToPort", 0),
            **({"description": described} if described else {}),
            **block,
        }


def _group_outputs(subject: Subject, found: Any) -> Properties:
    managed = {name for name in ("ingress", "egress") if subject.inputs.get(name) is not None}
    outputs = {
        "arn": subject.arn(f"security-group/{subject.id}"),
        "name": found["GroupName"],
        "ownerId": found.get("OwnerId") or subject.aws.account,
    }
    for direction, member in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
        blocks = [b for permission in found[member] for b in _blocks(permission, subject.id)]
        # Rules of their own resources belong to those; only inline ones are the group's property.
        outputs[direction] = blocks if direction in managed or not subject.inputs else []
    return outputs


def _group_of(subject: Subject) -> None:
    """A new group lets everything out; one that pulumi-aws makes lets out what the program says."""
    client = subject.client()
    permissions = client.describe_security_groups(GroupIds=[subject.id])["SecurityGroups"][0]
    if permissions["IpPermissionsEgress"]:
        client.revoke_security_group_egress(
            GroupId=subject.id, IpPermissions=permissions["IpPermissionsEgress"]
        )


def _create_group(subject: Subject) -> str:
    from pocket.provider.machine import tag_parameter, wanted_tags

    client, inputs = subject.client(), subject.inputs
    shape = subject.aws.model("ec2").operation_model("CreateSecurityGroup").input_shape
    tags = tag_parameter(shape.members["TagSpecifications"], wanted_tags(subject), "security-group")
    parameters = {"VpcId": inputs["vpcId"]} if inputs.get("vpcId") else {}
    group = client.create_security_group(
        GroupName=inputs["name"],
        Description=inputs["description"],
        TagSpecifications=tags,
        **parameters,
    )["GroupId"]
    subject.id = group
    _group_of(subject)
    return str(group)


def _block_rules(inputs: Properties) -> Iterator[Problem]:
    for direction in ("ingress", "egress"):
        for index, block in enumerate(inputs.get(direction) or ()):
            if isinstance(block, dict):
                yield from _port_problems(block, f"{direction}[{index}].", block.get("protocol"))


def _port_problems(block: Mapping[str, Any], prefix: str, protocol: Any) -> Iterator[Problem]:
    start, end = block.get("fromPort"), block.get("toPort")
    if not isinstance(start, int) or not isinstance(end, int):
        return
    every = str(protocol) in ("-1", "all")
    if every and (start, end) not in ((0, 0), (-1, -1)):
        yield Problem(f"{prefix}fromPort", "with protocol -1 (all) the ports must both be 0")
    if str(protocol) in ("tcp", "udp", "6", "17") and not 0 <= start <= end <= 65535:
        yield Problem(
            f"{prefix}fromPort", f"the ports {start} to {end} are no range within 0 to 65535"
        )


_GROUP_NAME = rules.text(
    "name",
    r"(?!sg-)[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}",
    "a security group's name has 1 to 255 plain characters and does not begin with sg-",
)

SECURITY_GROUP = ResourceType(
    token=_token("SecurityGroup"),
    service="ec2",
    create=_create_group,
    find=_find_tagged("describe_security_groups", "SecurityGroups.GroupId"),
    read=_described("describe_security_groups", "GroupIds", "SecurityGroups"),
    delete=Call(operation="delete_security_group", params={"GroupId": the_id}),
    name=Name(prefix="namePrefix"),
    tags=_tags("security-group"),
    facets=(
        Facet(properties=("ingress",), put=_put_blocks("ingress")),
        Facet(properties=("egress",), put=_put_blocks("egress")),
    ),
    defaults={"description": DEFAULT_DESCRIPTION, "revokeRulesOnDelete": False},
    local=("revokeRulesOnDelete", "namePrefix"),
    outputs=_group_outputs,
    rules=(_GROUP_NAME, _block_rules),
)


def _default_group(subject: Subject) -> str:
    """Take over the VPC's default group and leave it only the rules that the program says."""
    filters = [
        {"Name": "vpc-id", "Values": [subject.inputs["vpcId"]]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    found = subject.client().describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found[0]["GroupId"])


def _create_default_group(subject: Subject) -> str:
    subject.id = _default_group(subject)
    tags = subject.inputs.get("tagsAll")
    for direction in ("ingress", "egress"):
        _put_blocks(direction)(subject)
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        subject.client().create_tags(Resources=[subject.id], Tags=pairs)
    return subject.id


DEFAULT_SECURITY_GROUP = ResourceType(
    token=_token("DefaultSecurityGroup"),
    service="ec2",
    create=_create_default_group,
    find=_default_group,
    read=_described("describe_security_groups", "GroupIds", "SecurityGroups"),
    delete=None,
    adopted=True,
    tags=_tags("security-group"),
    facets=(
        Facet(properties=("ingress",), put=_put_blocks("ingress"), at_creation=False),
        Facet(properties=("egress",), put=_put_blocks("egress"), at_creation=False),
    ),
    defaults={"ingress": [], "egress": []},  # what the program does not allow is taken away
    local=("revokeRulesOnDelete",),
    outputs=lambda subject, found: {
        **_group_outputs(subject, found),
        **{d: _existing(subject, d) for d in ("ingress", "egress")},
    },
    rules=(_block_rules,),
)


def _rule(direction: str) -> ResourceType:
    """One rule of a security group as a resource of its own."""

    def permission(subject: Subject) -> list[dict[str, Any]]:
        inputs = subject.inputs
        built = _permission(inputs["ipProtocol"], inputs.get("fromPort"), inputs.get("toPort"))
        described = {"Description": inputs["description"]} if inputs.get("description") else {}
        for name, (member, key) in _RULE_SOURCES.items():
            if inputs.get(name):
                built[member] = [{key: inputs[name], **described}]
        return [built]

    def create(subject: Subject) -> str:
        from pocket.provider.machine import tag_parameter, wanted_tags

        operation = f"AuthorizeSecurityGroup{direction.capitalize()}"
        shape = subject.aws.model("ec2").operation_model(operation).input_shape
        tags = tag_parameter(
            shape.members["TagSpecifications"], wanted_tags(subject), "security-group-rule"
        )
        response = getattr(subject.client(), f"authorize_security_group_{direction}")(
            GroupId=subject.inputs["securityGroupId"],
            IpPermissions=permission(subject),
            TagSpecifications=tags,
        )
        return str(response["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def delete(subject: Subject) -> None:
        revoke = getattr(subject.client(), f"revoke_security_group_{direction}")
        revoke(GroupId=subject.get("securityGroupId"), SecurityGroupRuleIds=[subject.id])

    def modify(subject: Subject) -> None:
        built = permission(subject)[0]
        rule: dict[str, Any] = {
            k: built[k] for k in ("IpProtocol", "FromPort", "ToPort") if k in built
        }
        for name, member in _RULE_MEMBERS.items():
            if subject.inputs.get(name):
                rule[member] = subject.inputs[name]
        rule["Description"] = subject.inputs.get("description", "")
        subject.client().modify_security_group_rules(
            GroupId=subject.inputs["securityGroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": subject.id, "SecurityGroupRule": rule}],
        )

    return ResourceType(
        token=_token(f"SecurityGroup{direction.capitalize()}Rule", "vpc"),
        service="ec2",
        create=create,
        find=_find_tagged(
            "describe_security_group_rules", "SecurityGroupRules.SecurityGroupRuleId"
        ),
        read=_described(
            "describe_security_group_rules", "SecurityGroupRuleIds", "SecurityGroupRules"
        ),
        delete=delete,
        tags=_tags("security-group-rule"),
        facets=(
            Facet(
                properties=(*_RULE_SOURCES, "description", "fromPort", "toPort", "ipProtocol"),
                put=modify,
                at_creation=False,
            ),
        ),
        normal={"ipProtocol": lambda value: "-1" if str(value) == "all" else str(value)},
        outputs=_rule_outputs,
        rules=(_rule_problems,),
    )


_RULE_MEMBERS = {
    "cidrIpv4": "CidrIpv4",
    "cidrIpv6": "CidrIpv6",
    "prefixListId": "PrefixListId",
    "referencedSecurityGroupId": "ReferencedGroupId",
}


def _rule_outputs(subject: Subject, found: Any) -> Properties:
    every = str(found["IpProtocol"]) == "-1"
    return {
        "arn": found.get("SecurityGroupRuleArn")
        or subject.arn(f"security-group-rule/{subject.id}"),
        "securityGroupId": found["GroupId"],
        "securityGroupRuleId": subject.id,
        "referencedSecurityGroupId": (found.get("ReferencedGroupInfo") or {}).get("GroupId"),
        "fromPort": None if every else found.get("FromPort"),
        "toPort": None if every else found.get("ToPort"),
        "description": found.get("Description") or None,
        "cidrIpv4": found.get("CidrIpv4") or None,
        "cidrIpv6": found.get("CidrIpv6") or None,
        "prefixListId": found.get("PrefixListId") or None,
    }


def _rule_problems(inputs: Properties) -> Iterator[Problem]:
    given = [name for name in _RULE_SOURCES if inputs.get(name)]
    if len(given) > 1:
        yield Problem(given[1], f"a rule has one source or destination, not {' and '.join(given)}")
    protocol = str(inputs.get("ipProtocol", ""))
    if protocol == "-1" and (
        inputs.get("fromPort") is not None or inputs.get("toPort") is not None
    ):
        yield Problem("fromPort", "with ipProtocol -1 (all) no ports are given")
    elif protocol in ("tcp", "udp"):
        yield from _port_problems(inputs, "", protocol)
    value = inputs.get("cidrIpv4")
    if isinstance(value, str):
        try:
            ipaddress.IPv4Network(value, strict=True)
        except ValueError as error:
            yield Problem("cidrIpv4", f'"{value}" is not a CIDR block: {error}')


# --- flow logs ----------------------------------------------------------------------------------

_FLOW_TARGETS = {
    "vpcId": "VPC",
    "subnetId": "Subnet",
    "eniId": "NetworkInterface",
    "transitGatewayId": "TransitGateway",
}


def _flow_target(subject: Subject) -> tuple[str, str]:
    return next(
        (kind, subject.inputs[name])
        for name, kind in _FLOW_TARGETS.items()
        if subject.inputs.get(name)
    )


def _flow_outputs(subject: Subject, found: Any) -> Properties:
    prefixes = {"vpc-": "vpcId", "subnet-": "subnetId", "eni-": "eniId", "tgw-": "transitGatewayId"}
    target = found["ResourceId"]
    name = next(prop for prefix, prop in prefixes.items() if target.startswith(prefix))
    return {
        "arn": subject.arn(f"vpc-flow-log/{subject.id}"),
        name: target,
        "iamRoleArn": found.get("DeliverLogsPermissionArn"),
        "logDestination": found.get("LogDestination")
        or subject.arn(f"log-group:{found['LogGroupName']}", "logs")
        if found.get("LogDestination") or found.get("LogGroupName")
        else None,
    }


FLOW_LOG = ResourceType(
    token=_token("FlowLog"),
    service="ec2",
    create=Call(
        operation="create_flow_logs",
        params={
            "ResourceType": lambda s: _flow_target(s)[0],
            "ResourceIds": lambda s: [_flow_target(s)[1]],
        },
    ),
    id_path="FlowLogIds[0]",
    find=_find_tagged("describe_flow_logs", "FlowLogs.FlowLogId"),
    read=Read(
        operation="describe_flow_logs", params={"FlowLogIds": lambda s: [s.id]}, path="FlowLogs[0]"
    ),
    delete=Call(operation="delete_flow_logs", params={"FlowLogIds": lambda s: [s.id]}),
    tags=_tags("vpc-flow-log"),
    names={"iamRoleArn": "DeliverLogsPermissionArn"},
    defaults={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600},
    filled=("logFormat",),
    outputs=_flow_outputs,
    rules=(
        rules.exactly_one(*_FLOW_TARGETS),
        rules.needs("vpcId", "trafficType", "ACCEPT, REJECT or ALL"),
        lambda inputs: (
            [Problem("maxAggregationInterval", "must be 60 or 600 seconds")]
            if inputs.get("maxAggregationInterval") not in (None, 60, 600)
            else ()
        ),
    ),
)

TYPES = (
    VPC,
    SUBNET,
    INTERNET_GATEWAY,
    ELASTIC_IP,
    NAT_GATEWAY,
    ROUTE_TABLE,
    ROUTE,
    ROUTE_TABLE_ASSOCIATION,
    VPC_ENDPOINT,
    SECURITY_GROUP,
    DEFAULT_SECURITY_GROUP,
    _rule("ingress"),
    _rule("egress"),
    FLOW_LOG,
)
