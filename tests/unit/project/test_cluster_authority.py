"""A cluster whose certificate authority is none: a sentence, and no file of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.errors import InfrastructureError
from project.cluster import configuration


def session(authority: str) -> Any:
    """What EKS says of a cluster, to whoever asks."""
    described = {"cluster": {"endpoint": "https://k", "certificateAuthority": {"data": authority}}}
    eks = SimpleNamespace(describe_cluster=lambda name: described)
    return SimpleNamespace(client=lambda service, region_name: eks)


@pytest.mark.parametrize("authority", ["not base64!", "iVBORw0KGgo=", "w6Q="])
def test_what_is_no_certificate_is_refused(authority: str, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="no certificate in Base64"):
        configuration(session(authority), "eu-central-1", "k", tmp_path / "place")
    assert not list((tmp_path / "place").iterdir())
