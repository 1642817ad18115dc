"""The data sources that a program may ask for: who we are, where we are, what is already there.

A policy document is computed here, without a call, as pulumi-aws does it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pocket.errors import DeploymentError
from pocket.provider.aws import Aws, explain
from pocket.provider.lookups import LOOKUPS
from pocket.provider.shapes import did_you_mean, tags_to_map
from pocket.provider.values import Properties

Function = Callable[[Aws, Properties], Properties]


def invoke(aws: Aws, token: str, arguments: Properties) -> Properties:
    """The answer of a function, by its token (``aws:index/getRegion:getRegion``).

    Raises DeploymentError for a function that is not here, naming those that are, and for what
    AWS refuses.
    """
    if token not in FUNCTIONS:
        raise DeploymentError(
            f"the provider has no function {token}{did_you_mean(token, FUNCTIONS)}",
            fix=f"Supported are: {', '.join(sorted(FUNCTIONS))}",
        )
    try:
        answer = FUNCTIONS[token](aws, arguments)
    except (ClientError, BotoCoreError) as error:
        raise explain(error, token, "answer") from error
    return {key: value for key, value in answer.items() if value is not None}


def _caller(aws: Aws, _: Properties) -> Properties:
    found = aws.caller
    return {
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
        "id": found["Account"],
    }


def _region(aws: Aws, arguments: Properties) -> Properties:
    name = arguments.get("region") or arguments.get("name") or aws.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": name,
        "endpoint": f"ec2.{name}.amazonaws.com",
    }


def _partition(aws: Aws, _: Properties) -> Properties:
    suffix = {"aws-cn": "amazonaws.com.cn"}.get(aws.partition, "amazonaws.com")
    reverse = ".".join(reversed(suffix.split(".")))
    return {
        "id": aws.partition,
        "partition": aws.partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": reverse,
    }


def _filters(arguments: Properties, **named: str) -> list[dict[str, Any]]:
    filters = [
        {"Name": each["name"], "Values": each["values"]} for each in arguments.get("filters") or ()
    ]
    filters += [
        {"Name": f"tag:{key}", "Values": [value]}
        for key, value in (arguments.get("tags") or {}).items()
    ]
    return filters + [
        {"Name": name, "Values": [arguments[key]]}
        for key, name in named.items()
        if arguments.get(key)
    ]


def _zones(aws: Aws, arguments: Properties) -> Properties:
    found = aws.client("ec2", arguments.get("region")).describe_availability_zones(
        Filters=_filters(arguments, state="state")
    )["AvailabilityZones"]
    excluded = {*(arguments.get("excludeNames") or ()), *(arguments.get("excludeZoneIds") or ())}
    kept = [z for z in found if not {z["ZoneName"], z["ZoneId"]} & excluded]
    kept.sort(key=lambda zone: zone["ZoneName"])
    return {
        "id": aws.region,
        "names": [zone["ZoneName"] for zone in kept],
        "zoneIds": [zone["ZoneId"] for zone in kept],
        "groupNames": sorted({zone.get("GroupName", aws.region) for zone in kept}),
        "region": arguments.get("region") or aws.region,
        **{
            key: arguments.get(key)
            for key in ("state", "filters", "excludeNames", "excludeZoneIds")
        },
    }


def _the_one(found: list[Any], what: str) -> Any:
    if len(found) == 1:
        return found[0]
    raise DeploymentError(
        f"{len(found)} {what} match, where exactly one must",
        fix="Give an id, or filters and tags that only one of them has.",
    )


def _vpc(aws: Aws, arguments: Properties) -> Properties:
    more = {"VpcIds": [arguments["id"]]} if arguments.get("id") else {}
    filters = _filters(arguments, cidrBlock="cidr", state="state")
    if arguments.get("default"):
        filters.append({"Name": "is-default", "Values": ["true"]})
    found = _the_one(aws.client("ec2").describe_vpcs(Filters=filters, **more)["Vpcs"], "VPCs")
    return {
        "id": found["VpcId"],
        "arn": aws.arn("ec2", f"vpc/{found['VpcId']}"),
        "cidrBlock": found["CidrBlock"],
        "default": found["IsDefault"],
        "instanceTenancy": found["InstanceTenancy"],
        "dhcpOptionsId": found.get("DhcpOptionsId"),
        "state": found["State"],
        "ownerId": found.get("OwnerId"),
        "tags": tags_to_map(found.get("Tags") or []),
    }


def _subnets(aws: Aws, arguments: Properties) -> Properties:
    found = aws.client("ec2").describe_subnets(Filters=_filters(arguments))["Subnets"]
    return {
        "id": aws.region,
        "ids": sorted(s["SubnetId"] for s in found),
        "filters": arguments.get("filters"),
        "tags": arguments.get("tags") or {},
        "region": aws.region,
    }


def _subnet(aws: Aws, arguments: Properties) -> Properties:
    more = {"SubnetIds": [arguments["id"]]} if arguments.get("id") else {}
    filters = _filters(
        arguments, vpcId="vpc-id", cidrBlock="cidrBlock", availabilityZone="availabilityZone"
    )
    found = _the_one(
        aws.client("ec2").describe_subnets(Filters=filters, **more)["Subnets"], "subnets"
    )
    return {
        "id": found["SubnetId"],
        "arn": found["SubnetArn"],
        "vpcId": found["VpcId"],
        "cidrBlock": found["CidrBlock"],
        "availabilityZone": found["AvailabilityZone"],
        "tags": tags_to_map(found.get("Tags") or []),
    }


def _parameter(aws: Aws, arguments: Properties) -> Properties:
    decrypt = arguments.get("withDecryption", True)
    found = aws.client("ssm").get_parameter(Name=arguments["name"], WithDecryption=decrypt)[
        "Parameter"
    ]
    return {
        "id": found["Name"],
        "name": found["Name"],
        "arn": found["ARN"],
        "type": found["Type"],
        "value": found["Value"],
        "insecureValue": found["Value"] if found["Type"] != "SecureString" else None,
        "version": found["Version"],
        "withDecryption": decrypt,
        "region": aws.region,
    }


def _role(aws: Aws, arguments: Properties) -> Properties:
    found = aws.client("iam").get_role(RoleName=arguments["name"])["Role"]
    return {
        "id": found["RoleName"],
        "name": found["RoleName"],
        "arn": found["Arn"],
        "path": found["Path"],
        "uniqueId": found["RoleId"],
        "assumeRolePolicy": json.dumps(found["AssumeRolePolicyDocument"]),
        "maxSessionDuration": found.get("MaxSessionDuration", 3600),
        "description": found.get("Description", ""),
        "createDate": found["CreateDate"].isoformat(),
        "tags": tags_to_map(found.get("Tags") or []),
    }


def _secret_version(aws: Aws, arguments: Properties) -> Properties:
    version = {"VersionId": arguments["versionId"]} if arguments.get("versionId") else {}
    stage = {"VersionStage": arguments.get("versionStage") or "AWSCURRENT"} if not version else {}
    found = aws.client("secretsmanager").get_secret_value(
        SecretId=arguments["secretId"], **version, **stage
    )
    return {
        "id": f"{arguments['secretId']}|{found['VersionId']}",
        "arn": found["ARN"],
        "secretId": arguments["secretId"],
        "secretString": found.get("SecretString"),
        "versionId": found["VersionId"],
        "versionStages": found["VersionStages"],
        "createdDate": found["CreatedDate"].isoformat(),
    }


def _bucket(aws: Aws, arguments: Properties) -> Properties:
    name = arguments["bucket"]
    aws.client("s3").head_bucket(Bucket=name)
    return {
        "id": name,
        "bucket": name,
        "arn": f"arn:{aws.partition}:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
        "region": aws.region,
    }


def _eks_auth(aws: Aws, arguments: Properties) -> Properties:
    """A token for the cluster's API: a presigned GetCallerIdentity, as the AWS CLI makes it."""
    import base64

    from botocore.signers import RequestSigner

    session = aws.session
    signer = RequestSigner(
        aws.client("sts").meta.service_model.service_id,
        aws.region,
        "sts",
        "v4",
        session.get_credentials(),
        session.events,
    )
    request = {
        "method": "GET",
        "url": f"https://sts.{aws.region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": arguments["name"]},
        "context": {},
    }
    url = signer.generate_presigned_url(
        request, region_name=aws.region, expires_in=60, operation_name=""
    )
    token = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return {"id": arguments["name"], "name": arguments["name"], "token": f"k8s-aws-v1.{token}"}


