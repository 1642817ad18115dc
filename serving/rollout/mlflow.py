"""MLflow's aliases of a model, over its REST API: what the registry's readers call stable.

For people and for jobs that ask the registry, not for the rollout: nothing waits for it, and a
registry that is down or knows no such version costs an Event, never a verdict. By plain requests,
because MLflow's own client would be nine tenths of the operator.

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html (registered models, aliases).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from contracts.errors import RolloutError
from serving.rollout.aliases import AGAIN_AFTER, RememberedAliases

TIMEOUT = 2.0
"""Seconds for one request: a step of the rollout is in progress meanwhile."""
_PATH = "/api/2.0/mlflow/registered-models"


class MlflowServer:
    """A tracking server.

    Args:
        uri: its address; user and password, or a token, are in the environment as MLflow's own
            clients have them (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD,
            MLFLOW_TRACKING_TOKEN).
        clock: seconds, for the time between two attempts.
    """

    def __init__(self, uri: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.uri = uri.rstrip("/")
        self.clock = clock
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        self._client = httpx.Client(
            timeout=TIMEOUT,
            auth=(user, password) if user and not token else None,
            headers={"authorization": f"Bearer {token}"} if token else {},
        )
        self._models: dict[str, RememberedAliases] = {}

    def aliases(self, model: str) -> RememberedAliases:
        """One model's; always the same object, which remembers what it has set."""
        if model not in self._models:
            self._models[model] = RememberedAliases(
                MlflowAliases(self, model), again_after=AGAIN_AFTER, clock=lambda: self.clock()
            )
        return self._models[model]

    def ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """Its answer.

        Raises:
            RolloutError: it does not answer, or it refuses.
        """
        try:
            answer = self._client.request(method, f"{self.uri}{_PATH}{path}", **given)
            body: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RolloutError(
                f"MLflow does not answer: {type(error).__name__}", where=self.uri
            ) from None
        if answer.is_error:
            raise RolloutError(
                f"MLflow refuses: {body.get('message', answer.reason_phrase)}", where=self.uri
            )
        return body


@dataclass(frozen=True)
class MlflowAliases:
    """Where a registered model's aliases are.

    Args:
        mlflow: the tracking server.
        model: the registered model's name.
    """

    mlflow: MlflowServer
    model: str

    def get(self) -> dict[str, str | None]:
        """The version that each alias points at."""
        answer = self.mlflow.ask("GET", "/get", params={"name": self.model})
        aliases = answer["registered_model"].get("aliases", [])
        return {entry["alias"]: str(entry["version"]) for entry in aliases}

    def put(self, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it."""
        named = {"name": self.model, "alias": alias}
        if version is None:
            self.mlflow.ask("DELETE", "/alias", json=named)
        else:
            self.mlflow.ask("POST", "/alias", json={**named, "version": version})
