"""What all tests share: no test may reach the network or a person's own AWS settings."""

from __future__ import annotations

import os

import pytest

PRIVATE = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "PULUMI_CONFIG_PASSPHRASE")


@pytest.fixture(autouse=True, scope="session")
def no_settings_of_the_machine() -> None:
    """Tests see the same environment on every machine."""
    for name in PRIVATE:
        os.environ.pop(name, None)
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