# --- policy documents ---------------------------------------------------------------------------


def _policy_document(aws: Aws, arguments: Properties) -> Properties:
    sources = [json.loads(text) for text in arguments.get("sourcePolicyDocuments") or ()]
    overrides = [json.loads(text) for text in arguments.get("overridePolicyDocuments") or ()]
    statements = [s for document in sources for s in _as_list(document.get("Statement"))]
    statements = _merged(
        statements, [_statement(s) for s in arguments.get("statements") or ()], False
    )
    for override in overrides:
        statements = _merged(statements, _as_list(override.get("Statement")), True)
    document: dict[str, Any] = {"Version": arguments.get("version") or "2012-10-17"}
    if arguments.get("policyId"):
        document["Id"] = arguments["policyId"]
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    digest = str(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16))
    compact = json.dumps(document, separators=(",", ":"))
    return {**arguments, "id": digest, "json": text, "minifiedJson": compact}


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _merged(base: list[Any], more: list[Any], override: bool) -> list[Any]:
    """Statements joined; one with the Sid of an earlier one takes its place if it may override."""
    result = list(base)
    for statement in more:
        sid = statement.get("Sid")
        place = next((i for i, s in enumerate(result) if sid and s.get("Sid") == sid), None)
        if place is None:
            result.append(statement)
        elif override:
            result[place] = statement
        else:
            raise DeploymentError(
                f'two statements have the Sid "{sid}"',
                where="aws:iam/getPolicyDocument:getPolicyDocument",
                fix="Give each statement a Sid of its own.",
            )
    return result


