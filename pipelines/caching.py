"""Outputs of earlier runs in the place of steps that would make them again.

A step is what its code, its parameters and its inputs' content make of it. Each run's folder keeps,
for every step that it has finished, the key of all these and the digests of what was written; a
step whose key is there, in this run or in another one beside it, is not run, and gets that content
into its own run's folder. Files are linked and not copied, and only after their digest was
compared: what is missing, cut off or changed since is made again.

Kubeflow's own cache compares parameters and places, not content, so that it would not see that a
table in the lake has grown. In its interface (`kfp.local.cache.LocalCache`) this one stands in for
it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kfp import dsl
from kfp.local.cache import LocalCache

from components.reads import READS
from contracts.dataset import DatasetSpec
from contracts.outputs import PlatformOutputs
from data.files import write_whole
from data.lake import Lake
from pipelines import runs, warm

FINISHED = "finished"
"""The folder, in a run's, of what its finished steps wrote."""
FORMAT = 1
"""Of the files in it."""
TOLD = ("origin",)
"""Parameters that only errors name: nothing that is written depends on them."""

Outputs = dict[str, Any]
Listener = Callable[[str, str, str], None]
"""(step, "kept" | "cached", run): its outputs are of an earlier try of this run, or were taken from
another one; and the run whose step has written them, where that is another."""


class StepCache(LocalCache):  # type: ignore[misc]  # kfp has no types
    """The finished steps of a run and of those beside it.

    Args:
        folder: the run's.
        arguments: the pipeline's.
        reused: is told of each step that is not run.
        others: whether outputs of other runs are taken.
    """

    def __init__(
        self, folder: Path, arguments: Mapping[str, str], reused: Listener, *, others: bool
    ) -> None:
        super().__init__(str(folder / FINISHED))
        self._folder = folder
        self._arguments = arguments
        self._reused = reused
        self._others = others
        self._digests: dict[str, str] = {}
        self._lake = ""
        # Later than the folder of an earlier try, as kfp names them.
        moment = datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
        self._place = folder / runs.STEPS_FOLDER / f"training-{moment}"

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """The step's name and a digest of all that decides what it writes."""
        step = component_name.removeprefix("comp-")
        read = {
            name: self._digest(Path(value.path))
            if isinstance(value, dsl.Artifact)
            else self._parameter(step, name, str(value))
            for name, value in arguments.items()
        }
        text = json.dumps([FORMAT, step, full_command, read, env_vars, self._code], sort_keys=True)
        return f"{step}-{hashlib.sha256(text.encode()).hexdigest()}"

    def get(self, key: str) -> Outputs | None:
        """The step's outputs, now in this run's folder; None where nobody has made them."""
        step = key.rpartition("-")[0]
        for entry in self._entries(key):
            try:
                made = json.loads(entry.read_text(encoding="utf-8"))
                outputs = self._taken(step, self._deserialize_outputs(made["outputs"]), made)
            except (OSError, ValueError, KeyError, RuntimeError):
                continue  # Of a run whose files were removed meanwhile.
            if outputs is None:
                continue
            own = entry.parent.parent == self._folder
            maker = str(made.get("run", entry.parent.parent.name))
            self._keep(key, outputs, maker)
            other = maker if maker != self._folder.name else ""
            self._reused(step, "kept" if own else "cached", other)
            return outputs
        return None

    def put(self, key: str, outputs: Outputs) -> None:
        """Write down what a step has finished."""
        if self._lake and self._lake != self._tables():
            return  # The lake changed under the step: nobody knows what it read.
        self._keep(key, outputs, self._folder.name)

    # -- what decides ----------------------------------------------------------------------------

    def _parameter(self, step: str, name: str, value: str) -> object:
        """A parameter, as far as the step reads it."""
        if name == "model" and step in READS:
            return {key: part for key, part in json.loads(value).items() if key in READS[step]}
        if name in TOLD:
            return None
        if name == "outputs":  # Where the lake is decides nothing; what it holds does.
            self._lake = self._lake or self._tables()
            return self._lake
        return value

    def _tables(self) -> str:
        """The content of the dataset's tables in the lake; another one each time where it does not
        say."""
        told = warm.apart(fingerprints, self._arguments["dataset"], self._arguments["outputs"])
        return told or uuid.uuid4().hex

    @cached_property
    def _code(self) -> str:
        return hashlib.sha256(f"{runs.code_digest()} {installed()}".encode()).hexdigest()

    # -- what was written ------------------------------------------------------------------------

    def _entries(self, key: str) -> Iterator[Path]:
        """Files of the key: this run's, then the others' from the newest on."""
        own = self._folder / FINISHED / f"{key}.json"
        if own.is_file():
            yield own
        if self._others:
            found = self._folder.parent.glob(f"*/{FINISHED}/{key}.json")
            yield from sorted((path for path in found if path != own), key=age, reverse=True)

    def _keep(self, key: str, outputs: Outputs, maker: str) -> None:
        made = {
            "run": maker,
            "outputs": self._serialize_outputs(outputs),
            "digests": {name: self._digest(Path(given.path)) for name, given in outputs.items()},
        }
        write_whole(self._folder / FINISHED / f"{key}.json", json.dumps(made))

    def _taken(self, step: str, outputs: Outputs, made: Mapping[str, Any]) -> Outputs | None:
        """The outputs, linked into this run's folder; None where one is not what was written."""
        for name, given in outputs.items():
            if digest(Path(given.path)) != made["digests"][name]:
                return None
        for name, given in outputs.items():
            target = self._place / step / name
            link(Path(given.path), target)
            given.uri = str(target)
            self._digests[str(target)] = made["digests"][name]
        return outputs

    def _digest(self, path: Path) -> str:
        if str(path) not in self._digests:
            self._digests[str(path)] = digest(path)
        return self._digests[str(path)]


