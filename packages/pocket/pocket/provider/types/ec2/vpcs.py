"""VPCs and subnets."""

from typing import Any

from pocket.provider import rules
from pocket.provider.resource import Subject
from pocket.provider.types.ec2.words import attribute, simple
from pocket.provider.values import Properties


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


VPC = simple(
    "Vpc",
    "Vpc",
    names={"assignGeneratedIpv6CidrBlock": "AmazonProvidedIpv6CidrBlock"},
    facets=(
        attribute("enableDnsSupport", "modify_vpc_attribute", "VpcId"),
        attribute("enableDnsHostnames", "modify_vpc_attribute", "VpcId"),
        attribute("enableNetworkAddressUsageMetrics", "modify_vpc_attribute", "VpcId"),
    ),
    defaults={"enableDnsSupport": True, "instanceTenancy": "default"},
    hidden=("enableNetworkAddressUsageMetrics",),
    outputs=_vpc_outputs,
    rules=(rules.cidr("cidrBlock", 16, 28),),
)
SUBNET = simple(
    "Subnet",
    "Subnet",
    names={"arn": "SubnetArn"},
    filled=("availabilityZone", "availabilityZoneId", "privateDnsHostnameTypeOnLaunch"),
    facets=(
        attribute("mapPublicIpOnLaunch", "modify_subnet_attribute", "SubnetId"),
        attribute("assignIpv6AddressOnCreation", "modify_subnet_attribute", "SubnetId"),
        attribute("enableDns64", "modify_subnet_attribute", "SubnetId"),
    ),
    defaults={"mapPublicIpOnLaunch": False, "assignIpv6AddressOnCreation": False},
    hidden=("enableDns64",),
    rules=(rules.cidr("cidrBlock", 16, 28),),
)
