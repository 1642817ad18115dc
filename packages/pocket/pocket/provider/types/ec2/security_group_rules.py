"""The rules of security groups as resources of their own."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from pocket.provider.resource import Facet, ResourceType, Subject
from pocket.provider.shapes import Problem
from pocket.provider.types.ec2.security_groups import RULE_SOURCES, permission_of, port_problems
from pocket.provider.types.ec2.words import described_by, find_tagged, tagged, token
from pocket.provider.values import Properties


def rule_type(direction: str) -> ResourceType:
    """One rule of a security group as a resource of its own."""

    def permission(subject: Subject) -> list[dict[str, Any]]:
        inputs = subject.inputs
        built = permission_of(inputs["ipProtocol"], inputs.get("fromPort"), inputs.get("toPort"))
        described = {"Description": inputs["description"]} if inputs.get("description") else {}
        for name, (member, key) in RULE_SOURCES.items():
            if inputs.get(name):
                built[member] = [{key: inputs[name], **described}]
        return [built]

    def create(subject: Subject) -> str:
        from pocket.provider.tagging import tag_parameter, wanted_tags

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
        token=token(f"SecurityGroup{direction.capitalize()}Rule", "vpc"),
        service="ec2",
        create=create,
        find=find_tagged("describe_security_group_rules", "SecurityGroupRules.SecurityGroupRuleId"),
        read=described_by(
            "describe_security_group_rules", "SecurityGroupRuleIds", "SecurityGroupRules"
        ),
        delete=delete,
        tags=tagged("security-group-rule"),
        facets=(
            Facet(
                properties=(*RULE_SOURCES, "description", "fromPort", "toPort", "ipProtocol"),
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
    given = [name for name in RULE_SOURCES if inputs.get(name)]
    if len(given) > 1:
        yield Problem(given[1], f"a rule has one source or destination, not {' and '.join(given)}")
    protocol = str(inputs.get("ipProtocol", ""))
    if protocol == "-1" and (
        inputs.get("fromPort") is not None or inputs.get("toPort") is not None
    ):
        yield Problem("fromPort", "with ipProtocol -1 (all) no ports are given")
    elif protocol in ("tcp", "udp"):
        yield from port_problems(inputs, "", protocol)
    value = inputs.get("cidrIpv4")
    if isinstance(value, str):
        try:
            ipaddress.IPv4Network(value, strict=True)
        except ValueError as error:
            yield Problem("cidrIpv4", f'"{value}" is not a CIDR block: {error}')
