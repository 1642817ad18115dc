"""One local cloud for all tests of this folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

import pocket.emulator
from pocket.emulator import CloudEndpoints
from pocket.supervisor import Supervisor


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudEndpoints]:
    root = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        endpoints = pocket.emulator.start(root, region="us-east-1")
        for name, value in pocket.emulator.environment(endpoints).items():
            patch.setenv(name, value)
        try:
            yield endpoints
        finally:
            Supervisor(root).stop_all()


@pytest.fixture(scope="module")
def client(cloud: CloudEndpoints) -> Callable[[str], Any]:
    """`client("s3")`: a boto3 client of the local cloud."""
    return functools.cache(boto3.client)
