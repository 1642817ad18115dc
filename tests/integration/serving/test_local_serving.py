"""Predictors behind a real Envoy: weights, feedback, crashes and removal, under load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import onnxruntime as ort
import psutil
import pytest

from contracts.errors import DocumentError, ServingError
from laptop.serving import LocalServing
from laptop.supervisor import Supervisor
from pocket.supervisor import port_is_free
from serving.client import Client
from tests.integration.serving.conftest import NAME, ROW, Load, document, eventually

Artifacts = dict[str, Path]


def front(serving: LocalServing) -> str:
    return serving.observe(NAME).url.partition("/seldon")[0]


def settled(serving: LocalServing, artifacts: Artifacts, replicas: int = 1, **weights: int) -> str:
    serving.apply(document(artifacts, replicas, **weights))
    serving.settle(NAME)
    return front(serving)


def test_each_version_answers_as_onnx_runtime_does(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, v1=5000, v2=5000)
    rows = [ROW, {"hour": 6.0, "carrier": None}, {"hour": 23.0, "distance": float("nan")}]
    feeds = {
        "hour": np.array([[17], [6], [23]], dtype=np.float32),
        "carrier": np.array([["B6"], [""], [""]], dtype=object),
        "distance": np.array([[800], [np.nan], [np.nan]], dtype=np.float32),
    }
    with Client(url, NAME) as client:
        assert client.ready()
        assert client.metadata()["name"] == NAME
        for name, folder in artifacts.items():
            session = ort.InferenceSession(str(folder / "model.onnx"))
            label, probabilities = session.run(None, feeds)
            prediction = client.infer(rows, predictor=name)
            assert (prediction.version, prediction.predictor) == (name[1:], name)
            assert prediction.outputs["label"] == label.tolist()
            assert prediction.outputs["probabilities"] == probabilities.tolist()
        with pytest.raises(ServingError, match="did you mean 'hour'"):
            client.infer([{"houre": 1.0}])
        with pytest.raises(ServingError, match="no such predictor"):
            client.infer(rows, predictor="v9")
    with httpx.Client(
        base_url=f"{url}/seldon/default/{NAME}/v2", trust_env=False, verify=False
    ) as plain:
        for version in ("1", "2"):
            found = plain.get(f"/models/{NAME}/versions/{version}").json()
            assert found["versions"] == [version]
        assert plain.get(f"{url}/seldon/default/other/v2").status_code == 404


def test_workers_are_one_server_to_whom_serves_them(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    """The document's arguments reach the server; a worker's death takes no count away."""
    written = document(artifacts, v1=10_000)
    (container,) = written["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    container["args"] = ["--workers", "2", "--batch-rows", "8", "--batch-wait", "1ms"]
    serving.apply(written)
    serving.settle(NAME)

    def parents() -> list[psutil.Process]:
        return [
            psutil.Process(own.pid)
            for own in serving._supervisor.status()
            if f".{NAME}.v1." in own.name and own.pid and own.state == "running"
        ]

    def workers() -> list[psutil.Process]:
        (parent,) = parents()
        children: list[psutil.Process] = parent.children()
        return children

    def replaced() -> bool:
        """Whether what an earlier document asked for is gone."""
        serving.tick()
        return ["--workers" in own.cmdline() for own in parents()] == [True]

    def counted() -> tuple[str, int]:
        (replica,) = serving.counters(NAME)["v1"].replicas
        return replica.replica, replica.counts["requests"]

    eventually(replaced, within=60)
    eventually(lambda: len(workers()) == 2)
    who, before = counted()
    with Load(front(serving), clients=4) as load:
        eventually(lambda: len(load.predictions) > 100)
        killed = workers()[0]
        killed.kill()
        between = counted()
        at = len(load.predictions)
        eventually(lambda: len(load.predictions) > at + 100)
    assert len(workers()) == 2
    assert killed.pid not in [worker.pid for worker in workers()]
    assert len(load.failures) < 4, "another worker answers the other connections"
    after = counted()
    assert (who, who) == (between[0], after[0]), "to whom reads it, it is the same server"
    assert before <= between[1] <= after[1]
    assert 0 <= after[1] - before - len(load.predictions) <= len(load.failures)


def test_weights_change_under_load_and_every_request_is_counted(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, v1=10_000, v2=0)
    before = serving.counters(NAME)
    with Load(url) as load:
        for step in range(20):
            weight = (100, 2500, 5000, 9999)[step % 4]
            serving.apply(document(artifacts, v1=10_000 - weight, v2=weight))
            state = serving.settle(NAME)
            assert [own.confirmed for own in state.predictors] == [10_000 - weight, weight]
    assert load.failures == []
    after = serving.counters(NAME)
    for name, version in (("v1", "1"), ("v2", "2")):
        served = load.versions()[version]
        assert served > 20
        assert after[name].count("requests") - before[name].count("requests") == served
        assert after[name].count("errors") == before[name].count("errors")
        seen, earlier = after[name].replicas[0], before[name].replicas[0]
        assert seen.replica == earlier.replica
        assert seen.counts["requests"] - earlier.counts["requests"] == served
        assert sum(seen.predictions) - sum(earlier.predictions) == served


def test_feedback_reaches_the_server_that_predicted(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, replicas=2, v1=5000, v2=5000)
    before = serving.counters(NAME)
    with Client(url, NAME) as client:
        predictions = [client.infer([ROW]) for _ in range(60)]
        for index, prediction in enumerate(predictions):
            label = bool(prediction.outputs["label"][0])
            verdict = client.feedback(prediction, [label if index % 3 else not label])
            assert verdict.version == prediction.version
            assert (verdict.right, verdict.wrong) == ((1, 0) if index % 3 else (0, 1))
        assert client.feedback(predictions[0], [True]).repeated == 1
    after = serving.counters(NAME)
    for tally, grown in (("wrong", 20), ("feedback", 60)):
        earlier = sum(own.count(tally) for own in before.values())
        assert sum(own.count(tally) for own in after.values()) == grown + earlier, tally
    # Feedback is not a request that the judge counts.
    assert (
        sum(own.count("requests") - before[name].count("requests") for name, own in after.items())
        == 60
    )


def _ended(process: psutil.Process) -> bool:
    """Whether it holds no connection any more."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_server_is_replaced_and_the_other_one_serves(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, replicas=2, v1=10_000)
    victim = psutil.Process(_pids(serving)[0])
    identities = {own.replica for own in serving.counters(NAME)["v1"].replicas}
    with Load(url) as load:
        victim.send_signal(signal.SIGKILL)
        eventually(lambda: _ended(victim))
        eventually(lambda: serving.observe(NAME).predictors[0].ready == 1)
        noticed = time.monotonic()
        assert serving.counters(NAME)["v1"].silent == 1
        enough = len(load.predictions) + 50
        eventually(lambda: len(load.predictions) > enough)
        serving.settle(NAME)
    # What was sent to the killed server before Envoy saw it die is lost, at most once for each
    # connection of Envoy's two workers and the three clients, and nothing else.
    assert [began for began in load.began if began > noticed] == []
    assert len(load.failures) <= 6, load.failures
    eventually(lambda: serving.counters(NAME)["v1"].silent == 0)
    again = {own.replica for own in serving.counters(NAME)["v1"].replicas}
    assert len(again) == 2
    assert len(again & identities) == 1


