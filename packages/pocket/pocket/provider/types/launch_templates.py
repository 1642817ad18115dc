"""EC2's launch templates: what a node group's machines are made from.

A template's settings lie in numbered versions that never change: a change in place is a new
version, made the default where the program asks for it. Reads show the latest one.
"""

from collections.abc import Iterator
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    the_id,
)
from pocket.provider.schema import inputs_of
from pocket.provider.shapes import Problem
from pocket.provider.values import UNKNOWN, Properties

_TOKEN = "aws:ec2/launchTemplate:LaunchTemplate"
_NOT_DATA = ("name", "namePrefix", "region", "tags", "defaultVersion", "updateDefaultVersion")
_DATA = tuple(name for name in inputs_of(_TOKEN) if name not in _NOT_DATA)
_ID = {"LaunchTemplateId": the_id}


def _arranged(inputs: Properties) -> Properties:
    """The inputs with the tags of tag specifications as AWS's lists of pairs."""
    specifications = inputs.get("tagSpecifications")
    if not isinstance(specifications, list):
        return inputs
    return {**inputs, "tagSpecifications": [_paired(each) for each in specifications]}


def _paired(specification: Any) -> Any:
    tags = specification.get("tags") if isinstance(specification, dict) else None
    if not isinstance(tags, dict):
        return specification
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    return {**specification, "tags": pairs}


_NEW_VERSION = Call(
    operation="create_launch_template_version",
    params=_ID,
    properties=_DATA,
    into="LaunchTemplateData",
    prepare=_arranged,
)


def _put_version(subject: Subject) -> None:
    from pocket.provider.requests import perform

    version = subject.inputs.get("defaultVersion")
    if any(subject.changed(name) for name in _DATA):
        made = perform(subject, _NEW_VERSION)["LaunchTemplateVersion"]["VersionNumber"]
        version = made if subject.inputs.get("updateDefaultVersion") else version
    elif subject.inputs.get("updateDefaultVersion"):
        version = subject.get("latestVersion")
    if version is not None:
        subject.client().modify_launch_template(
            LaunchTemplateId=subject.id, DefaultVersion=str(version)
        )


def _latest(subject: Subject) -> Properties:
    """The latest version's settings, beside what describes the template itself."""
    answer = subject.client().describe_launch_template_versions(
        LaunchTemplateId=subject.id, Versions=["$Latest"]
    )
    version = answer["LaunchTemplateVersions"][0]
    data, described = version["LaunchTemplateData"], version.get("VersionDescription")
    # The template's own tags are no setting of its machines, though moto shows them here too.
    own = [t for t in data.get("TagSpecifications", ()) if t["ResourceType"] != "launch-template"]
    return {
        **data,
        "TagSpecifications": own,
        **({"VersionDescription": described} if described else {}),
    }


def _find(subject: Subject) -> str | None:
    filters = [{"Name": "launch-template-name", "Values": [subject.inputs["name"]]}]
    found = subject.client().describe_launch_templates(Filters=filters)["LaunchTemplates"]
    return str(found[0]["LaunchTemplateId"]) if found else None


def _versions(inputs: Properties) -> Iterator[Problem]:
    if inputs.get("updateDefaultVersion") and inputs.get("defaultVersion"):
        yield Problem(
            "defaultVersion", "only one of defaultVersion and updateDefaultVersion may be given"
        )
    for index, mapping in enumerate(inputs.get("blockDeviceMappings") or ()):
        disk = mapping.get("ebs") if isinstance(mapping, dict) else None
        if not isinstance(disk, dict) or UNKNOWN in disk.values():
            continue
        if disk.get("kmsKeyId") and disk.get("encrypted") not in (True, "true"):
            yield Problem(
                f"blockDeviceMappings[{index}].ebs.encrypted",
                "must be true where kmsKeyId names a key",
            )


LAUNCH_TEMPLATE = ResourceType(
    token=_TOKEN,
    service="ec2",
    create=Call(operation="create_launch_template", into="LaunchTemplateData", prepare=_arranged),
    id_path="LaunchTemplate.LaunchTemplateId",
    find=_find,
    read=Read(
        operation="describe_launch_templates",
        params={"LaunchTemplateIds": lambda s: [s.id]},
        path="LaunchTemplates[0]",
        extra=_latest,
    ),
    delete=Call(operation="delete_launch_template", params=_ID),
    name=Name(longest=125, prefix="namePrefix"),
    names={
        "name": "LaunchTemplateName",
        "description": "VersionDescription",
        "defaultVersion": "DefaultVersionNumber",
        "latestVersion": "LatestVersionNumber",
        "securityGroupNames": "SecurityGroups",
        "vpcSecurityGroupIds": "SecurityGroupIds",
        "networkInterfaces.securityGroups": "Groups",
        "networkInterfaces.ipv4Addresses": "PrivateIpAddresses",
    },
    facets=(
        Facet(
            properties=(*_DATA, "defaultVersion", "updateDefaultVersion"),
            put=_put_version,
            at_creation=False,
        ),
    ),
    filled=("defaultVersion",),
    local=("updateDefaultVersion", "namePrefix"),
    outputs=lambda subject, found: {"arn": subject.arn(f"launch-template/{subject.id}")},
    volatile=("latestVersion", "defaultVersion"),
    tags=Tags(
        at_creation="TagSpecifications",
        put="create_tags",
        remove="delete_tags",
        target="Resources",
        remove_member="Tags",
        identity=the_id,
        kind="launch-template",
    ),
    rules=(
        rules.text(
            "name",
            r"[A-Za-z0-9().\-/_]{3,128}",
            "a launch template's name has 3 to 128 letters, digits and ( ) . - / _",
        ),
        _versions,
    ),
)

TYPES = (LAUNCH_TEMPLATE,)
