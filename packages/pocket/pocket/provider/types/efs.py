"""EFS: file systems, where they are mounted, and by whom."""

import json
import uuid
from typing import Any

from pocket.provider import rules
from pocket.provider.resource import (
    URN_TAG,
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Subject,
    Tags,
    Wait,
    prop,
    the_id,
)
from pocket.provider.shapes import Problem
from pocket.provider.values import Properties

_FILE_SYSTEM = {"FileSystemId": the_id}
_STATES = Wait(
    path="LifeCycleState", ready=("available",), failed=("error",), gone=("deleted", "deleting")
)
_TAGS = Tags(target="ResourceId", identity=the_id)


def _find_file_system(subject: Subject) -> str | None:
    token = subject.inputs["creationToken"]
    found = subject.client().describe_file_systems(CreationToken=token)["FileSystems"]
    return str(found[0]["FileSystemId"]) if found else None


def _put_lifecycle(subject: Subject) -> None:
    names = {
        "transitionToArchive": "TransitionToArchive",
        "transitionToIa": "TransitionToIA",
        "transitionToPrimaryStorageClass": "TransitionToPrimaryStorageClass",
    }
    policies = [
        {names[key]: value}
        for block in subject.inputs.get("lifecyclePolicies") or ()
        for key, value in block.items()
    ]
    subject.client().put_lifecycle_configuration(
        FileSystemId=subject.id, LifecyclePolicies=policies
    )


def _throughput(inputs: Properties) -> Any:
    if inputs.get("throughputMode") == "provisioned" and not inputs.get(
        "provisionedThroughputInMibps"
    ):
        yield Problem("provisionedThroughputInMibps", "provisioned throughput needs a number")
    if inputs.get("kmsKeyId") and inputs.get("encrypted") is False:
        yield Problem("encrypted", "must be true where kmsKeyId names a key")


FILE_SYSTEM = ResourceType(
    token="aws:efs/fileSystem:FileSystem",
    service="efs",
    create=Call(operation="create_file_system"),
    id_path="FileSystemId",
    find=_find_file_system,
    read=Read(operation="describe_file_systems", params=_FILE_SYSTEM, path="FileSystems[0]"),
    delete=Call(operation="delete_file_system", params=_FILE_SYSTEM),
    wait=_STATES,
    name=Name(property="creationToken", longest=64),
    names={"arn": "FileSystemArn", "sizeInBytes": "-", "lifecyclePolicies": "LifecyclePolicies"},
    facets=(
        Facet(
            properties=("lifecyclePolicies",),
            put=_put_lifecycle,
            read=Read(operation="describe_lifecycle_configuration", params=_FILE_SYSTEM),
        ),
        Facet(
            properties=("throughputMode", "provisionedThroughputInMibps"),
            put=Call(operation="update_file_system", params=_FILE_SYSTEM),
            at_creation=False,
        ),
    ),
    defaults={"throughputMode": "bursting"},
    filled=("kmsKeyId", "performanceMode", "encrypted", "availabilityZoneName", "protection"),
    hidden=("provisionedThroughputInMibps",),
    outputs=lambda subject, found: {
        "arn": found.get("FileSystemArn")
        or subject.arn(f"file-system/{subject.id}", "elasticfilesystem"),
        "dnsName": f"{subject.id}.efs.{subject.region}.amazonaws.com",
        "sizeInBytes": None,
    },
    tags=_TAGS,
    rules=(_throughput,),
)


def _find_mount(subject: Subject) -> str | None:
    client, inputs = subject.client(), subject.inputs
    found = client.describe_mount_targets(FileSystemId=inputs["fileSystemId"])["MountTargets"]
    here = [target for target in found if target["SubnetId"] == inputs["subnetId"]]
    return str(here[0]["MountTargetId"]) if here else None


def _read_groups(subject: Subject) -> Properties:
    found = subject.client().describe_mount_target_security_groups(MountTargetId=subject.id)
    return {"securityGroups": found["SecurityGroups"]}


def _mount_outputs(subject: Subject, found: Any) -> Properties:
    host = f"{found['FileSystemId']}.efs.{subject.region}.amazonaws.com"
    zone = found.get("AvailabilityZoneName")
    return {
        "fileSystemArn": subject.arn(f"file-system/{found['FileSystemId']}", "elasticfilesystem"),
        "dnsName": host,
        "mountTargetDnsName": f"{zone}.{host}" if zone else None,
    }