def age(path: Path) -> float:
    """When a file was written; long ago, where it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def files(path: Path) -> list[Path]:
    """A file, or the files in a folder."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def digest(path: Path) -> str:
    """SHA-256 of a file's content, or of the names and contents in a folder.

    Raises:
        OSError: it is not there.
    """
    total = hashlib.sha256()
    for file in files(path):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def link(source: Path, target: Path) -> None:
    """The file or folder at another place too; what is written there is never written again."""
    for file in files(source):
        place = target / file.relative_to(source) if source.is_dir() else target
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:  # Another file system, or one without links.
            shutil.copyfile(file, place)


def fingerprints(dataset: str, outputs: str) -> str:
    """The content of a dataset's tables in the lake, as their manifests name it.

    Raises:
        DataError: one is not there, or the lake does not answer.
    """
    spec = DatasetSpec.model_validate_json(dataset)
    lake = Lake(PlatformOutputs.model_validate_json(outputs).lake)
    return json.dumps({name: lake.manifest(spec.name, name).fingerprint for name in spec.tables})


def installed() -> str:
    """Python and everything that is installed, by version; by its source, where a version says
    nothing because somebody works on it."""
    total = hashlib.sha256(sys.version.encode())
    found = ((release(distribution), distribution) for distribution in distributions())
    for name, distribution in sorted(found, key=lambda pair: pair[0]):
        total.update(f"{name}\n".encode())
        folder = edited(distribution.read_text("direct_url.json"))
        if folder is not None and folder != runs.PROJECT:
            for path in sorted(folder.rglob("*.py")):
                if not any(part.startswith(".") for part in path.relative_to(folder).parts):
                    total.update(path.read_bytes())
    return total.hexdigest()


def release(distribution: Distribution) -> str:
    """The name and version of what is installed.

    Of its metadata the head alone is read: parsing all of them, each with its page of description,
    takes a second.
    """
    head = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "")[:4096]
    lines = head.partition("\n\n")[0].splitlines()
    fields = dict(line.split(": ", 1) for line in reversed(lines) if ": " in line)
    return f"{fields.get('Name')} {fields.get('Version')}"


def edited(origin: str | None) -> Path | None:
    """The folder that a distribution is installed from as it stands (PEP 610); None for a copy."""
    given = json.loads(origin) if origin else {}
    if not given.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(given["url"]).path)).resolve()
