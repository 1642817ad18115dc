"""The model registry: versions of a model, their artifacts, and which of them is stable.

MLflow gives the version numbers, the aliases and the runs with their metrics; the artifact itself
is a folder in the lake, so that a model server needs no MLflow. A version is made in steps, each of
which may be the last before a kill: the number is taken, the model goes up, then its document,
then the version is marked complete. Only complete versions are shown, and doing it again with the
same key goes on where it stopped, with the same number.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.artifact import DOCUMENT_FILE, Artifact
from contracts.document import suggest
from contracts.errors import DataError
from data.objects import put_object, read_object

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE = "candidate"
STABLE = "stable"
KEY_TAG = "millwright.run"
DIGEST_TAG = "millwright.digest"
"""On complete versions only."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A version that is being made, or was."""

    name: str
    version: str
    run_id: str
    """The tracking server's run."""
    uri: str
    """The artifact's folder."""
    aliases: tuple[str, ...] = ()
    created: datetime
    tags: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether its artifact is whole."""
        return DIGEST_TAG in self.tags


class ModelRegistry:
    """The registry behind a tracking URI (``sqlite:///…`` or ``http://…``)."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; imported here because the import takes seconds."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        with self._first():
            return MlflowClient(tracking_uri=self.tracking_uri)

    @contextmanager
    def _first(self) -> Iterator[None]:
        """One process at a time makes a database's tables: MLflow does when it meets a new one, and
        two at once would undo each other's work."""
        if not self.tracking_uri.startswith("sqlite:"):
            yield
            return
        from filelock import FileLock

        name = hashlib.sha256(self.tracking_uri.encode()).hexdigest()[:16]
        with FileLock(Path(tempfile.gettempdir()) / f"millwright-registry-{name}.lock"):
            yield

    def open(self, name: str, *, key: str, location: str) -> Entry:
        """Take a version number, or find the one that was taken with this key.

        Args:
            name: the model's.
            key: what makes the version one: the pipeline run.
            location: the folder in which each version has its folder.
        """
        with self._explained():
            run_id = self._run(name, key, location)
            self._ignoring("RESOURCE_ALREADY_EXISTS", self.client.create_registered_model, name)
            taken = [entry for entry in self._entries(name) if entry.run_id == run_id]
            if taken:
                return taken[0]
            made = self.client.create_model_version(
                name, source=location, run_id=run_id, tags={KEY_TAG: key}
            )
            return self._entry(made)

    def record(
        self,
        entry: Entry,
        *,
        metrics: Mapping[str, float],
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> None:
        """Write down how the version came about, with its run; again does no harm."""
        with self._explained():
            for name, value in metrics.items():
                self.client.log_metric(entry.run_id, name, value, timestamp=0)
            for name, given in parameters.items():
                self.client.log_param(entry.run_id, name, given)
            for name, text in tags.items():
                self.client.set_tag(entry.run_id, name, text)
                self.client.set_model_version_tag(entry.name, entry.version, name, text)

    def publish(self, entry: Entry, artifact: Artifact, model: bytes) -> None:
        """Put the artifact in its place, model first, and mark the version complete.

        Raises:
            DataError: another artifact is already there: a version never changes.
        """
        there = read_artifact(entry.uri, missing_ok=True)
        if there is not None and there.digest != artifact.digest:
            raise DataError(
                "another model is already registered here", where=entry.uri, fix="run it anew"
            )
        if there is None:
            put_object(f"{entry.uri}/{artifact.model_file}", model)
            put_object(f"{entry.uri}/{DOCUMENT_FILE}", artifact.model_dump_json(indent=2).encode())
        with self._explained():
            self.client.set_model_version_tag(
                entry.name, entry.version, DIGEST_TAG, artifact.digest
            )
            self.client.set_terminated(entry.run_id)

    def get(self, name: str, version: str) -> tuple[Artifact, str]:
        """A version's artifact document and its folder's URI.

        Raises:
            DataError: there is no such version, or its artifact is missing.
        """
        entries = {entry.version: entry for entry in self.versions(name)}
        if version not in entries:
            raise DataError(
                f"{name} has no version {version}",
                where=self.tracking_uri,
                fix=suggest(version, list(entries)) if entries else "train the model first",
            )
        uri = entries[version].uri
        artifact = read_artifact(uri)
        assert artifact is not None
        return artifact, uri

    def versions(self, name: str) -> list[Entry]:
        """The complete versions, oldest first."""
        with self._explained():
            return [entry for entry in self._entries(name) if entry.complete]

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version.

        Raises:
            DataError: there is no such version.
        """
        self.get(name, version)
        with self._explained():
            self.client.set_registered_model_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; nothing happens where there is none."""
        with self._explained():
            self._ignoring(
                "RESOURCE_DOES_NOT_EXIST", self.client.delete_registered_model_alias, name, alias
            )

    def alias(self, name: str, alias: str) -> str | None:
        """The version that an alias points at."""
        for entry in self.versions(name):
            if alias in entry.aliases:
                return entry.version
        return None

    def _run(self, name: str, key: str, location: str) -> str:
        """The tracking run with the key; made where there is none."""
        experiment = self.client.get_experiment_by_name(name)
        identity = (
            experiment.experiment_id
            if experiment
            else self.client.create_experiment(name, artifact_location=f"{location}/runs")
        )
        runs = self.client.search_runs([identity], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        if runs:
            return str(runs[0].info.run_id)
        made = self.client.create_run(identity, run_name=key, tags={KEY_TAG: key})
        return str(made.info.run_id)

    def _entries(self, name: str) -> list[Entry]:
        """All versions, oldest first, with their aliases."""
        from mlflow.exceptions import MlflowException

        try:
            aliases = self.client.get_registered_model(name).aliases
        except MlflowException as error:
            # What can be no model's name is refused before it is looked for.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return []
            raise
        versions = self.client.search_model_versions(f"name='{name}'", max_results=10_000)
        entries = [self._entry(made, aliases) for made in versions]
        return sorted(entries, key=lambda entry: int(entry.version))

    @staticmethod
    def _entry(made: Any, aliases: Mapping[str, object] | None = None) -> Entry:
        version = str(made.version)
        return Entry(
            name=made.name,
            version=version,
            run_id=made.run_id,
            uri=f"{made.source}/{version}",
            aliases=tuple(name for name, to in (aliases or {}).items() if str(to) == version),
            created=datetime.fromtimestamp(made.creation_timestamp / 1000, UTC),
            tags=dict(made.tags),
        )

    @staticmethod
    def _ignoring(code: str, call: Any, *arguments: Any) -> None:
        """Call, and take one refusal for an answer."""
        from mlflow.exceptions import MlflowException

        try:
            call(*arguments)
        except MlflowException as error:
            if error.error_code != code:
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the registry says, as an error for a person."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise DataError(
                f"the model registry refused: {str(error).splitlines()[0]}",
                where=self.tracking_uri,
                fix="is the tracking server up, and its address right?",
            ) from error


def read_artifact(uri: str, *, missing_ok: bool = False) -> Artifact | None:
    """The document of an artifact's folder (``s3://…`` or ``file://…``).

    Args:
        uri: the folder.
        missing_ok: give None where there is none, instead of an error.

    Raises:
        DataError: it is missing or cannot be read.
    """
    place = f"{uri}/{DOCUMENT_FILE}"
    content = read_object(place)
    if content is None and not missing_ok:
        raise DataError("there is no artifact", where=place)
    if content is None:
        return None
    return Artifact.parse(json.loads(content), where=place)
