"""Endpoints of AWS's services in a VPC."""

from typing import Any

from pocket.provider import rules
from pocket.provider.resource import Call, Facet, Subject, Wait
from pocket.provider.types.ec2.words import simple
from pocket.provider.values import Properties

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


VPC_ENDPOINT = simple(
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
