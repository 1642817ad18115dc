"""Handing a training to a Kubeflow Pipelines server.

What is uploaded is whole: the model, the environment and the image, as the parameters' defaults. So
a person can start it again from Kubeflow's own pages, and a schedule can, without knowing any of
it. A version of the pipeline is named by its content: the same training again makes no new one.
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.errors import PipelineError
from contracts.outputs import PlatformOutputs
from pipelines import runs
from pipelines.following import Request
from pipelines.kubeflow import RefusedError, Server
from pipelines.wiring import DEFAULTS, build, compile

IMAGE = "pipelines"
"""The name of the steps' image among the environment's."""
CONFLICT = 409


def image_of(outputs: PlatformOutputs) -> str:
    """The image that the steps run in, by its digest: a tag may mean another image tomorrow.

    Raises:
        PipelineError: the environment has none.
    """
    image = outputs.images.get(IMAGE, "")
    if "@sha256:" not in image:
        lacks = f"its image is named without its digest: {image}" if image else "it has no image"
        raise PipelineError(
            f"the steps of a pipeline cannot run there: {lacks}",
            where=f"{outputs.environment}: images.{IMAGE}",
            fix=f"Run `millwright images push {outputs.environment}`.",
        )
    return image


def tracking_of(outputs: PlatformOutputs, given: str = "") -> str:
    """MLflow's address, as the steps in the cluster reach it.

    Args:
        outputs: the environment's.
        given: what a person gave instead.

    Raises:
        PipelineError: there is none that another machine can reach.
    """
    service = outputs.tracking
    address = given
    if not address and service is not None:
        inside = f"http://{service.service}.{service.namespace}:{service.port}"
        address = inside if service.service else service.url
    if not address.startswith(("http://", "https://")):
        lacks = f"{address} is a place on this machine" if address else "it has no MLflow"
        raise PipelineError(
            f"the steps of a pipeline cannot register a version: {lacks}",
            where=f"{outputs.environment}: tracking",
            fix="Name an address that the cluster reaches with --mlflow URL.",
        )
    return address.rstrip("/")


def store_of(outputs: PlatformOutputs) -> str:
    """The folder in the artifact store of what the steps of all runs write."""
    return f"s3://{outputs.lake.artifacts}/pipelines"


def submit(server: Server, request: Request, outputs: PlatformOutputs, now: datetime) -> Any:
    """Start a run; the server's answer comes back.

    Raises:
        PipelineError: the environment lacks what the steps need.
        AwayError: the server does not answer.
        RefusedError: it refuses.
    """
    image = image_of(outputs)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "training.yaml"
        variables = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), outputs.region)
        defaults = {**DEFAULTS, **request.parameters}
        compile(package, build(image, defaults=defaults, variables=variables, caching=False))
        version = uploaded(server, package, request, image)
    return server.call(
        "runs.run_service_create_run",
        run={
            "display_name": f"{request.spec.name}-{now.strftime(runs.MOMENT)}",
            "experiment_id": experiment(server, request.spec.name),
            "pipeline_version_reference": {
                "pipeline_id": version.pipeline_id,
                "pipeline_version_id": version.pipeline_version_id,
            },
            "runtime_config": {"pipeline_root": store_of(outputs)},
        },
    )


def uploaded(server: Server, package: Path, request: Request, image: str) -> Any:
    """The version of the model's pipeline with this content; uploaded where it is not there."""
    name, commit = request.spec.name, request.parameters["code_version"]
    pipeline = pipeline_named(server, name)
    content = hashlib.sha256(package.read_bytes()).hexdigest()[:12]

    def there() -> list[Any]:
        return server.matching(
            "pipelines.pipeline_service_list_pipeline_versions",
            "pipeline_versions",
            key="display_name",
            value=content,
            pipeline_id=pipeline,
        )

    if known := there():
        return known[0]
    try:
        return server.call(
            "pipeline_uploads.upload_pipeline_version",
            uploadfile=str(package),
            name=content,
            pipelineid=pipeline,
            description=f"Trains {name} at commit {commit} in {image}.",
        )
    except RefusedError as error:
        # Somebody else was uploading the same.
        if error.status == CONFLICT and (known := there()):
            return known[0]
        raise


def pipeline_named(server: Server, name: str) -> str:
    """The identity of the model's pipeline; made where there is none."""
    made = server.matching(
        "pipelines.pipeline_service_list_pipelines", "pipelines", key="display_name", value=name
    )
    answer = (
        made[0]
        if made
        else server.call(
            "pipelines.pipeline_service_create_pipeline",
            pipeline={"display_name": name, "description": f"Trains the model {name}."},
        )
    )
    return str(answer.pipeline_id)


def experiment(server: Server, name: str) -> str:
    """The identity of the model's experiment, which holds its runs; made where there is none."""
    made = server.matching(
        "experiments.experiment_service_list_experiments",
        "experiments",
        key="display_name",
        value=name,
    )
    answer = (
        made[0]
        if made
        else server.call(
            "experiments.experiment_service_create_experiment", experiment={"display_name": name}
        )
    )
    return str(answer.experiment_id)
