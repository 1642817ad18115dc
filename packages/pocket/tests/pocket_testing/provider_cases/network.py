"""VPCs and what is in them."""

from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    Inputs,
    bucket,
    const,
    gateway,
    gateway_in,
    group,
    route_table,
    subnet,
    vpc,
)
from pocket_testing.provider_world import World


def _route(world: World) -> Inputs:
    entry = gateway(world)
    table = route_table(world, next(r for r in world.made if "vpc:" in r.token))
    return {"routeTableId": table.id, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": entry.id}


def _nat(world: World) -> Inputs:
    address = world.create("aws:ec2/eip:Eip", {"domain": "vpc"}, name="address")
    return {"subnetId": subnet(world).id, "allocationId": address.id}


def _association(world: World) -> Inputs:
    net = vpc(world)
    return {"subnetId": subnet(world, 1, net).id, "routeTableId": route_table(world, net).id}


def _endpoint(world: World) -> Inputs:
    net = vpc(world)
    return {
        "vpcId": net.id,
        "serviceName": "com.amazonaws.us-east-1.s3",
        "routeTableIds": [route_table(world, net).id],
    }


def _flow_log(world: World) -> Inputs:
    return {
        "vpcId": vpc(world).id,
        "trafficType": "ALL",
        "logDestinationType": "s3",
        "logDestination": bucket(world)["arn"],
    }


def _rule(world: World) -> Inputs:
    return {
        "securityGroupId": group(world).id,
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "cidrIpv4": "10.0.0.0/16",
        "description": "TLS from inside",
    }


EC2_CASES = {
    "aws:ec2/vpc:Vpc": Case(
        inputs=const(cidrBlock="10.0.0.0/16", enableDnsHostnames=True, **TAGS),
        change={"enableDnsHostnames": False, "tags": {"Name": "two"}},
        replace={"cidrBlock": "10.1.0.0/16"},
    ),
    "aws:ec2/subnet:Subnet": Case(
        inputs=lambda world: {
            "vpcId": vpc(world).id,
            "cidrBlock": "10.0.1.0/24",
            "availabilityZone": "us-east-1a",
            **TAGS,
        },
        change={"mapPublicIpOnLaunch": True},
        replace={"cidrBlock": "10.0.2.0/24"},
    ),
    "aws:ec2/internetGateway:InternetGateway": Case(
        inputs=lambda world: {"vpcId": vpc(world).id, **TAGS},
        change=lambda world: {"vpcId": vpc(world, "other").id},
    ),
    "aws:ec2/eip:Eip": Case(
        inputs=const(domain="vpc", **TAGS), change={"tags": {}}, replace={"publicIpv4Pool": "p"}
    ),
    "aws:ec2/natGateway:NatGateway": Case(
        inputs=_nat, change=TAGS, replace={"connectivityType": "private"}
    ),
    "aws:ec2/routeTable:RouteTable": Case(
        inputs=lambda world: {"vpcId": vpc(world).id},
        change=lambda world: {
            "routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": gateway_in(world).id}],
            **TAGS,
        },
        replace={"vpcId": "vpc-else"},
    ),
    "aws:ec2/route:Route": Case(
        inputs=_route,
        change=lambda world: {
            "gatewayId": None,
            "natGatewayId": world.create(
                "aws:ec2/natGateway:NatGateway",
                {
                    "subnetId": subnet(
                        world, 1, next(r for r in world.made if "vpc:" in r.token)
                    ).id,
                    "connectivityType": "private",
                },
                name="nat",
            ).id,
        },
        replace={"destinationCidrBlock": "10.9.0.0/16"},
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Case(
        inputs=_association, replace={"subnetId": "subnet-else"}
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Case(
        inputs=_endpoint, change=TAGS, replace={"vpcId": "vpc-else"}
    ),
    "aws:ec2/securityGroup:SecurityGroup": Case(
        inputs=lambda world: {
            "vpcId": vpc(world).id,
            "ingress": [
                {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/16"]}
            ],
            "egress": [{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}],
            **TAGS,
        },
        change={"ingress": [{"protocol": "tcp", "fromPort": 5439, "toPort": 5439, "self": True}]},
        replace={"description": "another"},
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Case(
        inputs=lambda world: {"vpcId": vpc(world).id, **TAGS},
        change={"ingress": [{"protocol": "tcp", "fromPort": 443, "toPort": 443, "self": True}]},
        replace={"vpcId": "vpc-else"},
        stays=True,
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Case(
        inputs=_rule,
        change={"fromPort": 80, "description": "also plain"},
        replace={"securityGroupId": "sg-else"},
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Case(
        inputs=_rule,
        change={"toPort": 444},
        replace={"securityGroupId": "sg-else"},
    ),
    "aws:ec2/flowLog:FlowLog": Case(
        inputs=_flow_log, change=TAGS, replace={"trafficType": "REJECT"}
    ),
}
