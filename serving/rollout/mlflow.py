"""MLflow's aliases of a model, over its REST API: what the registry's readers call stable.

For people and for jobs that ask the registry, not for the rollout: nothing waits for it, and a
registry that is down or knows no such version costs an Event, never a verdict. By plain requests,
because MLflow's own client would be nine tenths of the operator.

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html (registered models, aliases).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from contracts.errors import RolloutError

ALIASES = ("stable", "candidate")
TIMEOUT = 2.0
"""Seconds for one request: a step of the rollout is in progress meanwhile."""
AGAIN_AFTER = 60.0
"""Seconds until the registry is asked again after it failed."""
_PATH = "/api/2.0/mlflow/registered-models"


class Mlflow:
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
        self._models: dict[str, MlflowAliases] = {}

    def aliases(self, model: str) -> MlflowAliases:
        """One model's; always the same object, which remembers what it has set."""
        return self._models.setdefault(model, MlflowAliases(self, model))

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


class MlflowAliases:
    """The aliases `stable` and `candidate` of one model: the registry that a step is given.

    Args:
        mlflow: the tracking server.
        model: the registered model's name.
    """

    def __init__(self, mlflow: Mlflow, model: str) -> None:
        self._mlflow = mlflow
        self._model = model
        self._known: dict[str, str | None] | None = None
        self._again_at = 0.0
        self.problem = ""
        """Why they could not be read or set the last time; empty when they could."""

    def read(self) -> Mapping[str, str | None] | None:
        """The versions that they point at; asked for once, and then what was set here.

        None while nothing is known: nothing is set then.
        """
        if self._mlflow.clock() < self._again_at:
            return None
        if self._known is None:
            found = self._try(lambda: self._mlflow.ask("GET", "/get", params={"name": self._model}))
            told = found["registered_model"].get("aliases", [])
            by_name = {one["alias"]: str(one["version"]) for one in told}
            self._known = {alias: by_name.get(alias) for alias in ALIASES}
            self.problem = ""
        return self._known

    def set_alias(self, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it."""
        known, self._known = self._known or {}, None
        named = {"name": self._model, "alias": alias}
        if version is None:
            self._try(lambda: self._mlflow.ask("DELETE", "/alias", json=named))
        else:
            put = {**named, "version": version}
            self._try(lambda: self._mlflow.ask("POST", "/alias", json=put))
        self._known = {**known, alias: version}
        self.problem = ""

    def _try(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return ask()
        except RolloutError as error:
            self._again_at = self._mlflow.clock() + AGAIN_AFTER
            self.problem = error.what
            raise
