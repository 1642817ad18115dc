"""What a server says of itself and its model: metadata, configuration, statistics, repository.

Clients of Triton and KServe ask for these before they send anything. Only what is known is said:
the statistics have no times of queues and copies, because nobody takes them.

Sources: https://github.com/kserve/open-inference-protocol (metadata), and of Triton's
https://github.com/triton-inference-server/server/tree/main/docs/protocol the extensions
model_configuration, statistics and model_repository.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from contracts.artifact import Tensor
from contracts.version import VERSION
from serving import protocol
from serving.runtime.counters import Counters
from serving.runtime.model import Model
from serving.runtime.refusal import Refusal, shown

SERVER = {
    "name": "millwright",
    "version": VERSION,
    "extensions": ["feedback", "binary_tensor_data", "model_configuration", "statistics"],
}
_UNTIMED = ("queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


def metadata(model: Model) -> dict[str, Any]:
    """Of ``/v2/models/<model>``."""
    artifact = model.artifact
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnx_onnxv1",
        "inputs": [_tensor(tensor) for tensor in artifact.inputs],
        "outputs": [_tensor(tensor) for tensor in artifact.outputs],
    }


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
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
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


def statistics(model: Model, counters: Counters) -> dict[str, Any]:
    """Of ``/v2/models/<model>/stats``: what was counted since the server started."""
    answered = counters.requests[200]
    failed = sum(counters.requests.values()) - answered
    durations = {
        "success": (answered, counters.seconds.sum - counters.refused_seconds),
        "fail": (failed, counters.refused_seconds),
        **dict.fromkeys(_UNTIMED, (0, 0.0)),
    }
    own = {
        "name": model.name,
        "version": model.version,
        "last_inference": round(counters.last * 1000),
        "inference_count": counters.rows,
        "execution_count": answered,
        "inference_stats": {
            name: {"count": count, "ns": round(seconds * 1e9)}
            for name, (count, seconds) in durations.items()
        },
        "batch_stats": [],
    }
    return {"model_stats": [own]}


class IndexRequest(msgspec.Struct):
    """The body of ``repository/index``; may be empty."""

    ready: bool | None = None


def index(model: Model, body: bytes, *, draining: bool) -> list[dict[str, str]]:
    """Of ``/v2/repository/index``: the one model.

    Raises:
        Refusal: the body is not what the extension says.
    """
    try:
        asked = msgspec.json.decode(body, type=IndexRequest) if body.strip() else IndexRequest()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise Refusal(400, f"this is not a request of an index: {first}") from None
    state = "UNAVAILABLE" if draining else "READY"
    if asked.ready and draining:
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
    if meant := protocol.respelled(path, known):
        return Refusal(
            404,
            f"there is nothing at {shown(path)}: paths are taken as they are spelled",
            fix=f"write {meant}",
        )
    match path.split("/"):
        case ["", "v1", *_] | ["", "api", *_]:
            return Refusal(
                404,
                f"there is nothing at {shown(path)}: this server speaks the Open Inference "
                "Protocol, which is V2",
                fix=f"post to {protocol.INFER.of(own.name)}; KServe's client does with "
                'RESTConfig(protocol="v2")',
            )
        case ["", "v2", "models", name, *_] if name != own.name:
            return Refusal(404, f"there is no model {shown(name)} here; it is {own.name!r}")
        case ["", "v2", "models", _, "versions", version, *_] if version != own.version:
            return Refusal(
                404, f"version {shown(version)} is not served here; it is {own.version!r}"
            )
    return Refusal(404, f"there is nothing at {shown(path)}; see /v2/models/{own.name}")
