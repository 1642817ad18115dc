"""Whether an artifact can be served as the version that is asked for, before a server is tried.

A laptop's rollout reads it where its servers will. A cluster's servers read it with rights of their
own, so what cannot be reached from here is no reason to refuse it there.
"""

from __future__ import annotations

from contracts.errors import RolloutError
from contracts.rollout import Target


def check_artifact(model: str, target: Target) -> None:
    """Refuse what cannot be served as the version that is asked for.

    Raises:
        RolloutError: it is another model's, or another version.
        UnreachableError: what holds it does not answer, or not to us.
        ServingError: it is not there, is not the model that was registered, or does not load.
        DocumentError: its document is not an Artifact.
    """
    from serving.runtime.model import Model
    from serving.runtime.store import fetch

    artifact, content = fetch(target.uri)
    if (artifact.name, artifact.version) != (model, target.version):
        raise RolloutError(
            f"this artifact is {artifact.name} version {artifact.version}, and {model} version "
            f"{target.version} is asked for",
            where=target.uri,
            fix="Name the version and the artifact that belong together.",
        )
    if artifact.format == "onnx":  # a person's own code is run by servers alone
        Model(model, artifact, content)
