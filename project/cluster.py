"""The Kubernetes API of an environment: where EKS says it is, and who we are there.

Kubernetes on EKS takes for a token a signed request to AWS's security token service, which EKS
makes for itself to see whose it is. `aws eks get-token` makes it; so does this module, so that a
command needs no other program.

Source: https://github.com/kubernetes-sigs/aws-iam-authenticator (API authorization from outside a
cluster)
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from contracts.errors import InfrastructureError, UsageError
from pocket.files import write_whole

PREFIX: Final = "k8s-aws-v1."
CLUSTER_HEADER: Final = "x-k8s-aws-id"
SIGNED_FOR: Final = 60
"""Seconds that the signature says; EKS takes the token for fifteen minutes."""
RENEWED_AFTER: Final = 600.0
"""Seconds after which a long command makes itself a new token."""
AUTHORITY_FILE: Final = "cluster-ca.crt"


def token(session: Any, region: str, cluster: str) -> str:
    """A token with which the session's credentials are known to a cluster."""
    from botocore.signers import RequestSigner

    sts = session.client("sts", region_name=region)
    signer = RequestSigner(
        sts.meta.service_model.service_id,
        region,
        "sts",
        "v4",
        session.get_credentials(),
        session.events,
    )
    request = {
        "method": "GET",
        "url": f"{sts.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {CLUSTER_HEADER: cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(
        request, region_name=region, expires_in=SIGNED_FOR, operation_name=""
    )
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def described(eks: Any, cluster: str) -> tuple[str, str]:
    """The API server's address and its authority's certificate in base64, as EKS has them.

    Raises:
        InfrastructureError: there is no such cluster, or it is not ready.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        description = eks.describe_cluster(name=cluster)["cluster"]
    except (BotoCoreError, ClientError) as error:
        raise InfrastructureError(
            f"EKS does not describe it: {error}",
            where=f"cluster {cluster}",
            fix="Is the environment up, and may you call eks:DescribeCluster?",
        ) from None
    endpoint, authority = (
        description.get("endpoint"),
        description.get("certificateAuthority", {}).get("data"),
    )
    if not endpoint or not authority:
        raise InfrastructureError(
            f"the cluster is {description.get('status', 'unknown')} and has no address yet",
            where=f"cluster {cluster}",
            fix="Wait until it is ACTIVE.",
        )
    return str(endpoint), str(authority)


def configuration(session: Any, region: str, cluster: str, root: Path) -> Any:
    """The Kubernetes client's configuration for a cluster of EKS.

    Args:
        session: a boto3 session with the caller's credentials.
        region: the cluster's.
        cluster: its name.
        root: the folder in which its authority's certificate is kept: the client wants a file.
    """
    from kubernetes import client

    endpoint, authority = described(session.client("eks", region_name=region), cluster)
    root.mkdir(parents=True, exist_ok=True)
    try:
        certificate = base64.b64decode(authority, validate=True).decode("ascii")
    except ValueError:
        raise InfrastructureError(
            "its certificate authority is no certificate in Base64",
            where=f"cluster {cluster}",
            fix="See `aws eks describe-cluster`; an emulator may make it up.",
        ) from None
    write_whole(root / AUTHORITY_FILE, certificate)
    made = client.Configuration()
    made.host, made.ssl_ca_cert = endpoint, str(root / AUTHORITY_FILE)
    made.retries = False
    made.refresh_api_key_hook = renewing(lambda: token(session, region, cluster))
    made.refresh_api_key_hook(made)
    return made


def renewing(
    make: Callable[[], str], clock: Callable[[], float] = time.monotonic
) -> Callable[[Any], None]:
    """What puts a token into a client's configuration, and a new one where the last is old.

    The client calls it before each request.
    """
    made: list[float] = []

    def renew(configuration: Any) -> None:
        if not made or clock() - made[-1] > RENEWED_AFTER:
            configuration.api_key["authorization"] = f"Bearer {make()}"
            made[:] = [clock()]

    return renew


def no_cluster(name: str) -> UsageError:
    """What is said where an environment has no cluster."""
    return UsageError(
        f"{name} has no Kubernetes cluster: what it serves are processes on this machine",
        fix="Name an environment on AWS with -e, or a cluster with --context.",
    )
