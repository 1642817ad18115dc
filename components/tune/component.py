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
        from components.reads import model_of
        from components.tune.step import tune as run

        spec = model_of("tune", model)
        run(Path(parts.path), Path(selection.path), spec, Path(tuning.path))
