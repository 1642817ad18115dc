"""What people do with MLServer's own client: its types and codecs by HTTP, and `mlserver infer`."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from mlserver.codecs import Base64Codec, NumpyCodec, PandasCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse

url, model, direct = sys.argv[1:]
columns = {"hour": np.array([[7.0], [17.0]], np.float32)}
requests = [
    InferenceRequest(
        inputs=[
            NumpyCodec.encode_input("hour", columns["hour"]),
            StringCodec.encode_input("carrier", ["", ""], use_bytes=False),
        ]
    ),
    PandasCodec.encode_request(
        pd.DataFrame({"hour": columns["hour"].ravel()})  # of texts it fails beside pandas 3
    ),
    # Numbers as pandas and numpy have them by default; texts as objects.
    PandasCodec.encode_request(pd.DataFrame({"hour": [7.0, 17.0], "distance": [100, 2000]})),
    PandasCodec.encode_request(
        pd.DataFrame({"hour": [7, 17], "carrier": pd.Series(["AA", ""], dtype=object)}),
        use_bytes=False,
    ),
    InferenceRequest(
        inputs=[
            NumpyCodec.encode_input("hour", np.array([7, 17])),
            StringCodec.encode_input("carrier", ["AA", ""], use_bytes=False),
        ]
    ),
    InferenceRequest(
        inputs=[
            NumpyCodec.encode_input("hour", np.array([7.0, 17.0])),
            Base64Codec.encode_input("carrier", [b"AA", b""], use_bytes=False),
        ]
    ),
]


def post(where, request):
    body = request.model_dump_json().encode()
    sent = urllib.request.Request(
        f"{where}/v2/models/{model}/infer", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(sent) as answer:
        return InferenceResponse.model_validate_json(answer.read())


for where in (url, direct):
    answers = [post(where, request) for request in requests]
    labels = [NumpyCodec.decode_output(answer.outputs[0]).ravel().tolist() for answer in answers]
    assert all(len(own) == 2 for own in labels), labels
    assert labels[0] == labels[1], labels
    assert labels[3] == labels[4] == labels[5], labels
    frames = [PandasCodec.decode_response(own) for own in answers[1:4]]
    for frame in frames:
        assert list(frame) == ["label", "probabilities[0]", "probabilities[1]"], frame
        assert ((frame["probabilities[1]"] >= 0.5) == frame["label"]).all(), frame
    tensors = NumpyCodec.decode_output(answers[4].outputs[1])
    assert np.array_equal(tensors[:, 1], frames[2]["probabilities[1]"].to_numpy(tensors.dtype))
    with urllib.request.urlopen(f"{where}/v2/models/{model}") as answer:
        assert MetadataModelResponse.model_validate_json(answer.read()).inputs

with TemporaryDirectory() as folder:
    given, written = Path(folder, "in"), Path(folder, "out")
    line = {"inputs": [{"name": "hour", "shape": [1, 1], "datatype": "FP32", "data": [7.0]}]}
    given.write_text("\n".join(json.dumps(line) for _ in range(5)) + "\n")
    for extra in ([], ["--batch-size", "5"], ["--binary-data"]):
        command = ["infer", "-u", url.partition("://")[2], "-m", model, "-i", given, "-o", written]
        done = subprocess.run(
            [Path(sys.executable).with_name("mlserver"), *command, *extra],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        lines = [json.loads(text) for text in written.read_text().splitlines()]
        assert len(lines) == 5, done.stderr
        assert all(len(own["outputs"][1]["data"]) == 2 for own in lines), lines
