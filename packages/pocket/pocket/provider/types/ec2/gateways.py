"""Internet gateways, elastic addresses and NAT gateways."""

from collections.abc import Mapping
from typing import Any

from pocket.provider import rules
from pocket.provider.aws import error_code
from pocket.provider.resource import Call, Facet, ResourceType, Subject, Wait, the_id
from pocket.provider.shapes import Problem
from pocket.provider.types.ec2.words import described_by, find_tagged, simple, tagged, token


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


INTERNET_GATEWAY = simple(
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
    token=token("Eip"),
    service="ec2",
    create=Call(operation="allocate_address"),
    id_path="AllocationId",
    find=find_tagged("describe_addresses", "Addresses.AllocationId"),
    read=described_by("describe_addresses", "AllocationIds", "Addresses"),
    delete=Call(operation="release_address", params={"AllocationId": the_id}),
    tags=tagged("elastic-ip"),
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
NAT_GATEWAY = simple(
    "NatGateway",
    "NatGateway",
    kind="natgateway",
    find=find_tagged(
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