def _one_or_many(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else sorted(values, reverse=True)


def _statement(block: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": block["sid"]} if block.get("sid") else {}
    statement["Effect"] = block.get("effect") or "Allow"
    for key, name in (
        ("Action", "actions"),
        ("NotAction", "notActions"),
        ("Resource", "resources"),
        ("NotResource", "notResources"),
    ):
        if block.get(name):
            statement[key] = _one_or_many(block[name])
    for key, name in (("Principal", "principals"), ("NotPrincipal", "notPrincipals")):
        if block.get(name):
            statement[key] = _principals(block[name])
    if block.get("conditions"):
        statement["Condition"] = _conditions(block["conditions"])
    return statement


def _principals(blocks: list[Mapping[str, Any]]) -> Any:
    if len(blocks) == 1 and blocks[0]["type"] == "*" and blocks[0]["identifiers"] == ["*"]:
        return "*"
    gathered: dict[str, list[str]] = {}
    for block in blocks:
        gathered.setdefault(block["type"], []).extend(block["identifiers"])
    return {kind: _one_or_many(values) for kind, values in gathered.items()}


def _conditions(blocks: list[Mapping[str, Any]]) -> dict[str, Any]:
    gathered: dict[str, dict[str, list[str]]] = {}
    for block in blocks:
        gathered.setdefault(block["test"], {}).setdefault(block["variable"], []).extend(
            block["values"]
        )
    return {
        test: {
            variable: values[0] if len(values) == 1 else values
            for variable, values in by_name.items()
        }
        for test, by_name in gathered.items()
    }


def _token(module: str, name: str) -> str:
    return f"aws:{module}/{name}:{name}"


FUNCTIONS: dict[str, Function] = {
    _token("index", "getCallerIdentity"): _caller,
    _token("index", "getRegion"): _region,
    _token("index", "getPartition"): _partition,
    _token("index", "getAvailabilityZones"): _zones,
    _token("iam", "getPolicyDocument"): _policy_document,
    _token("iam", "getRole"): _role,
    _token("ec2", "getVpc"): _vpc,
    _token("ec2", "getSubnets"): _subnets,
    _token("ec2", "getSubnet"): _subnet,
    _token("ssm", "getParameter"): _parameter,
    _token("secretsmanager", "getSecretVersion"): _secret_version,
    _token("s3", "getBucket"): _bucket,
    _token("eks", "getClusterAuth"): _eks_auth,
    **{_token(module, name): function for (module, name), function in LOOKUPS.items()},
}
