"""The KFP face of train."""

from kfp import dsl


def train(
    model: str,
    parts: dsl.Input[dsl.Dataset],
    selection: dsl.Input[dsl.Artifact],
    tuning: dsl.Input[dsl.Artifact],
    trained: dsl.Output[dsl.Model],
) -> None:
    """Fit the estimator and export it."""
    from pathlib import Path

    from components.entry import step

    with step("train"):
        from components.train.step import train as run
        from contracts.model import ModelSpec

        run(
            Path(parts.path),
            Path(selection.path),
            Path(tuning.path),
            ModelSpec.model_validate_json(model),
            Path(trained.path),
        )
