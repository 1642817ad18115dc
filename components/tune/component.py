"""The KFP face of tune."""

from kfp import dsl


def tune(
    model: str,
    parts: dsl.Input[dsl.Dataset],
    selection: dsl.Input[dsl.Artifact],
    tuning: dsl.Output[dsl.Artifact],
) -> None:
    """Search the estimator's parameters."""
    from pathlib import Path

    from components.entry import step

    with step("tune"):
        from components.tune.step import tune as run
        from contracts.model import ModelSpec

        spec = ModelSpec.model_validate_json(model)
        run(Path(parts.path), Path(selection.path), spec, Path(tuning.path))
