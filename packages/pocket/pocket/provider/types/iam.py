"""IAM: roles, policies and what ties them together, instance profiles and OpenID Connect
providers.
"""

import json
from typing import Any
from urllib.parse import unquote

from pocket.provider import rules
from pocket.provider.resource import (
    Call,
    Facet,
    Name,
    Read,
    ResourceType,
    Source,
    Subject,
    Tags,
    id_part,
    joined,
    prop,
    the_id,
)
from pocket.provider.values import Properties

ROLE = {"RoleName": the_id}
POLICY = {"PolicyArn": the_id}
_NAME_FORM = r"[\w+=,.@-]+"
_NAME_SENTENCE = "an IAM name is letters, digits and _ + = , . @ -"


def _document(document: Any) -> Any:
    """A policy document as text (boto3 decodes those of IAM; over other transports they are
    quoted).
    """
    return json.dumps(document) if isinstance(document, dict) else unquote(str(document))


def _global_arn(kind: str) -> Source:
    def arn(subject: Subject) -> str:
        path = subject.inputs.get("path", "/")
        return subject.aws.arn("iam", f"{kind}{path}{subject.inputs['name']}", region="")

    return arn


def _detach_everything(subject: Subject) -> None:
    """A role lets go of its policies first when the program says so."""
    if not subject.get("forceDetachPolicies"):
        return
    client = subject.client()
    attached = client.get_paginator("list_attached_role_policies").paginate(RoleName=subject.id)
    inline = client.get_paginator("list_role_policies").paginate(RoleName=subject.id)
    # Listed to the end before the first goes, for that would move the pages.
    for arn in [policy["PolicyArn"] for page in attached for policy in page["AttachedPolicies"]]:
        client.detach_role_policy(RoleName=subject.id, PolicyArn=arn)
    for name in [name for page in inline for name in page["PolicyNames"]]:
        client.delete_role_policy(RoleName=subject.id, PolicyName=name)


def _read_attachment(subject: Subject) -> Properties | None:
    role, _, policy = subject.id.partition("/")
    pages = subject.client().get_paginator("list_attached_role_policies").paginate(RoleName=role)
    attached = [entry["PolicyArn"] for page in pages for entry in page["AttachedPolicies"]]
    return {"RoleName": role, "PolicyArn": policy} if policy in attached else None


