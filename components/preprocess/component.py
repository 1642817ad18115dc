"""The KFP face of preprocess."""

from kfp import dsl


def preprocess(
    model: str,
    features: dsl.Input[dsl.Dataset],
    table: dsl.Input[dsl.Artifact],
    parts: dsl.Output[dsl.Dataset],
) -> None:
    """Split by time, and learn how each feature is made ready."""
    from pathlib import Path

    from components.entry import step

    with step("preprocess"):
        from components.documents import read
        from components.preprocess.step import preprocess as run
        from components.reads import model_of
        from contracts.features import FeatureTable

        spec = model_of("preprocess", model)
        run(Path(features.path), read(FeatureTable, Path(table.path)), spec, Path(parts.path))
