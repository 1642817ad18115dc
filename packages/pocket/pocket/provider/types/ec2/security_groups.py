"""Security groups with the blocks of rules in them, and a VPC's default group."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from pocket.provider import rules
from pocket.provider.aws import error_code
from pocket.provider.resource import Call, Facet, Hook, Name, ResourceType, Subject, the_id
from pocket.provider.shapes import Problem
from pocket.provider.types.ec2.words import (
    DEFAULT_DESCRIPTION,
    described_by,
    find_tagged,
    tagged,
    token,
)
from pocket.provider.values import Properties

RULE_SOURCES = {
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


def permission_of(protocol: Any, start: Any, end: Any) -> dict[str, Any]:
    permission: dict[str, Any] = {
        "IpProtocol": "-1" if str(protocol) in ("-1", "all") else str(protocol)
    }
    if permission["IpProtocol"] != "-1":
        permission |= {"FromPort": int(start), "ToPort": int(end)}
    return permission


def _block_permission(block: Mapping[str, Any], group: str) -> dict[str, Any]:
    """An inline rule of a security group as one IpPermission."""
    permission = permission_of(block["protocol"], block["fromPort"], block["toPort"])
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
    from pocket.provider.tagging import tag_parameter, wanted_tags

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
                yield from port_problems(block, f"{direction}[{index}].", block.get("protocol"))


def port_problems(block: Mapping[str, Any], prefix: str, protocol: Any) -> Iterator[Problem]:
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
    token=token("SecurityGroup"),
    service="ec2",
    create=_create_group,
    find=find_tagged("describe_security_groups", "SecurityGroups.GroupId"),
    read=described_by("describe_security_groups", "GroupIds", "SecurityGroups"),
    delete=Call(operation="delete_security_group", params={"GroupId": the_id}),
    name=Name(prefix="namePrefix"),
    tags=tagged("security-group"),
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
    token=token("DefaultSecurityGroup"),
    service="ec2",
    create=_create_default_group,
    find=_default_group,
    read=described_by("describe_security_groups", "GroupIds", "SecurityGroups"),
    delete=None,
    adopted=True,
    tags=tagged("security-group"),
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
