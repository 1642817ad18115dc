"""A person's own code behind the server: what it may do, and what it does to nobody else."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from contracts.artifact import DOCUMENT_FILE, PREDICTOR_FILE, Artifact, Tensor, TrainingData
from contracts.predictor import pack
from tests.integration.serving.conftest import eventually
from tests.integration.serving.test_runtime_process import running

CODE = """
import ctypes, os, time
import numpy as np
from helper import weight


class Predictor:
    def load(self, folder):
        print("loading from", folder.name)
        self.weight = float((folder / "weights.txt").read_text()) * weight()

    def predict(self, table):
        x, what = table["x"], table["what"][0]
        if what == "raise":
            raise KeyError("no such thing")
        if what == "exit":
            os._exit(3)
        if what == "leave":
            raise SystemExit(4)
        if what == "crash":
            ctypes.string_at(0)
        if what == "hang":
            time.sleep(600)
        if what == "memory":
            return {"y": np.ones(2**34), "name": table["what"]}
        if what == "slow":
            time.sleep(0.5)
        if what == "print":
            print("a line of theirs")
        if what == "names":
            return {"z": x}
        if what == "shape":
            return {"y": x[:1], "name": table["what"]}
        if what == "text":
            return {"y": table["what"], "name": table["what"]}
        if what == "number":
            return {"y": x, "name": x}
        if what == "nothing":
            return None
        if what == "object":
            return {"y": [object()] * len(x), "name": table["what"]}
        if what == "nan":
            return {"y": x * np.nan, "name": table["what"]}
        assert x.ndim == 1 and x.dtype == np.float32
        return {"y": x.astype(np.float64) * self.weight, "name": [f"pid {os.getpid()}"] * len(x)}
"""
INPUTS = (
    Tensor(name="x", datatype="FP32", shape=(-1, 1), optional=True),
    Tensor(name="what", datatype="BYTES", shape=(-1, 1), optional=True),
)
OUTPUTS = (
    Tensor(name="y", datatype="FP32", shape=(-1, 1)),
    Tensor(name="name", datatype="BYTES", shape=(-1, 1)),
)
PATH = "/v2/models/own-code"


def write(folder: Path, code: str = CODE, name: str = "own-code", **rules: Any) -> Path:
    """An artifact of a person's own code."""
    source = folder.with_name(f"{folder.name}-source")
    source.mkdir(parents=True)
    (source / "predict.py").write_text(code)
    (source / "helper.py").write_text("def weight():\n    return 2.0\n")
    (source / "weights.txt").write_text("1.5")
    content = pack(source)
    now = datetime(2013, 1, 1, tzinfo=UTC)
    document = Artifact(
        name=name,
        version="1",
        task="regression",
        format="predictor",
        digest=hashlib.sha256(content).hexdigest(),
        predictor={"timeout": 2.0, **rules},
        inputs=INPUTS,
        outputs=OUTPUTS,
        interpretation={"tolerance": 0.5},
        created=now,
        code_version="test",
        trained_on=TrainingData(dataset="noise", start=now, end=now, rows=1, fingerprint="0"),
        metrics={},
        features=("x", "what"),
    )
    folder.mkdir(parents=True)
    (folder / PREDICTOR_FILE).write_bytes(content)
    (folder / DOCUMENT_FILE).write_text(document.model_dump_json())
    return folder


def body(what: str = "", rows: int = 1) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "x", "shape": [rows, 1], "datatype": "FP32", "data": [2.0] * rows},
            {"name": "what", "shape": [rows, 1], "datatype": "BYTES", "data": [what] * rows},
        ]
    }


@contextmanager
def served(artifact: Path, *options: str) -> Iterator[tuple[Any, httpx.Client]]:
    with (
        running("--artifact", str(artifact), *options) as (process, url),
        httpx.Client(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield process, http


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    artifact = write(tmp_path_factory.mktemp("predictor") / "1", memory=4 * 2**30)
    with served(artifact) as (_, client):
        yield client


def ask(http: httpx.Client, what: str = "", rows: int = 1) -> httpx.Response:
    return http.post(f"{PATH}/infer", json=body(what, rows))


def test_its_answers_are_answers_like_any_other(http: httpx.Client) -> None:
    answer = ask(http, rows=3)
    assert answer.status_code == 200, answer.text
    outputs = {own["name"]: own for own in answer.json()["outputs"]}
    assert outputs["y"]["data"] == [6.0, 6.0, 6.0]
    assert outputs["y"] | {"data": 0} == {
        "name": "y",
        "shape": [3, 1],
        "datatype": "FP32",
        "data": 0,
    }
    identity = answer.headers["x-request-id"]
    verdict = http.post(f"{PATH}/feedback", json={"id": identity, "outcome": [6.0, 9.0, None]})
    assert (verdict.json()["right"], verdict.json()["wrong"]) == (1, 1)
    rows = http.post(f"{PATH}/predict", json={"x": 2.0, "what": ""})
    assert rows.json()["predictions"], rows.text
    assert http.get(PATH).json()["platform"] == "python"
    assert "millwright_predictions_count" in http.get("/metrics").text
    large = ask(http, rows=20_000)
    assert len(large.json()["outputs"][0]["data"]) == 20_000


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("raise", "KeyError: 'no such thing' (predict.py, line "),
        ("exit", "exit status 3"),
        ("leave", "exit status 4"),
        ("crash", "SIGSEGV"),
        ("hang", "did not answer within 2 s"),
        ("memory", "Memory"),
        ("names", "the outputs ['z']; the signature has ['y', 'name']"),
        ("shape", "expected [2, 1]"),
        ("text", "'y' as texts; expected FP32"),
        ("number", "'name' as numbers; expected texts"),
        ("nothing", "NoneType; expected a dict"),
        ("object", "neither number nor text"),
        ("nan", "y"),
    ],
)
def test_what_it_does_wrong_is_one_requests_failure(
    http: httpx.Client, what: str, sentence: str
) -> None:
    answer = ask(http, what, rows=2)
    assert answer.status_code == 500
    assert sentence in answer.json()["error"]
    assert ask(http).status_code == 200, "and the next is answered"
    assert http.get("/v2/health/ready").status_code == 200


