"""S3: buckets, and each of their settings as a resource of its own (as pulumi-aws has it since
version 7).
"""

from collections.abc import Mapping
from typing import Any

from pocket.errors import DeploymentError
from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Hook,
    Name,
    Read,
    ResourceType,
    Rule,
    Subject,
    Tags,
    id_part,
    joined,
    prop,
    the_id,
)
from pocket.provider.schema import inputs_of
from pocket.provider.shapes import Place, decode
from pocket.provider.values import Properties

BATCH = 1000  # DeleteObjects takes no more


def _create_bucket(subject: Subject) -> str:
    name, client = subject.inputs["bucket"], subject.client()
    parameters: dict[str, Any] = {"Bucket": name}
    if subject.region != "us-east-1":
        parameters["CreateBucketConfiguration"] = {"LocationConstraint": subject.region}
    if subject.inputs.get("objectLockEnabled"):
        parameters["ObjectLockEnabledForBucket"] = True
    if subject.region == "us-east-1":
        _refuse_owned(client, name)
    client.create_bucket(**parameters)
    return str(name)


def _refuse_owned(client: Any, name: str) -> None:
    """Fail where we own the bucket already, as S3 itself does in every other region."""
    try:
        client.head_bucket(Bucket=name)
    except client.exceptions.ClientError:
        return
    details = {"Code": "BucketAlreadyOwnedByYou", "Message": f"you own the bucket {name} already"}
    raise client.exceptions.BucketAlreadyOwnedByYou({"Error": details}, "CreateBucket")


def _is_empty(subject: Subject) -> bool:
    found = subject.client().list_object_versions(Bucket=subject.id, MaxKeys=1)
    return not found.get("Versions") and not found.get("DeleteMarkers")


def _put_tags(subject: Subject) -> None:
    tags = subject.inputs.get("tagsAll") or subject.inputs.get("tags") or {}
    bucket, client = subject.get("bucket"), subject.client()
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})
    else:
        client.delete_bucket_tagging(Bucket=bucket)


def _empty(subject: Subject) -> None:
    """Remove every object, version and marker, when the program allowed it by forceDestroy."""
    if not subject.get("forceDestroy"):
        return
    client = subject.client()
    # Always the first page: what a listing says of its next page is untrue once this one is gone.
    while entries := _first_entries(client, subject.id):
        for start in range(0, len(entries), BATCH):
            batch = {"Objects": entries[start : start + BATCH], "Quiet": True}
            answer = client.delete_objects(Bucket=subject.id, Delete=batch)
            for refused in answer.get("Errors", ()):
                raise DeploymentError(
                    f"the object {refused['Key']} cannot be deleted: {refused.get('Message')}",
                    where=f"s3://{subject.id}/{refused['Key']}",
                    fix="Release it (a legal hold, a retention, a policy), then run again.",
                )


def _first_entries(client: Any, bucket: str) -> list[dict[str, str]]:
    """The first of a bucket's versions and markers."""
    page = client.list_object_versions(Bucket=bucket)
    entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]


def _bucket_outputs(subject: Subject, description: Any) -> Properties:
    name, region = subject.id, subject.region
    return {
        "bucket": name,
        "arn": f"arn:{subject.aws.partition}:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        "bucketRegion": region,
        "objectLockEnabled": bool(subject.get("objectLockEnabled", False)),
    }


BUCKET_NAME: tuple[Rule, ...] = (
    rules.text(
        "bucket",
        r"(?!xn--|sthree-)(?!.*(-s3alias|--ol-s3)$)(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)"
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "a bucket's name is 3 to 63 lower-case letters, digits, hyphens and dots, and begins and"
        " ends with a letter or a digit",
    ),
)


