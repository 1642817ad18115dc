"""Keys, roles, policies and secrets."""

from pocket_testing.provider_cases.making import (
    TAGS,
    Case,
    a_policy,
    const,
    key,
    role,
    secret,
    trust,
)

KMS_CASES = {
    "aws:kms/key:Key": Case(
        inputs=const(
            description="one",
            enableKeyRotation=True,
            deletionWindowInDays=7,
            **TAGS,
            policy=a_policy("kms:*", Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        ),
        change={"description": "two", "enableKeyRotation": False, "tags": {"Name": "two"}},
        replace={"keyUsage": "SIGN_VERIFY"},
        unimported=("deletionWindowInDays",),
    ),
    "aws:kms/alias:Alias": Case(
        inputs=lambda world: {"name": "alias/lake", "targetKeyId": key(world)["keyId"]},
        change=lambda world: {
            "targetKeyId": world.create("aws:kms/key:Key", {}, name="key2")["arn"]
        },
        replace={"name": "alias/other"},
    ),
}
IAM_CASES = {
    "aws:iam/role:Role": Case(
        inputs=const(assumeRolePolicy=trust(), description="one", **TAGS),
        change={
            "assumeRolePolicy": trust("eks.amazonaws.com"),
            "description": "two",
            "maxSessionDuration": 7200,
            "tags": {"Name": "two"},
        },
        replace={"path": "/elsewhere/"},
    ),
    "aws:iam/policy:Policy": Case(
        inputs=const(policy=a_policy(), description="reads", **TAGS),
        change={"policy": a_policy("s3:PutObject")},
        replace={"description": "writes"},
    ),
    "aws:iam/rolePolicy:RolePolicy": Case(
        inputs=lambda world: {"role": role(world).id, "policy": a_policy()},
        change={"policy": a_policy("s3:PutObject")},
        replace={"role": "else"},
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Case(
        inputs=lambda world: {
            "role": role(world)["name"],
            "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
        },
        replace={"policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"},
    ),
    "aws:iam/instanceProfile:InstanceProfile": Case(
        inputs=lambda world: {"role": role(world)["name"], **TAGS},
        change=lambda world: {"role": role(world, name="other")["name"]},
        replace={"path": "/elsewhere/"},
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Case(
        inputs=const(
            url="https://oidc.example.com/id/1",
            clientIdLists=["sts.amazonaws.com"],
            thumbprintLists=["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"],
            **TAGS,
        ),
        change={"clientIdLists": ["another"], "thumbprintLists": ["a" * 40]},
        replace={"url": "https://oidc.example.com/id/2"},
    ),
}
SECRET_CASES = {
    "aws:secretsmanager/secret:Secret": Case(
        inputs=const(description="one", recoveryWindowInDays=0, **TAGS),
        change={"description": "two", "tags": {"Name": "two"}},
        replace={"name": "another"},
        unimported=("recoveryWindowInDays",),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Case(
        inputs=lambda world: {"secretId": secret(world).id, "secretString": "hush"},
        replace={"secretString": "other"},
        stays=True,
    ),
}
