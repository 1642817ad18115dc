"""The KFP face of ingest."""

from kfp import dsl


def ingest(
    model: str,
    dataset: str,
    outputs: str,
    tables: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Copy the part of the lake that the split needs."""
    from pathlib import Path

    from components.entry import step

    with step("ingest"):
        from components.documents import write
        from components.ingest.step import ingest as run
        from contracts.dataset import DatasetSpec
        from contracts.model import ModelSpec
        from contracts.outputs import PlatformOutputs

        done = run(
            ModelSpec.model_validate_json(model),
            DatasetSpec.model_validate_json(dataset),
            PlatformOutputs.model_validate_json(outputs),
            Path(tables.path),
        )
        write(done, Path(report.path))
