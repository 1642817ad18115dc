"""What a server says of itself and its model: metadata, configuration, statistics, repository.

Clients of Triton and KServe ask for these before they send anything. Only what is known is said:
the statistics have no times of queues and copies, because nobody takes them.

Sources: https://github.com/kserve/open-inference-protocol (metadata), and of Triton's
https://github.com/triton-inference-server/server/tree/main/docs/protocol the extensions
model_configuration, statistics and model_repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from contracts.artifact import Artifact, Tensor
from contracts.version import VERSION
from serving import protocol
from serving.runtime.counters import Counters
from serving.runtime.model import Model
from serving.runtime.refusal import Refusal, shown

EXTENSIONS = ("feedback", "binary_tensor_data", "model_configuration", "statistics")
SERVER = {
    "name": "millwright",
    "version": VERSION,
    "extensions": EXTENSIONS,
}
REPOSITORY_SERVER = {**SERVER, "extensions": [*EXTENSIONS, "model_repository"]}
Body = TypeVar("Body", bound=msgspec.Struct)
_UNTIMED = ("queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


def metadata(model: Model) -> dict[str, Any]:
    """Of ``/v2/models/<model>``."""
    artifact = model.artifact
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": _platform(artifact, "onnx_onnxv1"),
        "inputs": [_tensor(tensor) for tensor in artifact.inputs],
        "outputs": [_tensor(tensor) for tensor in artifact.outputs],
    }


def _platform(artifact: Artifact, of_onnx: str) -> str:
    return of_onnx if artifact.format == "onnx" else "python"


def _tensor(tensor: Tensor) -> dict[str, Any]:
    notes = {"parameters": {"optional": True}} if tensor.optional else {}
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        **notes,
    }


def config(model: Model) -> dict[str, Any]:
    """Of ``/v2/models/<model>/config``, in the form of Triton's ModelConfig."""
    artifact = model.artifact
    return {
        "name": model.name,
        "platform": _platform(artifact, "onnxruntime_onnx"),
        "backend": _platform(artifact, "onnxruntime"),
        "version_policy": {"specific": {"versions": [int(model.version)]}},
        "max_batch_size": 0,  # the first dimension is written out in dims
        "input": [
            {**_configured(tensor), "optional": tensor.optional} for tensor in artifact.inputs
        ],
        "output": [_configured(tensor) for tensor in artifact.outputs],
    }


def _configured(tensor: Tensor) -> dict[str, Any]:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": tensor.shape}


def statistics(known: Iterable[tuple[str, str, Counters]]) -> dict[str, Any]:
    """Of ``/v2/models/<model>/stats``: what was counted since the server started.

    Args:
        known: names, versions and counters.
    """
    return {"model_stats": [_statistics(*each) for each in known]}


def _statistics(name: str, version: str, counters: Counters) -> dict[str, Any]:
    answered = counters.requests[200]
    failed = sum(counters.requests.values()) - answered
    durations = {
        "success": (answered, counters.seconds.sum - counters.refused_seconds),
        "fail": (failed, counters.refused_seconds),
        **dict.fromkeys(_UNTIMED, (0, 0.0)),
    }
    return {
        "name": name,
        "version": version,
        "last_inference": round(counters.last * 1000),
        "inference_count": counters.rows,
        "execution_count": answered,
        "inference_stats": {
            name: {"count": count, "ns": round(seconds * 1e9)}
            for name, (count, seconds) in durations.items()
        },
        "batch_stats": [],
    }


class IndexRequest(msgspec.Struct):
    """The body of ``repository/index``; may be empty."""

    ready: bool | None = None


class SteeringRequest(msgspec.Struct):
    """The body of ``load`` and ``unload``; may be empty."""

    parameters: dict[str, Any] = {}


def wants_ready(body: bytes) -> bool:
    """Whether an index is asked for of ready models alone.

    Raises:
        Refusal: the body is not what the extension says.
    """
    return bool(_optional(body, IndexRequest, "a request of an index").ready)


def check_steering(body: bytes) -> None:
    """Take what ``load`` and ``unload`` may say.

    Raises:
        Refusal: the body is not what the extension says, or would change what is loaded.
    """
    asked = _optional(body, SteeringRequest, "a request to load or unload a model")
    if unknown := sorted(asked.parameters.keys() - {"unload_dependents"}):
        raise Refusal(
            400,
            f"the parameter {shown(unknown[0])} is not taken: a model is loaded as the repository "
            "has it",
            fix="leave the parameters out",
        )


def _optional(body: bytes, kind: type[Body], what: str) -> Body:
    try:
        return msgspec.json.decode(body, type=kind) if body.strip() else kind()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise Refusal(400, f"this is not {what}: {first}") from None


def index(model: Model, body: bytes, *, draining: bool) -> list[dict[str, str]]:
    """Of ``/v2/repository/index``: the one model.

    Raises:
        Refusal: the body is not what the extension says.
    """
    only_ready = wants_ready(body)
    state = "UNAVAILABLE" if draining else "READY"
    if only_ready and draining:
        return []
    reason = "the server is ending" if draining else ""
    return [{"name": model.name, "version": model.version, "state": state, "reason": reason}]


def nothing_at(path: str, own: Model, known: Iterable[str]) -> Refusal:
    """Why there is nothing at a path, and what was probably meant.

    Args:
        path: as it was sent, unescaped.
        own: the model that is here.
        known: all paths that there are.
    """
    if refusal := _misspelled(path, known, own.name):
        return refusal
    match path.split("/"):
        case ["", "v2", "models", name, *_] if name != own.name:
            return Refusal(404, f"there is no model {shown(name)} here; it is {own.name!r}")
        case ["", "v2", "models", _, "versions", version, *_] if version != own.version:
            return Refusal(
                404, f"version {shown(version)} is not served here; it is {own.version!r}"
            )
    return Refusal(404, f"there is nothing at {shown(path)}; see /v2/models/{own.name}")


def nothing_in(path: str, versions: Mapping[str, Sequence[str]], known: Iterable[str]) -> Refusal:
    """Why there is nothing at a path of a server with a repository.

    Args:
        path: as it was sent, unescaped.
        versions: those of each model that there is.
        known: all paths that there are.
    """
    if refusal := _misspelled(path, known, "<model>"):
        return refusal
    match path.split("/"):
        case ["", "v2", "models", name, *_] if name not in versions:
            return Refusal(
                404,
                f"there is no model {shown(name)} here",
                fix="post to /v2/repository/index for those that there are",
            )
        case ["", "v2", "models", name, "versions", version, *_] if version not in versions[name]:
            return Refusal(
                404,
                f"there is no version {shown(version)} of {name!r} here; there are "
                f"{', '.join(versions[name])}",
            )
    return Refusal(404, f"there is nothing at {shown(path)}; see /v2/repository/index")


def _misspelled(path: str, known: Iterable[str], model: str) -> Refusal | None:
    if meant := protocol.respelled(path, known):
        return Refusal(
            404,
            f"there is nothing at {shown(path)}: paths are taken as they are spelled",
            fix=f"write {meant}",
        )
    if path.split("/")[1:2] in (["v1"], ["api"]):
        return Refusal(
            404,
            f"there is nothing at {shown(path)}: this server speaks the Open Inference "
            "Protocol, which is V2",
            fix=f"post to {protocol.INFER.of(model)}; KServe's client does with "
            'RESTConfig(protocol="v2")',
        )
    return None