def _bucket(token: str) -> ResourceType:
    return ResourceType(
        token=token,
        service="s3",
        create=_create_bucket,
        identity=prop("bucket"),
        read=Read(operation="head_bucket", params={"Bucket": the_id}),
        delete=Call(operation="delete_bucket", params={"Bucket": the_id}),
        before_delete=_empty,
        name=Name(property="bucket", longest=63, lower=True, prefix="bucketPrefix"),
        tags=Tags(
            at_creation="",
            write=_put_tags,
            read=Read(operation="get_bucket_tagging", params={"Bucket": the_id}, path="TagSet"),
        ),
        untouched=_is_empty,
        local=("forceDestroy", "bucketPrefix"),
        outputs=_bucket_outputs,
        rules=BUCKET_NAME,
    )


def _setting(
    name: str,
    *,
    put: str,
    get: str,
    delete: str | Hook | None,
    into: str = "",
    path: str = "@",
    absent: tuple[str, ...] = (),
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> ResourceType:
    """A bucket's setting: written as a whole, its id the bucket's name."""
    target = {"Bucket": prop("bucket")}
    write = Call(operation=put, params={**target, **(params or {})}, into=into)
    written = tuple(key for key in inputs_of(_token(name)) if key not in ("bucket", "region"))
    removal = (
        Call(operation=delete, params={"Bucket": the_id}) if isinstance(delete, str) else delete
    )
    return ResourceType(
        token=_token(name),
        service="s3",
        create=write,
        identity=prop("bucket"),
        read=Read(operation=get, params={"Bucket": the_id}, path=path, absent=absent),
        delete=removal,
        setting=True,
        facets=(Facet(properties=written, put=write, at_creation=False),),
        computed=lambda subject: {"bucket": subject.id},
        **more,
    )


def _token(name: str) -> str:
    return f"aws:s3/{name[0].lower()}{name[1:]}:{name}"


def _suspend(subject: Subject) -> None:
    client = subject.client()
    status = (subject.get("versioningConfiguration") or {}).get("status")
    if status != "Disabled":
        client.put_bucket_versioning(
            Bucket=subject.id, VersioningConfiguration={"Status": "Suspended"}
        )


def _stop_logging(subject: Subject) -> None:
    subject.client().put_bucket_logging(Bucket=subject.id, BucketLoggingStatus={})


def _whole_bucket(inputs: Properties) -> Properties:
    """Rules without a filter mean the whole bucket, which S3 wants said; tags go as keys and
    values.
    """
    if not isinstance(inputs.get("rules"), list):
        return inputs
    return {**inputs, "rules": [_explicit_rule(rule) for rule in inputs["rules"]]}


def _explicit_rule(rule: Any) -> Any:
    if not isinstance(rule, dict):
        return rule
    if "prefix" not in rule and not rule.get("filter"):
        return {**rule, "filter": {"prefix": ""}}
    both = (rule.get("filter") or {}).get("and") or {}
    if not isinstance(both.get("tags"), dict):
        return rule
    pairs = [{"key": key, "value": value} for key, value in both["tags"].items()]
    return {**rule, "filter": {**rule["filter"], "and": {**both, "tags": pairs}}}


_LIFECYCLE = Call(
    operation="put_bucket_lifecycle_configuration",
    params={"Bucket": prop("bucket")},
    into="LifecycleConfiguration",
    prepare=_whole_bucket,
)


def _read_rules(found: Any, subject: Subject) -> Any:
    """The rules as a program writes them: no filter where it would name the whole bucket."""
    rules = decode(subject.row.schema.outputs["rules"], found, Place("rules", "rules"), {})
    for rule in rules:
        if rule.get("filter") in ({}, {"prefix": ""}):
            del rule["filter"]
        if rule.get("prefix") == "":
            del rule["prefix"]
    return rules


def _without_whole_bucket(rules: Any) -> Any:
    """Rules without the filters and prefixes that name the whole bucket."""
    whole: tuple[Any, ...] = ({}, {"prefix": ""}, "")
    return [
        {k: v for k, v in rule.items() if not (k in ("filter", "prefix") and v in whole)}
        if isinstance(rule, dict)
        else rule
        for rule in rules
    ]


def _lifecycle() -> ResourceType:
    return ResourceType(
        token=_token("BucketLifecycleConfiguration"),
        service="s3",
        create=_LIFECYCLE,
        identity=prop("bucket"),
        read=Read(
            operation="get_bucket_lifecycle_configuration",
            params={"Bucket": the_id},
        ),
        delete=Call(operation="delete_bucket_lifecycle", params={"Bucket": the_id}),
        facets=(
            Facet(
                properties=("rules", "transitionDefaultMinimumObjectSize"),
                put=_LIFECYCLE,
                at_creation=False,
            ),
        ),
        computed=lambda subject: {"bucket": subject.id},
        outputs=lambda subject, found: {"rules": _read_rules(found["Rules"], subject)},
        filled=("transitionDefaultMinimumObjectSize",),
        normal={"rules": _without_whole_bucket},
    )


_TIERING = Call(
    operation="put_bucket_intelligent_tiering_configuration",
    params={
        "Bucket": prop("bucket"),
        "Id": prop("name"),
        "IntelligentTieringConfiguration": lambda s: {
            "Id": s.inputs["name"],
            "Status": s.inputs.get("status", "Enabled"),
        },
    },
    properties=("filter", "tierings"),
    into="IntelligentTieringConfiguration",
)
_TIERED = {"Bucket": id_part(0, ":"), "Id": id_part(1, ":")}

INTELLIGENT_TIERING = ResourceType(
    token=_token("BucketIntelligentTieringConfiguration"),
    service="s3",
    create=_TIERING,
    identity=joined(":", "bucket", "name"),
    read=Read(
        operation="get_bucket_intelligent_tiering_configuration",
        params=_TIERED,
        path="IntelligentTieringConfiguration",
    ),
    delete=Call(operation="delete_bucket_intelligent_tiering_configuration", params=_TIERED),
    name=Name(longest=64),
    names={"name": "Id", "tierings": "Tierings"},
    facets=(Facet(properties=("filter", "status", "tierings"), put=_TIERING, at_creation=False),),
    defaults={"status": "Enabled"},
    computed=lambda subject: {"bucket": subject.id.split(":")[0]},
)

TYPES = (
    INTELLIGENT_TIERING,
    _bucket(_token("Bucket")),
    _setting(
        "BucketVersioning",
        put="put_bucket_versioning",
        get="get_bucket_versioning",
        delete=_suspend,
        path="Status && {VersioningConfiguration: {Status: Status}}",
        names={"mfa": "MFA"},
    ),
    _setting(
        "BucketServerSideEncryptionConfiguration",
        put="put_bucket_encryption",
        get="get_bucket_encryption",
        delete="delete_bucket_encryption",
        into="ServerSideEncryptionConfiguration",
        path="ServerSideEncryptionConfiguration",
    ),
    _setting(
        "BucketPublicAccessBlock",
        put="put_public_access_block",
        get="get_public_access_block",
        delete="delete_public_access_block",
        into="PublicAccessBlockConfiguration",
        path="PublicAccessBlockConfiguration",
        defaults=dict.fromkeys(
            ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
            False,
        ),
        local=("skipDestroy",),
    ),
    _setting(
        "BucketPolicy",
        put="put_bucket_policy",
        get="get_bucket_policy",
        delete="delete_bucket_policy",
        rules=(rules.policy("policy", resource=True),),
    ),
    _setting(
        "BucketOwnershipControls",
        put="put_bucket_ownership_controls",
        get="get_bucket_ownership_controls",
        delete="delete_bucket_ownership_controls",
        path="OwnershipControls",
        into="OwnershipControls",
        names={"rule": "Rules"},
    ),
    _setting(
        "BucketLogging",
        put="put_bucket_logging",
        get="get_bucket_logging",
        delete=_stop_logging,
        params={
            "BucketLoggingStatus": lambda s: {
                "LoggingEnabled": {
                    "TargetBucket": s.inputs["targetBucket"],
                    "TargetPrefix": s.inputs["targetPrefix"],
                }
            }
        },
        path="LoggingEnabled",
    ),
    _lifecycle(),
)
