"""The KFP face of evaluate."""

from kfp import dsl


def evaluate(
    model: str,
    parts: dsl.Input[dsl.Dataset],
    trained: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure the exported model on the test part."""
    from pathlib import Path

    from components.entry import step

    with step("evaluate"):
        from components.evaluate.step import evaluate as run
        from components.reads import model_of

        spec = model_of("evaluate", model)
        run(Path(parts.path), Path(trained.path), spec, Path(evaluation.path))
