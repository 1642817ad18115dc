"""What people do with KServe's inference client. By default it speaks V1, which we refuse."""

import asyncio
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

url, model, direct = sys.argv[1:]


def request(binary):
    made = []
    for name, data in {
        "hour": np.array([[7.0], [17.0]], np.float32),
        "carrier": np.array([["B6"], ["UA"]], object),
    }.items():
        own = InferInput(name, list(data.shape), "BYTES" if data.dtype == object else "FP32")
        own.set_data_from_numpy(data, **({} if binary else {"binary_data": False}))
        made.append(own)
    return InferRequest(model_name=model, infer_inputs=made, request_id="r1")


async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    for where in (url, direct):
        assert await client.is_server_ready(where) is True
        assert await client.is_server_live(where) is True
        assert await client.is_model_ready(where, model) is True
        labels = []
        for binary in (True, False):
            answer = await client.infer(where, request(binary), model_name=model)
            assert (answer.id, answer.model_name) == ("r1", model)
            labels.append(answer.get_output_by_name("label").as_numpy().tolist())
        plain = {"inputs": [{"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [7.0]}]}
        answer = await client.infer(where, plain, model_name=model)
        assert len(answer.get_output_by_name("probabilities").data) == 2
        assert labels[0] == labels[1]
    first = InferenceRESTClient()
    try:
        await first.infer(direct, {"instances": [{"hour": 7}]}, model_name=model)
    except httpx.HTTPStatusError as error:
        said = str(error)
    else:
        raise AssertionError("not refused")
    assert "RESTConfig" in said, said


asyncio.run(main())
