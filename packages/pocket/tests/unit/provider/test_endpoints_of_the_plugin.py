"""As the Pulumi CLI's plugin the provider serves an emulator, and no account unless it is told."""

from __future__ import annotations

import pytest

from pocket.errors import DeploymentError
from pocket.provider.aws import Aws, Settings

HERE = ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:4566", "http://127.9.9.9"]
ELSEWHERE = [
    "https://s3.eu-central-1.amazonaws.com",
    "http://localstack:4566",
    "http://127.0.0.1.example.com",
    "http://localhost.example.com",
    "http://10.0.0.1:4566",
    "http://0.0.0.0:4566",
]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "POCKET_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("url", HERE)
def test_this_machine_is_served(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    assert Aws(Settings(loopback_only=True)).client("s3").meta.endpoint_url.startswith(url)


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("how", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "settings"])
def test_another_place_is_refused(url: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(loopback_only=True, endpoints={"s3": url} if how == "settings" else {})
    if how != "settings":
        monkeypatch.setenv(how, url)
    with pytest.raises(DeploymentError, match="not on this machine") as refused:
        Aws(settings).client("s3")
    assert url in refused.value.where
    assert "POCKET_ENDPOINTS" in refused.value.fix


def test_no_endpoint_is_an_account_and_refused() -> None:
    with pytest.raises(DeploymentError, match="not on this machine"):
        Aws(Settings(loopback_only=True)).client("sts")


@pytest.mark.parametrize("told", ["localstack", "other, localstack", "any"])
def test_what_is_told_is_served(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localstack:4566")
    monkeypatch.setenv("POCKET_ENDPOINTS", told)
    assert Aws(Settings(loopback_only=True)).client("s3")


def test_in_its_own_process_the_caller_decides() -> None:
    assert Aws(Settings(access_key="k", secret_key="s")).client("s3")
