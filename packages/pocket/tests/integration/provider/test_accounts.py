"""The provider works only in the accounts that its configuration names."""

import json
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from pocket.engine.calls import ProviderError, call
from pocket.provider.provider import AwsProvider
from pocket.provider.values import to_struct

BUCKET = "urn:pulumi:test::demo::aws:s3/bucket:Bucket::guarded"


def provider(endpoint: str, **settings: Any) -> AwsProvider:
    endpoints = [{"s3": endpoint, "sts": endpoint}]
    keys = {"region": "eu-central-1", "accessKey": "test", "secretKey": "test"}
    return AwsProvider({**keys, "endpoints": endpoints, **settings})


def create(provider: AwsProvider, *, preview: bool = False) -> Any:
    properties = to_struct({"bucket": "guarded"})
    return call(
        provider.Create,
        provider_pb2.CreateRequest(urn=BUCKET, properties=properties, preview=preview),
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"allowedAccountIds": ["999999999999"]}, "only 999999999999"),
        ({"allowedAccountIds": json.dumps(["999999999999"])}, "only 999999999999"),
        ({"forbiddenAccountIds": ["123456789012"]}, "not 123456789012"),
    ],
)
def test_another_account_is_refused_before_anything_is_done(
    endpoint: str, settings: dict[str, Any], named: str
) -> None:
    refusing = provider(endpoint, **settings)
    with pytest.raises(ProviderError, match=named) as caught:
        create(refusing)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.had_no_effect
    assert "credentials of the environment's account" in caught.value.fix
    for method, request in (
        (refusing.Read, provider_pb2.ReadRequest(urn=BUCKET, id="guarded")),
        (refusing.Update, provider_pb2.UpdateRequest(urn=BUCKET, id="guarded")),
        (refusing.Delete, provider_pb2.DeleteRequest(urn=BUCKET, id="guarded")),
    ):
        with pytest.raises(ProviderError, match=named):
            call(method, request)
    assert not refusing.aws.client("s3").list_buckets()["Buckets"]


def test_a_preview_asks_nobody() -> None:
    unreachable = provider("http://127.0.0.1:1", allowedAccountIds=["999999999999"])
    assert create(unreachable, preview=True).properties["bucket"] == "guarded"


@pytest.mark.parametrize(
    "settings",
    [
        {"allowedAccountIds": ["123456789012"]},
        {"allowedAccountIds": ["999999999999"], "skipRequestingAccountId": True},
    ],
)
def test_the_account_that_is_named_is_worked_in(endpoint: str, settings: dict[str, Any]) -> None:
    working = provider(endpoint, **settings)
    assert create(working).id == "guarded"
    call(working.Delete, provider_pb2.DeleteRequest(urn=BUCKET, id="guarded"))