def _replace_policy(subject: Subject) -> None:
    """A new default version; the oldest goes when there are five, which is as many as IAM keeps."""
    client = subject.client()
    versions = client.list_policy_versions(PolicyArn=subject.id)["Versions"]
    spare = sorted(
        (v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"]
    )
    if len(versions) >= 5:
        client.delete_policy_version(PolicyArn=subject.id, VersionId=spare[0]["VersionId"])
    client.create_policy_version(
        PolicyArn=subject.id, PolicyDocument=subject.inputs["policy"], SetAsDefault=True
    )


def _drop_versions(subject: Subject) -> None:
    client = subject.client()
    for version in client.list_policy_versions(PolicyArn=subject.id)["Versions"]:
        if not version["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=subject.id, VersionId=version["VersionId"])


def _policy_document(subject: Subject) -> Properties:
    client = subject.client()
    version = client.get_policy(PolicyArn=subject.id)["Policy"]["DefaultVersionId"]
    found = client.get_policy_version(PolicyArn=subject.id, VersionId=version)
    return {"policy": _document(found["PolicyVersion"]["Document"])}


def _put_role_of_profile(subject: Subject) -> None:
    client = subject.client()
    profile = client.get_instance_profile(InstanceProfileName=subject.id)["InstanceProfile"]
    for role in profile["Roles"]:
        client.remove_role_from_instance_profile(
            InstanceProfileName=subject.id, RoleName=role["RoleName"]
        )
    if subject.inputs.get("role"):
        client.add_role_to_instance_profile(
            InstanceProfileName=subject.id, RoleName=subject.inputs["role"]
        )


def _empty_profile(subject: Subject) -> None:
    client = subject.client()
    profile = client.get_instance_profile(InstanceProfileName=subject.id)["InstanceProfile"]
    for role in profile["Roles"]:
        client.remove_role_from_instance_profile(
            InstanceProfileName=subject.id, RoleName=role["RoleName"]
        )


def _host(url: str) -> str:
    return url.removeprefix("https://").rstrip("/")


def _put_clients(subject: Subject) -> None:
    client, arn = subject.client(), {"OpenIDConnectProviderArn": subject.id}
    wanted, before = set(subject.inputs["clientIdLists"]), set(subject.olds["clientIdLists"])
    for audience in sorted(wanted - before):
        client.add_client_id_to_open_id_connect_provider(**arn, ClientID=audience)
    for audience in sorted(before - wanted):
        client.remove_client_id_from_open_id_connect_provider(**arn, ClientID=audience)


ROLE_TYPE = ResourceType(
    token="aws:iam/role:Role",
    service="iam",
    create=Call(operation="create_role"),
    identity=prop("name"),
    read=Read(operation="get_role", params=ROLE, path="Role"),
    delete=Call(operation="delete_role", params=ROLE),
    before_delete=_detach_everything,
    name=Name(longest=64, prefix="namePrefix"),
    names={
        "name": "RoleName",
        "assumeRolePolicy": "AssumeRolePolicyDocument",
        "uniqueId": "RoleId",
        "permissionsBoundary": "PermissionsBoundary",
        "inlinePolicies": "-",
        "managedPolicyArns": "-",
    },
    facets=(
        Facet(
            properties=("assumeRolePolicy",),
            put=Call(
                operation="update_assume_role_policy",
                params={**ROLE, "PolicyDocument": prop("assumeRolePolicy")},
                properties=(),
            ),
            at_creation=False,
        ),
        Facet(
            properties=("description", "maxSessionDuration"),
            put=Call(
                operation="update_role",
                params={**ROLE, "Description": lambda s: s.inputs.get("description", "")},
            ),
            at_creation=False,
        ),
        Facet(
            properties=("permissionsBoundary",),
            put=Call(operation="put_role_permissions_boundary", params=ROLE),
            clear=Call(operation="delete_role_permissions_boundary", params=ROLE),
            at_creation=False,
        ),
    ),
    defaults={"maxSessionDuration": 3600, "path": "/", "forceDetachPolicies": False},
    local=("forceDetachPolicies", "namePrefix"),
    outputs=lambda subject, found: {
        "assumeRolePolicy": _document(found["AssumeRolePolicyDocument"]),
        "permissionsBoundary": (found.get("PermissionsBoundary") or {}).get(
            "PermissionsBoundaryArn"
        ),
    },
    tags=Tags(
        put="tag_role",
        remove="untag_role",
        target="RoleName",
        identity=the_id,
    ),
    rules=(
        rules.policy("assumeRolePolicy", trust=True),
        rules.text("name", _NAME_FORM, _NAME_SENTENCE),
    ),
)

POLICY_TYPE = ResourceType(
    token="aws:iam/policy:Policy",
    service="iam",
    create=Call(operation="create_policy"),
    identity=_global_arn("policy"),
    read=Read(operation="get_policy", params=POLICY, path="Policy"),
    delete=Call(operation="delete_policy", params=POLICY),
    before_delete=_drop_versions,
    name=Name(longest=128, prefix="namePrefix"),
    names={"name": "PolicyName", "policy": "PolicyDocument"},
    facets=(
        Facet(
            properties=("policy",), put=_replace_policy, read=_policy_document, at_creation=False
        ),
    ),
    defaults={"path": "/"},
    local=("namePrefix", "delayAfterPolicyCreationInMs"),
    tags=Tags(put="tag_policy", remove="untag_policy", target="PolicyArn", identity=the_id),
    rules=(rules.policy("policy"), rules.text("name", _NAME_FORM, _NAME_SENTENCE)),
)

_PUT_INLINE = Call(operation="put_role_policy")

INLINE_TYPE = ResourceType(
    token="aws:iam/rolePolicy:RolePolicy",
    setting=True,
    service="iam",
    create=_PUT_INLINE,
    identity=joined(":", "role", "name"),
    read=Read(
        operation="get_role_policy",
        params={"RoleName": id_part(0, ":"), "PolicyName": id_part(1, ":")},
    ),
    delete=Call(
        operation="delete_role_policy",
        params={"RoleName": id_part(0, ":"), "PolicyName": id_part(1, ":")},
    ),
    name=Name(longest=128, prefix="namePrefix"),
    names={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"},
    facets=(
        Facet(
            properties=("policy",),
            put=Call(operation="put_role_policy", properties=("role", "name", "policy")),
            at_creation=False,
        ),
    ),
    local=("namePrefix",),
    outputs=lambda subject, found: {"policy": _document(found["PolicyDocument"])},
    rules=(rules.policy("policy"),),
)

ATTACHMENT_TYPE = ResourceType(
    token="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    service="iam",
    create=Call(operation="attach_role_policy"),
    identity=joined("/", "role", "policyArn"),
    read=_read_attachment,
    delete=Call(
        operation="detach_role_policy",
        params={
            "RoleName": id_part(0, "/"),
            "PolicyArn": lambda s: s.id.partition("/")[2],
        },
    ),
    names={"role": "RoleName", "policyArn": "PolicyArn"},
)

PROFILE_TYPE = ResourceType(
    token="aws:iam/instanceProfile:InstanceProfile",
    service="iam",
    create=Call(operation="create_instance_profile"),
    identity=prop("name"),
    read=Read(
        operation="get_instance_profile",
        params={"InstanceProfileName": the_id},
        path="InstanceProfile",
    ),
    delete=Call(operation="delete_instance_profile", params={"InstanceProfileName": the_id}),
    before_delete=_empty_profile,
    name=Name(longest=128, prefix="namePrefix"),
    names={"name": "InstanceProfileName", "uniqueId": "InstanceProfileId", "role": "-"},
    facets=(Facet(properties=("role",), put=_put_role_of_profile),),
    defaults={"path": "/"},
    local=("namePrefix",),
    outputs=lambda subject, found: {
        "role": found["Roles"][0]["RoleName"] if found["Roles"] else None
    },
    tags=Tags(
        put="tag_instance_profile",
        remove="untag_instance_profile",
        target="InstanceProfileName",
        identity=the_id,
    ),
)

OIDC_TYPE = ResourceType(
    token="aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    service="iam",
    create=Call(operation="create_open_id_connect_provider"),
    identity=lambda s: s.aws.arn("iam", f"oidc-provider/{_host(s.inputs['url'])}", region=""),
    read=Read(
        operation="get_open_id_connect_provider", params={"OpenIDConnectProviderArn": the_id}
    ),
    delete=Call(
        operation="delete_open_id_connect_provider",
        params={"OpenIDConnectProviderArn": the_id},
    ),
    names={"clientIdLists": "ClientIDList", "thumbprintLists": "ThumbprintList", "url": "Url"},
    facets=(
        Facet(properties=("clientIdLists",), put=_put_clients, at_creation=False),
        Facet(
            properties=("thumbprintLists",),
            put=Call(
                operation="update_open_id_connect_provider_thumbprint",
                params={"OpenIDConnectProviderArn": the_id},
            ),
            at_creation=False,
        ),
    ),
    normal={"url": _host},
    outputs=lambda subject, found: {"arn": subject.id},
    tags=Tags(
        put="tag_open_id_connect_provider",
        remove="untag_open_id_connect_provider",
        target="OpenIDConnectProviderArn",
        identity=the_id,
    ),
    rules=(rules.text("url", r"https://.+", "the issuer's address begins with https://"),),
)

TYPES = (ROLE_TYPE, POLICY_TYPE, INLINE_TYPE, ATTACHMENT_TYPE, PROFILE_TYPE, OIDC_TYPE)
