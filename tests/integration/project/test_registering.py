"""Models that were made elsewhere, from a person's folder or file to an answer.

Each command is a process of its own, on an environment of tier `local` that is really up.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.model import ServedModel, find_model
from pocket.supervisor import free_port
from tests.content import HOSTILE
from tests.forked_commands import Done, millwright
from tests.serving_model import classifier

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import numpy as np

class Predictor:
    def load(self, folder):
        self.price = float((folder / "price.txt").read_text())

    def predict(self, table):
        return {"price": np.nan_to_num(table["area"]) * self.price}
"""
ROWS = [{"area": 60, "city": "Ghent"}, {"area": 100.5, "city": None}]


class Place:
    """A project of a person's own in which `local` is up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = ("AWS_", "MILLWRIGHT_", "POCKET_", "PULUMI_", "KUBECONFIG")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = {**kept, "MILLWRIGHT_PROJECT": str(folder), "COLUMNS": "200"}

    def run(self, *words: str) -> Done:
        return millwright(*words, folder=ROOT, environment=self.environment)

    def file(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        path.write_bytes(content)
        return str(path)

    def code(self, name: str, code: str = CODE, price: float = 2000) -> str:
        self.file(f"{name}/price.txt", str(price))
        return str(Path(self.file(f"{name}/predict.py", code)).parent)

    @contextmanager
    def serving(self, *words: str) -> Iterator[str]:
        """``millwright serve run``; it is interrupted as by ctrl-C, and must end well."""
        port = free_port()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "cli.entry",
                "--json",
                "serve",
                "run",
                "--port",
                str(port),
                *words,
            ],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        url, until = f"http://127.0.0.1:{port}", time.monotonic() + 90
        try:
            while not ready(url):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until
                time.sleep(0.1)
            yield url
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, json.loads(out)["url"]) == (0, url), err
            assert "Traceback" not in err
        finally:
            process.kill()
            process.wait()


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("project") / HOSTILE
    folder.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    made = Place(folder)
    try:
        up = made.run("up")
        assert up.code == 0, up.out + up.err
        yield made
    finally:
        down = made.run("destroy", "--yes")
        assert down.code == 0, down.out + down.err


def predicted(place: Place, model: str, rows: list[dict[str, Any]]) -> Any:
    """What the rollout's server answers, as soon as it serves."""
    until = time.monotonic() + 120
    while True:
        done = place.run("--json", "predict", model, "--data", json.dumps(rows))
        if done.code == 0:
            return done.answer
        assert time.monotonic() < until, done.err
        time.sleep(0.5)


def test_a_persons_own_code_is_registered_rolled_out_and_asked(place: Place) -> None:
    words = ("register", "house-price", "--predictor", place.code("code"))
    examples = ("--examples", place.file("rows.json", ROWS))
    first = place.run("--json", *words, *examples, "--task", "regression").answer
    assert (first["version"], first["new"]) == ("1", True)
    document = place.folder / "models/house-price/model.yaml"
    assert first["document"] == str(document)
    assert type(find_model(place.folder / "models", "house-price")) is ServedModel

    lines = place.file("rows.jsonl", "\n".join(json.dumps(row) for row in ROWS))
    again = place.run("register", "house-price", *words[2:], "--examples", lines)
    assert (again.code, "this is house-price version 1 already" in again.out) == (0, True), again
    other = ("--predictor", place.code("other", price=1000))
    second = place.run("--json", "register", "house-price", *other, *examples).answer
    assert (second["version"], second["new"], second["document"]) == ("2", True, None)
    versions = place.run("--json", "versions", "house-price").answer
    assert [each["version"] for each in versions] == ["1", "2"]

    started = place.run("rollout", "start", "house-price", "--version", "1")
    assert started.code == 0, started.err
    answer = predicted(place, "house-price", [{"area": 10}, {"area": 1.5}])
    assert (answer["version"], answer["outputs"]) == ("1", {"price": [20000.0, 3000.0]})
    refused = place.run("train", "house-price")
    assert refused.code == 2
    assert "house-price is not trained here" in refused.err


