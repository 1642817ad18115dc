"""The training pipeline as Kubeflow sees it: nine steps, wired.

Documents and tables travel as artifacts. What is fixed for a run (the model's document, its
features' source, the platform's outputs) travels as text: kfp turns the integers of a structured
parameter into floating point.
"""

from collections.abc import Callable
from typing import Any

from kfp import dsl

from components.engineer.component import engineer
from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.preprocess.component import preprocess
from components.register.component import register
from components.select.component import select
from components.train.component import train
from components.tune.component import tune
from components.validate.component import validate

DEFAULT_IMAGE = "millwright/pipelines-python:latest"
"""The image with this project installed; an environment's own is given when compiling."""


def build(image: str = DEFAULT_IMAGE) -> Any:
    """The pipeline, its steps running in the image."""

    def task(step: Callable[..., None], **arguments: object) -> Any:
        component: Any = dsl.component(step, base_image=image, install_kfp_package=False)
        return component(**arguments)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name="training", description="From tables in the lake to a registered, gated model."
    )
    def training(
        model: str, definitions: str, outputs: str, tracking_uri: str, key: str, code_version: str
    ) -> None:
        ingested = task(ingest, model=model, outputs=outputs).outputs
        valid = task(validate, model=model, source=ingested["tables"]).outputs
        engineered = task(
            engineer, model=model, definitions=definitions, source=valid["tables"]
        ).outputs
        parts = task(
            preprocess, model=model, features=engineered["features"], table=engineered["table"]
        ).outputs["parts"]
        selection = task(select, model=model, parts=parts).outputs["selection"]
        tuning = task(tune, model=model, parts=parts, selection=selection).outputs["tuning"]
        trained = task(train, model=model, parts=parts, selection=selection, tuning=tuning).outputs[
            "trained"
        ]
        evaluation = task(evaluate, model=model, parts=parts, trained=trained).outputs["evaluation"]
        task(
            register,
            model=model,
            outputs=outputs,
            tracking_uri=tracking_uri,
            key=key,
            code_version=code_version,
            trained=trained,
            evaluation=evaluation,
        )

    return training