MOUNT_TARGET = ResourceType(
    token="aws:efs/mountTarget:MountTarget",
    service="efs",
    create=Call(operation="create_mount_target"),
    id_path="MountTargetId",
    find=_find_mount,
    read=Read(
        operation="describe_mount_targets",
        params={"MountTargetId": the_id},
        path="MountTargets[0]",
    ),
    delete=Call(operation="delete_mount_target", params={"MountTargetId": the_id}),
    wait=_STATES,
    facets=(
        Facet(
            properties=("securityGroups",),
            put=Call(
                operation="modify_mount_target_security_groups", params={"MountTargetId": the_id}
            ),
            read=_read_groups,
            at_creation=False,
        ),
    ),
    filled=("ipAddress", "ipAddressType", "securityGroups"),
    outputs=_mount_outputs,
)


def _token(subject: Subject) -> str:
    return str(
        uuid.uuid5(uuid.NAMESPACE_URL, subject.urn + json.dumps(subject.inputs, sort_keys=True))
    )


def _find_access_point(subject: Subject) -> str | None:
    client = subject.client()
    points = client.describe_access_points(FileSystemId=subject.inputs["fileSystemId"])
    for point in points["AccessPoints"]:
        tags = {tag["Key"]: tag["Value"] for tag in point.get("Tags") or ()}
        if tags.get(URN_TAG) == subject.urn[-256:]:
            return str(point["AccessPointId"])
    return None


ACCESS_POINT = ResourceType(
    token="aws:efs/accessPoint:AccessPoint",
    service="efs",
    create=Call(operation="create_access_point", params={"ClientToken": _token}),
    id_path="AccessPointId",
    find=_find_access_point,
    read=Read(
        operation="describe_access_points",
        params={"AccessPointId": the_id},
        path="AccessPoints[0]",
    ),
    delete=Call(operation="delete_access_point", params={"AccessPointId": the_id}),
    names={"arn": "AccessPointArn"},
    filled=("rootDirectory",),
    outputs=lambda subject, found: {
        "fileSystemArn": subject.arn(f"file-system/{found['FileSystemId']}", "elasticfilesystem")
    },
    tags=_TAGS,
    rules=(
        lambda inputs: (
            [Problem("rootDirectory.path", f'"{path}" is no path: it begins with a slash')]
            if isinstance(root := inputs.get("rootDirectory"), dict)
            and isinstance(path := root.get("path"), str)
            and not path.startswith("/")
            else ()
        ),
    ),
)

_PUT_BACKUP = Call(operation="put_backup_policy")

BACKUP_POLICY = ResourceType(
    token="aws:efs/backupPolicy:BackupPolicy",
    setting=True,
    service="efs",
    create=_PUT_BACKUP,
    identity=prop("fileSystemId"),
    read=Read(operation="describe_backup_policy", params=_FILE_SYSTEM),
    delete=Call(
        operation="put_backup_policy",
        params={**_FILE_SYSTEM, "BackupPolicy": {"Status": "DISABLED"}},
    ),
    facets=(
        Facet(
            properties=("backupPolicy",),
            put=Call(operation="put_backup_policy", properties=("fileSystemId", "backupPolicy")),
            at_creation=False,
        ),
    ),
    computed=lambda subject: {"fileSystemId": subject.id},
    rules=(
        lambda inputs: (
            [Problem("backupPolicy.status", "must be ENABLED or DISABLED")]
            if isinstance(policy := inputs.get("backupPolicy"), dict)
            and policy.get("status") in ("ENABLING", "DISABLING")
            else ()
        ),
    ),
)

_PUT_POLICY = Call(
    operation="put_file_system_policy",
    properties=("fileSystemId", "policy", "bypassPolicyLockoutSafetyCheck"),
)

FILE_SYSTEM_POLICY = ResourceType(
    token="aws:efs/fileSystemPolicy:FileSystemPolicy",
    setting=True,
    service="efs",
    create=_PUT_POLICY,
    identity=prop("fileSystemId"),
    read=Read(operation="describe_file_system_policy", params=_FILE_SYSTEM),
    delete=Call(operation="delete_file_system_policy", params=_FILE_SYSTEM),
    facets=(
        Facet(
            properties=("policy", "bypassPolicyLockoutSafetyCheck"),
            put=_PUT_POLICY,
            at_creation=False,
        ),
    ),
    hidden=("bypassPolicyLockoutSafetyCheck",),
    rules=(rules.policy("policy", resource=True),),
)

TYPES = (FILE_SYSTEM, MOUNT_TARGET, ACCESS_POINT, BACKUP_POLICY, FILE_SYSTEM_POLICY)
