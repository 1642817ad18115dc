"""The KFP face of register."""

from kfp import dsl


def register(
    model: str,
    outputs: str,
    tracking_uri: str,
    key: str,
    run: str,
    code_version: str,
    trained: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    registration: dsl.Output[dsl.Artifact],
) -> None:
    """Register a version, if every gate passed.

    ``run`` is the server's identity of the run; it stands in for a key where none is given.
    """
    from pathlib import Path

    from components.entry import step

    with step("register"):
        from datetime import UTC, datetime

        from components.register.step import register as register_version
        from contracts.model import ModelSpec
        from contracts.outputs import PlatformOutputs

        register_version(
            Path(trained.path),
            Path(evaluation.path),
            ModelSpec.model_validate_json(model),
            PlatformOutputs.model_validate_json(outputs),
            Path(registration.path),
            tracking_uri=tracking_uri,
            key=key or run,
            code_version=code_version,
            now=datetime.now(UTC),
        )
