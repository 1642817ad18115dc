"""A server of a repository as a process: from S3, within its memory, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from contracts.artifact import DOCUMENT_FILE, MODEL_FILE
from tests.integration.serving.test_runtime_process import running
from tests.unit.runtime.test_repository import ROW, put

BUCKET = "models"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    try:
        yield f"s3://{BUCKET}/models"
    finally:
        server.stop()


def upload(folder: Path) -> None:
    client = boto3.client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    for path in folder.rglob("*"):
        if path.name in (DOCUMENT_FILE, MODEL_FILE):
            key = f"models/{path.relative_to(folder).as_posix()}"
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())


def test_a_repository_in_s3(tmp_path: Path, s3: str) -> None:
    put(tmp_path, "m1", "1")
    put(tmp_path, "m2", "2")
    upload(tmp_path)
    client = boto3.client("s3")
    for number in range(1100):  # more than a page
        client.put_object(Bucket=BUCKET, Key=f"models/a{number}/runs/artifacts.txt", Body=b"")
    with (
        running("--repository", s3, "--memory", "64MiB") as (_, url),
        httpx.Client(base_url=url, trust_env=False, timeout=30) as http,
    ):
        listed = http.post("/v2/repository/index").json()
        assert [own["name"] for own in listed] == ["m1", "m2"]
        answer = http.post("/v2/models/m2/infer", json=ROW)
        assert (answer.status_code, answer.json()["model_version"]) == (200, "2")
        client.delete_object(Bucket=BUCKET, Key="models/m1/1/model.onnx")
        refused = http.post("/v2/models/m1/infer", json=ROW)
        assert (refused.status_code, "NoSuchKey" in refused.json()["error"]) == (500, True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--repository", "/nowhere"), "cannot serve: "),
        (("--repository", ".", "--name", "m"), "--name"),
        (("--repository", ".", "--memory", "much"), "not a size such as 512MiB or 2GiB"),
        (("--repository", ".", "--artifact", "."), "not allowed with"),
        ((), "is required"),
    ],
)
def test_what_cannot_be_served_is_said(options: tuple[str, ...], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.runtime", "--port", "1", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert sentence in done.stderr
