"""One AWS API server for the provider's tests; each removes what it made."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

import boto3
from local.provider.provider import AwsProvider
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
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
            "defaultTags": {"tags": {"Project": "millwright"}},
        }
    )