def test_a_version_is_removed_under_load_without_a_lost_request(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, v1=5000, v2=5000)
    with Load(url) as load:
        eventually(lambda: len(load.versions()) == 2)
        state = settled(serving, artifacts, v1=10_000) and serving.observe(NAME)
        assert [own.name for own in state.predictors] == ["v1"]
        enough = load.versions()["1"] + 50
        eventually(lambda: load.versions()["1"] > enough)
    assert load.failures == []
    assert len(_pids(serving)) == 1


def test_another_artifact_replaces_servers_without_a_lost_request(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, v1=10_000)
    with Load(url) as load:
        settled(serving, {"v1": artifacts["v2"]}, v1=10_000)
        eventually(lambda: load.predictions[-1].version == "2")
        eventually(lambda: len(_pids(serving)) == 1 or serving.tick())
    assert load.failures == []


def test_a_version_that_cannot_start_gets_no_traffic(
    serving: LocalServing, artifacts: Artifacts, tmp_path: Path
) -> None:
    url = settled(serving, artifacts, v1=10_000)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "artifact.json").write_text((artifacts["v2"] / "artifact.json").read_text())
    serving.apply(document({**artifacts, "v2": broken}, v1=5000, v2=5000))

    def told() -> str:
        serving.tick()
        return serving.observe(NAME).predictors[1].problem

    assert "cannot serve" in eventually(told)
    state = serving.observe(NAME)
    assert [own.confirmed for own in state.predictors] == [10_000, 0]
    assert not state.settled
    with Client(url, NAME) as client:
        assert {client.infer([ROW]).version for _ in range(20)} == {"1"}
    settled(serving, artifacts, v1=10_000)


