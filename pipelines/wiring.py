"""The training pipeline as Kubeflow sees it: which steps there are, and what each takes from which.

Documents and tables travel as artifacts. What is fixed for a run (the model's and the dataset's
documents, the features' source, the platform's outputs) travels as text: kfp turns the integers of
a structured parameter into floating point.

    python -m pipelines.wiring <file>       writes the pipeline as Kubeflow Pipelines takes it
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any

import yaml

PIPELINE = "training"
DESCRIPTION = "From tables in the lake to a registered, gated model."

WIRES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "ingest": {},
    "validate": {"source": ("ingest", "tables")},
    "engineer": {"source": ("validate", "tables")},
    "preprocess": {"features": ("engineer", "features"), "table": ("engineer", "table")},
    "select": {"parts": ("preprocess", "parts")},
    "tune": {"parts": ("preprocess", "parts"), "selection": ("select", "selection")},
    "train": {
        "parts": ("preprocess", "parts"),
        "selection": ("select", "selection"),
        "tuning": ("tune", "tuning"),
    },
    "evaluate": {"parts": ("preprocess", "parts"), "trained": ("train", "trained")},
    "register": {"trained": ("train", "trained"), "evaluation": ("evaluate", "evaluation")},
}
"""Each step's inputs: the step that writes one, and its name there. In the order of the run."""

STEPS = tuple(WIRES)

PARAMETERS: Mapping[str, str] = {
    "model": "The model's document (model.yaml), as JSON.",
    "dataset": "The document of the dataset that it learns from (dataset.yaml), as JSON.",
    "definitions": "The source of the model's features (Python).",
    "origin": "The file that this source was, for whom its errors name it.",
    "outputs": "The environment's outputs, as JSON: where its stores are.",
    "tracking_uri": "The address of MLflow, as the steps reach it.",
    "key": "What makes a registered version one; empty: the run itself, as it should be here.",
    "code_version": "The commit of the code, kept with the version.",
}
"""What a run is given, as its starter reads it in Kubeflow's own pages."""
DEFAULTS: Mapping[str, str] = {"origin": "", "key": "", "code_version": "unknown"}

DEFAULT_IMAGE = f"millwright/pipelines:{version('millwright')}"
"""The image with this project installed, by its version; what is submitted names an environment's
own, by its digest."""


def build(
    image: str = DEFAULT_IMAGE,
    *,
    defaults: Mapping[str, str] = DEFAULTS,
    variables: Mapping[str, str] | None = None,
    caching: bool = True,
) -> Any:
    """The pipeline.

    Args:
        image: the image that the steps run in.
        defaults: values of parameters that a run need not give.
        variables: of the steps' environment.
        caching: whether a step may be skipped that ran before on the same inputs, but for the last,
            which acts on the registry. A server does not see that tables in the lake have grown;
            `pipelines.caching` does.
    """
    from kfp import dsl

    names = sorted(PARAMETERS, key=lambda name: name in defaults)

    def training(*values: object) -> None:
        # A server puts the run's own identity here, whoever started it: a person, a schedule.
        given = {**dict(zip(names, values, strict=True)), "run": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
        tasks: dict[str, Any] = {}
        for step, wires in WIRES.items():
            component = getattr(import_module(f"components.{step}.component"), step)
            inputs = {
                name: tasks[before].outputs[output] for name, (before, output) in wires.items()
            }
            taken = given.keys() & signature(component).parameters.keys()
            face: Any = dsl.component(component, base_image=image, install_kfp_package=False)
            tasks[step] = face(**{name: given[name] for name in sorted(taken)}, **inputs)
            tasks[step].set_caching_options(caching and step != STEPS[-1])
            # Its set_env_variable looks up the name of who calls it for an error that cannot be
            # here: most of a second for the nine steps.
            container = tasks[step].container_spec
            container.env = {**(container.env or {}), **(variables or {})}

    described = "\n".join(f"    {name}: {text}" for name, text in PARAMETERS.items())
    training.__doc__ = f"{DESCRIPTION}\n\nArgs:\n{described}\n"
    training.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(
                name,
                Parameter.POSITIONAL_OR_KEYWORD,
                annotation=str,
                default=defaults.get(name, Parameter.empty),
            )
            for name in names
        ]
    )
    return dsl.pipeline(name=PIPELINE, description=DESCRIPTION)(training)


def compile(path: Path, pipeline: Any = None) -> None:
    """Write the pipeline in the form that Kubeflow Pipelines takes (IR YAML).

    Args:
        path: the file to write.
        pipeline: what ``build`` gave; with its defaults where none is given.
    """
    from google.protobuf import json_format

    # kfp's own compiler heads the file with the defaults in comments; one of several lines, such as
    # the features' source, breaks out of its comment there.
    spec = json_format.MessageToDict((pipeline or build()).pipeline_spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(spec, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    compile(Path(sys.argv[1]))
