"""The laptop's AWS server for the provider's tests; each test removes what it made."""

from collections.abc import Iterator

import boto3
import pytest

from pocket.emulator import endpoints
from pocket.provider.provider import AwsProvider
from pocket_testing.provider_world import World


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("cloud")
    yield endpoints.start(root).endpoint_url
    endpoints.stop(root)


@pytest.fixture(scope="module")
def provider(endpoint: str) -> AwsProvider:
    """A configured provider: making its clients costs most of a short test, so it is made once."""
    services = boto3.session.Session().get_available_services()
    return AwsProvider(
        {
            "region": "us-east-1",
            "accessKey": "test",
            "secretKey": "test",
            "maxRetries": "1",  # what the server cannot do fails at once
            "endpoints": [{service.replace("-", ""): endpoint for service in services}],
            "defaultTags": {"tags": {"Project": "demo"}},
        }
    )


@pytest.fixture
def world(provider: AwsProvider) -> Iterator[World]:
    """The engine's side; what a test made is removed after it."""
    world = World(provider)
    yield world
    world.clear()
