"""What all tests share: no test may reach the network or a person's own AWS settings."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, so that a test which passed here passes there as well.
# HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile(
    "repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Threads of a library that wait for each other by spinning take the cores from the tests beside
# them, and a training is five times as long. Read when a library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Looking for garbage among all that the libraries hold took a third of the time.
gc.set_threshold(50_000, 20, 20)

PRIVATE = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "PULUMI_CONFIG_PASSPHRASE")


def pytest_collection_finish() -> None:
    """What is imported by now stays, and needs no looking through."""
    gc.freeze()


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


@pytest.fixture(autouse=True, scope="module")
def no_settings_of_other_modules() -> Iterator[None]:
    """What a module's commands have set for their process ends with the module."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True, scope="module")
def no_garbage_of_other_modules() -> Iterator[None]:
    """A program that was run leaves thousands of ended tasks, through which each event loop after
    it looks; what is left without them stays, and the next module's end need not look through it.
    """
    yield
    gc.collect()
    gc.freeze()
