"""What people do with tritonclient's HTTP client, by its defaults."""

import sys

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

url, model, direct = sys.argv[1:]
names = ("label", "probabilities")
columns = {
    "hour": np.array([[7.0], [17.0]], np.float32),
    "distance": np.array([[np.nan], [800.0]], np.float32),
    "carrier": np.array([["B6"], ["ü"]], object),
}


def inputs(of=http, **how):
    made = []
    for name, data in columns.items():
        kind = "BYTES" if data.dtype == object else "FP32"
        own = of.InferInput(name, list(data.shape), kind)
        own.set_data_from_numpy(data, **how)
        made.append(own)
    return made


def refused(call, sentence):
    try:
        call()
    except InferenceServerException as error:
        said = str(error)
    else:
        raise AssertionError("not refused")
    assert sentence in said, said


# Front doors have a prefix; the client takes it as a part of its URL.
for where in (url, direct):
    with http.InferenceServerClient(where.partition("://")[2]) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(model)
        assert client.is_model_ready(model, "1")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert client.get_model_metadata(model)["name"] == model
        assert client.get_model_config(model)["input"][0]["data_type"] == "TYPE_FP32"
        assert client.get_model_repository_index()[0]["state"] == "READY"
        refused(lambda: client.load_model(model), "rollout")
        refused(lambda: client.unload_model(model), "rollout")

        result = client.infer(model, inputs(), request_id="r1")
        assert result.get_response()["id"] == "r1"
        expected = {name: result.as_numpy(name) for name in names}
        assert expected["label"].shape == (2,)
        assert expected["probabilities"].shape == (2, 2)
        wanted = [
            http.InferRequestedOutput("label", binary_data=False),
            http.InferRequestedOutput("probabilities"),
        ]
        ways = [
            {"outputs": wanted},
            {"model_version": "1"},
            {"request_compression_algorithm": "gzip"},
            {"request_compression_algorithm": "deflate", "outputs": wanted},
            {"response_compression_algorithm": "gzip"},
            {"response_compression_algorithm": "deflate", "outputs": wanted},
            {"parameters": {"mine": 1}, "priority": 1, "timeout": 1000},
            {"query_params": {"a": "b c"}},
        ]
        for way in ways:
            answer = client.infer(model, inputs(), **way)
            for name in names:
                assert (answer.as_numpy(name) == expected[name]).all(), way
        text = inputs()[:1] + inputs()[2:]
        mixed = client.infer(
            model,
            [
                *text,
                http.InferInput("distance", [2, 1], "FP32").set_data_from_numpy(
                    np.array([[1.0], [800.0]], np.float32), False
                ),
            ],
        )
        assert mixed.as_numpy("label").shape == (2,)
        later = client.async_infer(model, inputs()).get_result()
        assert (later.as_numpy("label") == expected["label"]).all()
        assert client.get_inference_statistics(model)["model_stats"][0]["inference_count"] > 0
        assert client.get_inference_statistics()["model_stats"][0]["name"] == model
        refused(lambda: client.infer(model, inputs()[1:]), "missing inputs: hour")


async def asynchronous():
    async with aio.InferenceServerClient(url.partition("://")[2]) as client:
        assert await client.is_server_ready()
        answer = await client.infer(model, inputs(aio))
        assert (answer.as_numpy("label") == expected["label"]).all()


import asyncio  # noqa: E402

asyncio.run(asynchronous())
