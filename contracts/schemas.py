"""JSON Schemas of the documents that people write: editors complete and check the YAML from them.

``python -m contracts.schemas FOLDER`` writes them (``make generate``); a test keeps them current.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from contracts.artifact import Artifact
from contracts.dataset import DatasetSpec
from contracts.document import Document
from contracts.environment import Environment
from contracts.model import ModelSpec, ServedModel
from contracts.outputs import PlatformOutputs
from contracts.rollout import RolloutSpec, RolloutStatus

DOCUMENTS: dict[str, type[Document]] = {
    "artifact": Artifact,
    "dataset": DatasetSpec,
    "environment": Environment,
    "model": ModelSpec,
    "platform-outputs": PlatformOutputs,
    "registered-model": ServedModel,
    "rollout": RolloutSpec,
    "rollout-status": RolloutStatus,
}


def schema(name: str) -> str:
    """One document's JSON Schema, as the file's text."""
    body = DOCUMENTS[name].model_json_schema(by_alias=True)
    body["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(body, indent=2, sort_keys=True) + "\n"


def write(folder: Path) -> None:
    """Write every schema into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (folder / f"{name}.json").write_text(schema(name), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
