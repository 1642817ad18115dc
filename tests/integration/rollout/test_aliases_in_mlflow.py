"""The operator's requests to a real MLflow server, read back with MLflow's own client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.errors import RolloutError
from serving.rollout.mlflow import AGAIN_AFTER, MlflowServer
from tests.mlflow_server import mlflow_server

MODEL = "flight-delay"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


def test_aliases_follow_and_a_version_that_is_not_there_is_tried_again_later(uri: str) -> None:
    from mlflow import MlflowClient

    client, now = MlflowClient(tracking_uri=uri), [0.0]
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, source="s3://lake/models")
    client.set_registered_model_alias(MODEL, "of-a-person", "1")
    aliases = MlflowServer(uri, clock=lambda: now[0]).aliases(MODEL)

    assert aliases.read() == {"stable": None, "candidate": None}
    aliases.set_alias("stable", "1")
    with pytest.raises(RolloutError, match="MLflow refuses"):
        aliases.set_alias("candidate", "2")
    assert "2" in aliases.problem
    assert aliases.read() is None, "nothing is known for a while, so nothing is set"

    client.create_model_version(MODEL, source="s3://lake/models")
    now[0] += AGAIN_AFTER
    assert aliases.read() == {"stable": "1", "candidate": None}
    aliases.set_alias("candidate", "2")
    assert aliases.problem == ""
    aliases.set_alias("stable", "2")
    aliases.set_alias("candidate", None)
    aliases.set_alias("candidate", None)
    told = client.get_registered_model(MODEL).aliases
    assert {name: str(version) for name, version in told.items()} == {
        "of-a-person": "1",
        "stable": "2",
    }
    assert aliases.read() == {"stable": "2", "candidate": None}
