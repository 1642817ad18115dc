"""`missing: refuse` in a model's document, as its server obeys it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.register.step import signature
from contracts.artifact import Tensor
from serving.runtime.app import App
from serving.runtime.model import Model
from serving.runtime.served import Served
from serving.runtime.store import fetch
from tests.serving_model import INPUTS, write_artifact
from tests.unit.runtime.conftest import call
from tests.unit.runtime.test_protocol import BASE, request, tensor

UNUSED = Tensor(name="spare", datatype="FP32", shape=(-1, 1), optional=True, used=False)


@pytest.fixture
def served(artifact: Path, tmp_path: Path, request: pytest.FixtureRequest) -> App:
    spec = SimpleNamespace(missing=request.param)
    inputs = signature(spec, SimpleNamespace(inputs=(*INPUTS, UNUSED)))  # type: ignore[arg-type]
    content = (artifact / "model.onnx").read_bytes()
    folder = write_artifact(tmp_path / "own", content, inputs=inputs)
    return App(Served(Model("flight-delay", *fetch(str(folder)))))


@pytest.mark.parametrize(
    ("served", "refused"), [("refuse", True), ("impute", False)], indirect=["served"]
)
@pytest.mark.parametrize("null", [True, False])
def test_a_missing_value_is_made_up_or_refused(served: App, refused: bool, null: bool) -> None:
    inputs = request()["inputs"][1:]
    if null:
        inputs.append(tensor("distance", [500.0, None]))
    reply = call(served, "POST", f"{BASE}/infer", json.dumps({"inputs": inputs}).encode())
    if refused:
        assert reply.status == 400
        assert "distance" in reply.json["error"]
    else:
        said = reply.json.get("parameters", {}).get("missing", "")
        assert (reply.status, said) == (200, "" if null else "distance")
    # What this version does not read need not be there.
    whole = call(served, "POST", f"{BASE}/infer", json.dumps(request()).encode())
    assert (whole.status, "parameters" in whole.json) == (200, False)
