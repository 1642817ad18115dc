"""The registry's side and the server's side take one spelling of an artifact's address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from moto.server import ThreadedMotoServer

from contracts.addresses import Address
from contracts.artifact import DOCUMENT_FILE, MODEL_FILE
from contracts.errors import DataError, ServingError
from data.model_registry import read_artifact
from data.objects import put_object
from serving.runtime.store import fetch

NAMES = ["plain", "a b", "100%", "a%20b", "ü/中", "a?b#c", "a+b&c=d", "~x'y", "a:b@c"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    cloud = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = cloud.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        import boto3

        boto3.client("s3").create_bucket(Bucket="artifacts")
        yield "artifacts"
    cloud.stop()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["s3", "file"])
@pytest.mark.parametrize("escaped", [True, False])
def test_what_one_writes_the_other_reads(
    name: str,
    scheme: str,
    escaped: bool,
    artifacts: dict[str, Path],
    bucket: str,
    tmp_path: Path,
) -> None:
    place = f"s3://{bucket}" if scheme == "s3" else f"file://{quote(str(tmp_path))}"
    uri = f"{place}/{quote(name) if escaped else name}"
    for file in (MODEL_FILE, DOCUMENT_FILE):
        put_object(f"{uri}/{file}", (artifacts["v2"] / file).read_bytes())
    artifact, _ = fetch(uri)
    assert read_artifact(uri) == artifact
    if scheme == "file" and escaped:
        assert fetch(str(tmp_path / name))[0] == artifact
    if "%" not in name:  # written out, an escape is one
        other = f"{place}/{name if escaped else quote(name)}"
        assert read_artifact(other) == artifact == fetch(other)[0]


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///x", "file://", "s3://a\ud800/b", "/a\x00b", "x://y"]
)
def test_what_is_no_address_is_a_sentence(uri: str, bucket: str) -> None:
    with pytest.raises(ServingError):
        fetch(uri)
    with pytest.raises((DataError, ServingError)):
        read_artifact(uri)


def test_an_address_is_spelled_once() -> None:
    for text in ("s3://b/a%20b", "s3://b/a b"):
        assert Address.of(text).spelled() == "s3://b/a%20b"
    assert Address.of(Address.of("s3://b/100%").spelled()).path == "/100%"
    assert Address.of("/a%20b").path == Address.of("/a%20b").spelled() == "/a%20b"