def test_who_waits_while_a_process_is_replaced_is_answered(http: httpx.Client) -> None:
    statuses: list[int] = []

    def post(what: str) -> None:
        statuses.append(ask(http, what).status_code)

    threads = [threading.Thread(target=post, args=(what,)) for what in ("exit", *[""] * 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 6 + [500]


def test_requests_are_worked_on_at_the_same_time_and_others_do_not_wait(tmp_path: Path) -> None:
    with served(write(tmp_path / "1", workers=3)) as (_, http):
        began = time.monotonic()
        threads = [threading.Thread(target=ask, args=(http, "slow")) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert http.get("/v2/health/live").status_code == 200
        assert time.monotonic() - began < 0.5, "health does not wait"
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 1.4, "one after the other takes 1.5 s"
        names = {ask(http).json()["outputs"][1]["data"][0] for _ in range(6)}
        assert len(names) == 3, "each has its turn"


def test_what_it_prints_is_in_the_log_and_its_end_leaves_nothing(tmp_path: Path) -> None:
    with served(write(tmp_path / "1", workers=2), "--grace", "100ms") as (process, http):
        assert ask(http, "print").status_code == 200
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        said = [line["line"] for line in lines if line["event"] == "said"]
        assert "a line of theirs" in said
        folder = next(text for text in said if text.startswith("loading from ")).split()[-1]
        assert not any(child.is_running() for child in children)
        assert not list(Path("/tmp").glob(folder))


def test_a_request_under_way_is_answered_when_the_server_ends(tmp_path: Path) -> None:
    with served(write(tmp_path / "1"), "--grace", "0ms") as (process, http):
        answered: list[int] = []
        thread = threading.Thread(target=lambda: answered.append(ask(http, "slow").status_code))
        thread.start()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert answered == [200]
        assert process.wait(30) == 0


def test_its_processes_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    with served(write(tmp_path / "1")) as (process, http):

        def hang() -> None:
            with pytest.raises(httpx.HTTPError):
                ask(http, "hang")

        thread = threading.Thread(target=hang)
        thread.start()
        children = psutil.Process(process.pid).children()
        process.kill()
        thread.join()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive


@pytest.mark.parametrize(
    ("code", "rules", "sentence"),
    [
        ("x = 1 +", {}, "SyntaxError"),
        ("import nowhere", {}, "No module named 'nowhere' (predict.py, line 1)"),
        ("x = 1", {}, "Predictor"),
        ("import os; os._exit(7)", {}, "exit status 7"),
        ("import time; time.sleep(60)", {"startup": 1.0}, "did not load within 1 s"),
    ],
)
def test_code_that_does_not_load_is_not_served(
    tmp_path: Path, code: str, rules: dict[str, Any], sentence: str
) -> None:
    artifact = write(tmp_path / "1", code, name="own-code", **rules)
    done = subprocess.run(
        [sys.executable, "-m", "serving.runtime", "--port", "1", "--artifact", str(artifact)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "cannot serve: " in done.stderr
    assert sentence in done.stderr.partition("cannot serve: ")[2]


def test_code_that_is_not_the_one_registered_is_not_run(tmp_path: Path) -> None:
    artifact = write(tmp_path / "1")
    marker = tmp_path / "it-ran"
    source = tmp_path / "other"
    source.mkdir()
    (source / "predict.py").write_text(f"open({str(marker)!r}, 'w')\nclass Predictor: pass\n")
    (artifact / PREDICTOR_FILE).write_bytes(pack(source))
    done = subprocess.run(
        [sys.executable, "-m", "serving.runtime", "--port", "1", "--artifact", str(artifact)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "digest" in done.stderr
    assert not marker.exists()


def test_in_a_repository_it_comes_and_goes(tmp_path: Path) -> None:
    write(tmp_path / "own-code" / "1")
    with (
        running("--repository", str(tmp_path)) as (process, url),
        httpx.Client(base_url=url, trust_env=False, timeout=30) as http,
    ):
        assert ask(http).status_code == 200
        assert ask(http, "crash").status_code == 500
        assert ask(http).status_code == 200
        assert http.post("/v2/repository/models/own-code/unload").status_code == 200
        assert ask(http).status_code == 404
        eventually(lambda: not psutil.Process(process.pid).children())
        assert http.post("/v2/repository/models/own-code/load").status_code == 200
        assert ask(http).json()["outputs"][0]["data"] == [6.0]
