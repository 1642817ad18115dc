"""The KFP face of validate."""

from kfp import dsl


def validate(
    model: str,
    source: dsl.Input[dsl.Dataset],
    tables: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Set aside the rows that are not what their schema says."""
    from pathlib import Path

    from components.entry import step

    with step("validate"):
        from components.documents import write
        from components.validate.step import validate as run
        from contracts.model import ModelSpec
        from data.datasets import find_dataset

        schema = find_dataset(ModelSpec.model_validate_json(model).source.dataset)
        write(run(Path(source.path), schema, Path(tables.path)), Path(report.path))
