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
        from components.reads import model_of
        from components.train.step import train as run

        run(
            Path(parts.path),
            Path(selection.path),
            Path(tuning.path),
            model_of("train", model),
            Path(trained.path),
        )
