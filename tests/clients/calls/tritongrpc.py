"""What people do with tritonclient's gRPC client, by its defaults."""

import asyncio
import queue
import sys
from urllib.parse import urlsplit

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from tritonclient.utils import InferenceServerException

url, model, direct = sys.argv[1:]
names = ("label", "probabilities")
columns = {
    "hour": np.array([[7.0], [17.0]], np.float32),
    "distance": np.array([[np.nan], [800.0]], np.float32),
    "carrier": np.array([["B6"], ["ü"]], object),
}
# A front door finds the deployment by this metadata, as Seldon's does; a server needs none.
chosen = {"seldon": model, "namespace": "default"}


def inputs(of=triton):
    made = []
    for name, data in columns.items():
        kind = "BYTES" if data.dtype == object else "FP32"
        made.append(of.InferInput(name, list(data.shape), kind).set_data_from_numpy(data))
    return made


def refused(call, sentence, status, *args, **how):
    try:
        call(*args, **how)
    except InferenceServerException as error:
        said, given = error.message(), error.status()
    else:
        raise AssertionError("not refused")
    assert sentence in said, said
    assert given == f"StatusCode.{status}", given


def usual_calls(client, headers):
    assert client.is_server_live(headers)
    assert client.is_server_ready(headers)
    assert client.is_model_ready(model, headers=headers)
    assert client.is_model_ready(model, "1", headers)
    assert "binary_tensor_data" in client.get_server_metadata(headers).extensions
    assert client.get_model_metadata(model, headers=headers).inputs[1].name == "hour"
    assert client.get_model_repository_index(headers, as_json=True)["models"]
    for steer in (client.load_model, client.unload_model):
        refused(steer, "rollout", "PERMISSION_DENIED", model, headers)

    result = client.infer(model, inputs(), request_id="r1", headers=headers)
    assert result.get_response().id == "r1"
    expected = {name: result.as_numpy(name) for name in names}
    assert expected["label"].shape == (2,)
    assert expected["probabilities"].shape == (2, 2)
    ways = [
        {"outputs": [triton.InferRequestedOutput(name) for name in names]},
        {"model_version": "1"},
        {"compression_algorithm": "gzip"},
        {"compression_algorithm": "deflate"},
        {"parameters": {"mine": 1}, "priority": 1, "timeout": 1000},
        {"client_timeout": 20.0},
    ]
    for way in ways:
        answer = client.infer(model, inputs(), headers=headers, **way)
        for name in names:
            assert (answer.as_numpy(name) == expected[name]).all(), way
    answers = queue.Queue()
    for _ in range(20):
        client.async_infer(
            model, inputs(), lambda result, error: answers.put(error or result), headers=headers
        )
    for _ in range(20):
        assert (answers.get(timeout=20).as_numpy("label") == expected["label"]).all()
    refused(
        client.infer,
        "missing inputs: hour",
        "INVALID_ARGUMENT",
        model,
        inputs()[1:],
        headers=headers,
    )
    large = np.full((200_000, 1), 17.0, np.float32)
    many = [triton.InferInput("hour", list(large.shape), "FP32").set_data_from_numpy(large)]
    assert client.infer(model, many, headers=headers).as_numpy("label").shape == (200_000,)
    return expected


for where, metadata in ((url, chosen), (direct, None)):
    with triton.InferenceServerClient(urlsplit(where).netloc) as own:
        expected = usual_calls(own, metadata)


async def asynchronous():
    async with aio.InferenceServerClient(urlsplit(url).netloc) as client:
        assert await client.is_server_ready(chosen)
        asked = (client.infer(model, inputs(aio), headers=chosen) for _ in range(50))
        for answer in await asyncio.gather(*asked):
            assert (answer.as_numpy("label") == expected["label"]).all()


asyncio.run(asynchronous())
