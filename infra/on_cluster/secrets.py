"""External Secrets: passwords that AWS keeps and changes, as Secrets where a pod needs them.

No password passes through the program or its state, and a password that AWS has changed arrives
within the hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pulumi

from infra.on_cluster.part import Chart, Part, Site

CHART: Final = Chart(
    name="external-secrets", repository="https://charts.external-secrets.io", version="2.9.0"
)
NAMESPACE: Final = "external-secrets"
SERVICE_ACCOUNT: Final = "external-secrets"
STORE: Final = "aws"
API: Final = "external-secrets.io/v1"


@dataclass(frozen=True, kw_only=True)
class SecretsAccount:
    """The one that AWS knows by pod identity."""

    create: bool = True
    name: str = SERVICE_ACCOUNT


@dataclass(frozen=True, kw_only=True)
class SecretsValues:
    """Of external-secrets/external-secrets."""

    replica_count: int
    leader_elect: bool
    install_crds: bool = field(default=True, metadata={"key": "installCRDs"})
    service_account: SecretsAccount = field(default_factory=SecretsAccount)


class Secrets(Part):
    """External Secrets and its store: Secrets Manager in this region."""

    part = "secrets"

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(site, opts)
        chart = self.release(
            "external-secrets",
            CHART,
            NAMESPACE,
            SecretsValues(replica_count=site.replicas, leader_elect=site.replicas > 1),
        )
        # Without ``auth`` the controller's own role is used, which names the secrets it may read.
        store = self.custom(
            STORE,
            API,
            "ClusterSecretStore",
            {"provider": {"aws": {"service": "SecretsManager", "region": site.environment.region}}},
            after=[chart],
        )
        self.ready = [store]
        self.register_outputs({})


def external_secret(
    part: Part,
    name: str,
    namespace: str,
    secret_arn: pulumi.Input[str],
    keys: dict[str, str],
    *,
    policy: Literal["Owner", "Merge"] = "Owner",
    after: Sequence[pulumi.Resource] = (),
) -> pulumi.Resource:
    """A Secret that follows one of AWS.

    Args:
        part: what it belongs to.
        name: the Secret's name.
        namespace: where it is.
        secret_arn: the secret in AWS, a JSON object.
        keys: the Secret's keys, and the properties of the object that they take.
        policy: whether the Secret is made, or one that is there already gets the keys.
        after: what must be there before.
    """
    return part.custom(
        name,
        API,
        "ExternalSecret",
        {
            "refreshInterval": "1h",
            "secretStoreRef": {"name": STORE, "kind": "ClusterSecretStore"},
            "target": {"name": name, "creationPolicy": policy},
            "data": [
                {"secretKey": key, "remoteRef": {"key": secret_arn, "property": source}}
                for key, source in keys.items()
            ],
        },
        namespace=namespace,
        after=after,
    )
