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
        from components.reads import model_of
        from contracts.dataset import DatasetSpec
        from contracts.outputs import PlatformOutputs

        done = run(
            model_of("ingest", model),
            DatasetSpec.model_validate_json(dataset),
            PlatformOutputs.model_validate_json(outputs),
            Path(tables.path),
        )
        write(done, Path(report.path))