def test_a_killed_envoy_comes_back_with_the_same_weights(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    url = settled(serving, artifacts, v1=7500, v2=2500)
    source = serving.counters(NAME)["v1"].source
    running = serving._supervisor.find("envoy")
    assert running
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: not serving._supervisor.find("envoy") and port_is_free(running.port))
    assert serving.observe(NAME).predictors[0].confirmed is None
    assert serving.counters(NAME) == {}
    # Another command, which knows nothing but the folder.
    root = serving._supervisor.root
    LocalServing(root, Supervisor(root)).settle(NAME)
    assert front(serving) == url
    assert [own.confirmed for own in serving.observe(NAME).predictors] == [7500, 2500]
    assert serving.counters(NAME)["v1"].source != source


def test_a_shadow_gets_a_copy_and_answers_nobody(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    mirrored = document(artifacts, v1=10_000, v2=0)
    mirrored["metadata"]["annotations"] = {}
    shadow = mirrored["spec"]["predictors"][1]
    shadow["shadow"] = True
    del shadow["traffic"]
    serving.apply(mirrored)
    serving.settle(NAME)
    serving.tick()
    before = serving.counters(NAME)["v2"]
    with Client(front(serving), NAME) as client:
        assert {client.infer([ROW]).version for _ in range(20)} == {"1"}
    copied = before.count("requests") + 20
    eventually(lambda: serving.counters(NAME)["v2"].count("requests") == copied)
    assert (
        serving.counters(NAME)["v2"].replicas[0].counts["requests"]
        == before.replicas[0].counts["requests"] + 20
    )


@pytest.mark.long
def test_killed_anywhere_the_next_apply_picks_up(
    serving: LocalServing, artifacts: Artifacts, tmp_path: Path
) -> None:
    url = settled(serving, artifacts, v1=10_000)
    code = (
        "import json, sys; from pathlib import Path; from laptop.serving import LocalServing; "
        "from pocket.supervisor import Supervisor; root = Path(sys.argv[1]); "
        "own = LocalServing(root, Supervisor(root)); "
        "own.apply(json.load(open(sys.argv[2]))); print(flush=True); own.settle('flight-delay')"
    )
    wish = tmp_path / "wish.json"
    with Load(url, clients=2) as load:
        for step, wait in enumerate((0.3, 1.0), start=1):
            weights = {"v1": 5000, "v2": 5000} if step % 2 else {"v1": 10_000}
            wish.write_text(json.dumps(document(artifacts, **weights)))
            root = serving._supervisor.root
            process = subprocess.Popen(
                [sys.executable, "-c", code, str(root), str(wish)], stdout=subprocess.PIPE
            )
            assert process.stdout
            with process.stdout:
                process.stdout.readline()
            # The moment of the kill is what varies; nothing waits for a result here.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait)
            process.kill()
            process.wait()
        serving.settle(NAME)
    assert load.failures == []
    assert [own.confirmed for own in serving.observe(NAME).predictors] == [10_000]
    assert len(_pids(serving)) == 1


def test_what_cannot_be_served_is_refused_and_changes_nothing(
    serving: LocalServing, artifacts: Artifacts
) -> None:
    settled(serving, artifacts, v1=10_000)
    with pytest.raises(DocumentError, match="add up to 100 %"):
        serving.apply(document(artifacts, v1=10_000, v2=100))
    with pytest.raises(ServingError, match="cannot be read"):
        serving.apply(document({"v1": Path("/nowhere")}, v1=10_000))
    with pytest.raises(ServingError, match="did you mean"):
        serving.observe("flight-delays")
    assert serving.observe(NAME).settled


def test_nothing_is_left_after_delete(serving: LocalServing, artifacts: Artifacts) -> None:
    settled(serving, artifacts, v1=5000, v2=5000)
    processes = [psutil.Process(pid) for pid in _pids(serving)]
    serving.delete(NAME)
    assert serving.names() == []
    assert serving._supervisor.status() == []
    assert not any(process.is_running() for process in processes)
    serving.delete(NAME)


def _pids(serving: LocalServing) -> list[int]:
    return [
        status.pid
        for status in serving._supervisor.status()
        if status.name.startswith("serving.") and status.pid
    ]
