"""The KFP face of validate."""

from kfp import dsl


def validate(
    dataset: str,
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
        from contracts.dataset import DatasetSpec

        spec = DatasetSpec.model_validate_json(dataset)
        write(run(Path(source.path), spec, Path(tables.path)), Path(report.path))
