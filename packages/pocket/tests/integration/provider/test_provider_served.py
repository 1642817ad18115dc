"""The provider as the Pulumi CLI meets it: a process that prints its port and answers by gRPC."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from pocket.provider.serving import write_plugin
from pocket.provider.values import from_struct, to_struct

QUEUE = "urn:pulumi:test::demo::aws:s3/bucketPolicy:BucketPolicy::broken"


@pytest.fixture
def plugin(endpoint: str, tmp_path: Path) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    process = subprocess.Popen(
        [write_plugin(tmp_path / "bin"), "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AWS_ENDPOINT_URL": endpoint},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            config = {"region": "us-east-1", "accessKey": "test", "secretKey": "test"}
            answer = stub.Configure(
                provider_pb2.ConfigureRequest(args=to_struct(config), acceptSecrets=True)
            )
            assert answer.acceptSecrets
            assert answer.supportsPreview
            yield stub
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0
        process.stdout.close()


def test_a_plugin_makes_and_removes_a_resource(
    plugin: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    urn = "urn:pulumi:test::demo::aws:kms/key:Key::served"
    assert plugin.GetPluginInfo(empty_pb2.Empty()).version
    checked = plugin.Check(
        provider_pb2.CheckRequest(urn=urn, news=to_struct({"description": "served"}))
    )
    made = plugin.Create(provider_pb2.CreateRequest(urn=urn, properties=checked.inputs))
    assert from_struct(made.properties)["arn"].endswith(made.id)
    plugin.Delete(provider_pb2.DeleteRequest(urn=urn, id=made.id, properties=made.properties))
    gone = plugin.Read(provider_pb2.ReadRequest(urn=urn, id=made.id, properties=made.properties))
    assert gone.id == ""


def test_a_refusal_is_a_sentence(plugin: provider_pb2_grpc.ResourceProviderStub) -> None:
    policy = '{"Version": "2012-10-17", "Statement": []}'
    properties = to_struct({"bucket": "nobody-has-this-bucket", "policy": policy})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.Create(provider_pb2.CreateRequest(urn=QUEUE, properties=properties))
    assert "PutBucketPolicy failed" in caught.value.details()
    assert QUEUE not in caught.value.details()  # the CLI says itself which resource it is


def test_what_exists_unfinished_is_reported_with_its_id(
    plugin: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    urn = "urn:pulumi:test::demo::aws:ec2/internetGateway:InternetGateway::half"
    properties = to_struct({"vpcId": "vpc-does-not-exist"})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.Create(provider_pb2.CreateRequest(urn=urn, properties=properties))
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert detail.id.startswith("igw-")
    assert "AttachInternetGateway" in detail.reasons[0]
    request = provider_pb2.DeleteRequest(urn=urn, id=detail.id, properties=detail.properties)
    plugin.Delete(request)
