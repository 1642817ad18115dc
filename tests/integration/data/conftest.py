"""A lake on the local cloud."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

import pocket.emulator
from contracts.outputs import LakeOutputs
from data.lake import Lake
from laptop.supervisor import Supervisor

BUCKETS = {zone: f"millwright-data-test-{zone}" for zone in ("raw", "curated", "artifacts")}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    root = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        endpoints = pocket.emulator.start(root, region="us-east-1")
        for name, value in pocket.emulator.environment(endpoints).items():
            patch.setenv(name, value)
        try:
            s3 = boto3.client("s3")
            for bucket in BUCKETS.values():
                s3.create_bucket(Bucket=bucket)
            yield Lake(LakeOutputs(**BUCKETS, key_arn=""))
        finally:
            Supervisor(root).stop_all()