def test_an_onnx_file_is_registered_and_served(place: Place) -> None:
    file = place.file("late.onnx", classifier(["early", "late"]))
    rows = place.file("numbers.json", [{"numbers": [2.0, 0.0]}, {"numbers": [-2.0, 0.0]}])
    words = ("register", "is-late", "--onnx", file, "--examples", rows)
    made = place.run("--json", *words, "--task", "classification", "--positive", "early").answer
    assert made["version"] == "1"
    with place.serving("is-late", "--alias", "candidate") as url:
        metadata = httpx.get(f"{url}/v2/models/is-late", trust_env=False).json()
        assert [(own["name"], own["datatype"], own["shape"]) for own in metadata["inputs"]] == [
            ("numbers", "FP32", [-1, 2])
        ]
        tensor = {"name": "numbers", "shape": [2, 2], "datatype": "FP32", "data": [2, 0, -2, 0]}
        answer = httpx.post(
            f"{url}/v2/models/is-late/infer", json={"inputs": [tensor]}, trust_env=False
        ).json()
        assert answer["outputs"][0]["data"] == ["late", "early"]
    started = place.run("rollout", "start", "is-late")
    assert started.code == 0, started.err
    answer = predicted(place, "is-late", [{"numbers": [2.0, 0.0]}])
    assert answer["outputs"]["label"] == ["late"]


def test_a_repository_is_served(place: Place) -> None:
    code = ("register", "echo", "--predictor", place.code("echo"))
    examples = ("--examples", place.file("rows.json", ROWS), "--task", "regression")
    uri = place.run("--json", *code, *examples).answer["uri"]
    repository = uri.rsplit("/", 2)[0]
    with place.serving("--repository", repository, "--memory", "2GiB") as url:
        index = httpx.post(f"{url}/v2/repository/index", json={}, trust_env=False).json()
        assert "echo" in {each["name"] for each in index}
        answer = httpx.post(f"{url}/v2/models/echo/predict", json=[{"area": 2}], trust_env=False)
        assert answer.json()["predictions"][0]["prediction"] == 4000.0, answer.text


ERRORS: list[tuple[str, dict[str, Any], str]] = [
    ("Not-Allowed", {}, "'Not-Allowed' is no model's name"),
    ("refused", {"predictor": "nosuch"}, "there is no such folder"),
    ("refused", {"predictor": "empty"}, "there is no predict.py"),
    ("refused", {"examples": "nosuch.json"}, "the example rows cannot be read"),
    ("refused", {"code": "x = 1"}, "does not load"),
    ("refused", {"code": "class Predictor:\n    def predict(self, table): 1 / 0"}, "ZeroDivision"),
    ("refused", {"rows": [{"x": True}, {}]}, "has no missing value"),
    ("refused", {"rows": [{"x": 1}, {"x": "a"}]}, "'x' is not of one kind"),
    ("refused", {"rows": []}, "these are no example rows"),
    ("refused", {"task": "guessing"}, "'guessing' is no task"),
    ("refused", {"task": ""}, "nothing says what refused predicts"),
    ("refused", {"classes": "a,b"}, "a regression predicts numbers"),
]


@pytest.mark.parametrize(("name", "given", "sentence"), ERRORS, ids=[each[2] for each in ERRORS])
def test_what_is_refused_leaves_nothing(
    place: Place, name: str, given: dict[str, Any], sentence: str
) -> None:
    (place.folder / "empty").mkdir(exist_ok=True)
    predictor = given.get("predictor")
    folder = (
        str(place.folder / predictor) if predictor else place.code("bad", given.get("code", CODE))
    )
    rows = given.get("examples") or place.file("bad.json", given.get("rows", ROWS))
    words = ["register", name, "--predictor", folder, "--examples", rows]
    words += ["--task", given.get("task", "regression"), "--classes", given.get("classes", "")]
    done = place.run(*words)
    assert done.code in (1, 2)
    assert sum(line.startswith("error ") for line in done.err.splitlines()) == 1, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert not (place.folder / "models/refused").exists()
