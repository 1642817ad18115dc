"""The KFP face of select."""

from kfp import dsl


def select(
    model: str,
    parts: dsl.Input[dsl.Dataset],
    selection: dsl.Output[dsl.Artifact],
) -> None:
    """Rank the features and keep the best."""
    from pathlib import Path

    from components.entry import step

    with step("select"):
        from components.reads import model_of
        from components.select.step import select as run

        run(Path(parts.path), model_of("select", model), Path(selection.path))
