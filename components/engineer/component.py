"""The KFP face of engineer."""

from kfp import dsl


def engineer(
    model: str,
    dataset: str,
    definitions: str,
    origin: str,
    source: dsl.Input[dsl.Dataset],
    features: dsl.Output[dsl.Dataset],
    table: dsl.Output[dsl.Artifact],
) -> None:
    """Compute the model's features and label."""
    from pathlib import Path

    from components.entry import step

    with step("engineer"):
        from components.documents import write
        from components.engineer.step import engineer as run
        from components.reads import model_of
        from contracts.dataset import DatasetSpec
        from data.files import write_whole

        spec = model_of("engineer", model)
        # Kept beside what it made, whatever becomes of the file that it was.
        file = Path(features.path).with_name(Path(spec.features).name)
        write_whole(file, definitions)
        schema = DatasetSpec.model_validate_json(dataset)
        done = run(Path(source.path), spec, schema, file, Path(features.path), origin=origin)
        write(done, Path(table.path))
