"""One month of flights through all nine steps, for real: processes, S3, MLflow, ONNX."""

import hashlib
import json
from datetime import date
from pathlib import Path

import boto3
import httpx
import joblib
import pytest

from components import parts
from components.documents import PREPROCESSING, Preprocessing, read
from components.train.step import NATIVE_FILE
from contracts.errors import DocumentError, PipelineError, RejectedError
from data.lake import Lake
from data.model_registry import ModelRegistry
from laptop.replay import request_body
from pipelines import journal, running, runs, wiring
from serving import metrics
from serving.client import Client
from serving.runtime.model import Model
from tests.content import DATASETS
from tests.integration.pipelines.conftest import SMALL, LentProcess
from tests.integration.serving.test_runtime_process import server


@pytest.fixture(autouse=True, scope="module")
def one_process():
    """What these tests run imports what steps need once."""
    process = LentProcess.start()
    with pytest.MonkeyPatch.context() as patch:
        process.lend(patch)
        yield
    process.end()


def follow(events):
    return lambda step, state, seconds: events.append((step, state))


def assert_served_as_native(made, artifact, onnx):
    """What the inference server answers to requests of real rows is what the native model says."""
    data = runs.output(Path(made.location), "preprocess", "parts")
    native = joblib.load(runs.output(Path(made.location), "train", "trained") / NATIVE_FILE)
    features = read(Preprocessing, data / PREPROCESSING).features
    names = [feature.name for feature in features]
    frame = parts.load(data, "test", names).head(200)
    kept = [feature for feature in features if feature.name in artifact.features]
    expected = native.predict(parts.inputs(frame, kept))
    server = Model(artifact.name, artifact, onnx)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert any(value is None for row in rows for value in row.values())
    for row, wanted in zip(rows, expected, strict=True):
        _, answer = server.answer(request_body(row, artifact.inputs, "r"), "r")
        outputs = {one["name"]: one["data"] for one in json.loads(answer.body)["outputs"]}
        assert outputs["probabilities"] == pytest.approx(wanted, abs=1e-5)
        assert outputs["label"] == [int(wanted[1] > 0.5)]


@pytest.fixture(scope="module")
def month(place):
    """The first training on this machine, and what was heard of it."""
    events = []
    made = running.run(
        place.model("good"),
        DATASETS,
        place.outputs,
        place.folder / "work",
        follow(events),
        tracking_uri=place.tracking_uri,
        environment=place.environment,
    )
    return made, events


def test_a_month_of_flights_becomes_a_registered_version(place, month):
    made, events = month
    assert [step for step, state in events if state == "finished"] == list(wiring.STEPS)
    assert (made.version, made.uri) == ("1", "s3://pipelines-test-artifacts/models/flight-delay/1")
    assert all(gate.passed for gate in made.gates)
    assert made.evaluation.onnx_parity <= 1e-5
    assert all(timing.seconds > 0 for timing in made.steps)
    for step in wiring.STEPS:
        assert runs.output(Path(made.location), step, "*") is not None

    registry = ModelRegistry(place.tracking_uri)
    artifact, uri = registry.get("flight-delay", "1")
    assert uri == made.uri
    assert registry.alias("flight-delay", "candidate") == "1"
    assert place.artifacts() == [
        "models/flight-delay/1/artifact.json",
        "models/flight-delay/1/model.onnx",
    ]
    bucket = boto3.resource("s3").Bucket("pipelines-test-artifacts")
    onnx = bucket.Object("models/flight-delay/1/model.onnx").get()["Body"].read()
    assert hashlib.sha256(onnx).hexdigest() == artifact.digest == made.training.digest
    assert artifact.trained_on.end.date() < date(2013, 1, 20)
    assert artifact.trained_on.rows == made.preprocessing.parts["train"].rows
    assert set(artifact.features) == {tensor.name for tensor in artifact.inputs if tensor.used}
    assert_served_as_native(made, artifact, onnx)
    run = registry.client.get_run(artifact.run_id)
    assert run.data.metrics["roc_auc"] == pytest.approx(artifact.metrics["roc_auc"].value)
    assert run.data.params["learning_rate"] == str(artifact.parameters["learning_rate"])
    assert run.data.tags["fingerprint"] == artifact.trained_on.fingerprint


@pytest.mark.long
@pytest.mark.usefixtures("month")
def test_the_same_again_is_cached_and_no_new_version(place):
    work, settings = place.folder / "work", {"tracking_uri": place.tracking_uri}
    events = []

    def again(model, tell=None, **changes):
        events.clear()
        given = settings | {"environment": place.environment} | changes
        return running.run(model, DATASETS, place.outputs, work, tell or follow(events), **given)

    made = again(place.model("again"))
    assert events == [
        *((step, "cached") for step in wiring.STEPS[:-1]),
        ("register", "started"),
        ("register", "finished"),
    ]
    assert (made.version, made.new) == ("1", False)
    (maker,) = {name for name in (path.name for path in work.iterdir()) if name not in made.run}
    assert made.warnings
    assert all(line.endswith(f" (of the run {maker})") for line in made.warnings)
    warned = [one for one in journal.events(Path(made.location)) if one["event"] == "warning"]
    assert {f"{one['text']} (of the run {one['of']})" for one in warned} == set(made.warnings)
    assert [timing.seconds > 0 for timing in made.steps] == [False] * 8 + [True]
    registry = ModelRegistry(place.tracking_uri)
    assert [entry.version for entry in registry.versions("flight-delay")] == ["1"]
    assert registry.alias("flight-delay", "candidate") == "1"

    # What a run was rejected for is no reason to train again.
    with pytest.raises(RejectedError):
        again(place.model("strict", gates={"roc_auc": ">= 0.999"}))
    assert [step for step, state in events if state != "cached"][::2] == ["evaluate", "register"]

    def stop_at_validate(step, state, seconds):
        events.append((step, state))
        if step == "validate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(place.model("anew"), stop_at_validate, cached=False)
    assert events == [("ingest", "started"), ("ingest", "finished"), ("validate", "started")]
    # The lake has another row less: it is another question.
    lake = Lake(place.outputs.lake)
    rows = lake.read("flights", "airlines")
    lake.write_table("flights", "airlines", rows.slice(1))
    try:
        with pytest.raises(KeyboardInterrupt):
            again(place.model("less"), stop_at_validate)
        assert ("ingest", "finished") in events
    finally:
        lake.write_table("flights", "airlines", rows)


@pytest.mark.long
def test_a_killed_run_goes_on_and_a_failed_gate_registers_nothing(place, monkeypatch):
    # Whoever edits the code while the tests run has started another run, rightly.
    monkeypatch.setattr(runs, "code_digest", lambda: "the same")
    model = place.model("rejected", gates={"roc_auc": ">= 0.999"})
    registry = ModelRegistry(place.tracking_uri)
    before = (place.artifacts(), registry.versions("flight-delay"))

    def killed_in_tune(step, state, seconds):
        if (step, state) == ("tune", "started"):
            raise KeyboardInterrupt

    given = (model, DATASETS, place.outputs, place.folder / "work")
    settings = {
        "tracking_uri": place.tracking_uri,
        "environment": place.environment,
        "cached": False,
    }
    with pytest.raises(KeyboardInterrupt):
        running.run(*given, killed_in_tune, **settings)
    events = []
    with pytest.raises(RejectedError) as caught:
        running.run(*given, follow(events), **settings)
    kept = [step for step, state in events if state == "kept"]
    assert kept == ["ingest", "validate", "engineer", "preprocess", "select"]
    assert events[-1] == ("register", "failed")
    assert caught.value.exit_code == 3
    assert "a gate failed: roc_auc is 0." in caught.value.what
    assert "must be >= 0.999: failed by 0." in caught.value.what
    assert not caught.value.evaluation.accepted
    assert caught.value.evaluation.gates[0].margin < 0
    assert (place.artifacts(), registry.versions("flight-delay")) == before


def test_a_step_that_fails_is_named_with_what_it_said_and_its_log(place):
    model = place.model("broken")
    with (model / "features.py").open("a", encoding="utf-8") as file:
        file.write("\nwhole = features\ndef features(tables):\n    return whole(tables).limit(5)\n")
    with pytest.raises(PipelineError) as caught:
        running.run(
            model,
            DATASETS,
            place.outputs,
            place.folder / "work",
            tracking_uri=place.tracking_uri,
            environment=place.environment,
        )
    assert caught.value.where == "step engineer"
    assert "features() gave 5 rows" in caught.value.what
    assert f"({model / 'features.py'})" in caught.value.what
    assert "logs/engineer.log" in caught.value.fix


REGRESSION = {
    "name": "minutes-late",
    "task": "regression",
    "source": {
        "dataset": "flights",
        "time": "scheduled_departure",
        "entities": ["carrier", "origin", "dest", "tailnum"],
        "label": {"name": "minutes", "expression": "arr_delay"},
    },
    "estimator": {
        "library": "xgboost",
        "class": "XGBRegressor",
        "params": {"n_estimators": 20, "objective": "reg:pseudohubererror", "n_jobs": 2},
    },
    "tune": None,
    "gates": {"mae": "< prior"},
    "feedback": {"tolerance": 15},
    "rollout": {"guards": {"errors": {}, "wrong": {"min_feedback": 10}}},
}


@pytest.mark.long
def test_a_regression_is_served_and_its_feedback_counted_by_its_tolerance(place):
    """From model.yaml's ``feedback: {tolerance: 15}`` to the counters that a rollout judges by."""
    made = running.run(
        place.model("minutes", **REGRESSION),
        DATASETS,
        place.outputs,
        place.folder / "work",
        tracking_uri=place.tracking_uri,
        environment=place.environment,
    )
    assert [gate.name for gate in made.gates] == ["mae", "onnx_parity"]
    # What is left out is said at its end, in the run's journal and in what the report shows.
    [unknown] = [line for line in made.warnings if "rows have no known label" in line]
    assert unknown in made.evaluation.warnings
    told = [event for event in journal.events(Path(made.location)) if event["event"] == "warning"]
    assert unknown in [event["text"] for event in told]
    data = runs.output(Path(made.location), "preprocess", "parts")
    features = [tensor.name for tensor in made.training.inputs]
    frame = parts.load(data, "test", [parts.LABEL, *features]).head(100)
    rows = frame[features].astype(object).where(frame[features].notna(), None).to_dict("records")
    truth = [float(minutes) for minutes in frame[parts.LABEL]]
    with (
        server(made.uri, "--name", "minutes-late") as (_, url),
        Client(url, "minutes-late", None) as client,
    ):
        answer = client.infer(rows)
        predicted = answer.outputs["prediction"]
        wrong = sum(abs(p - true) > 15 for p, true in zip(predicted, truth, strict=True))
        assert 0 < wrong < 100
        verdict = client.feedback(answer, truth)
        assert (verdict.right, verdict.wrong) == (100 - wrong, wrong)
        counted = httpx.get(f"{url}/metrics", trust_env=False, verify=False).text
    assert f'{metrics.OUTCOME}="{metrics.WRONG}"}} {wrong}\n' in counted
    assert f'{metrics.OUTCOME}="{metrics.RIGHT}"}} {100 - wrong}\n' in counted


def test_an_estimator_that_cannot_be_is_refused_before_the_first_step(place):
    model = place.model("misspelt", estimator={**SMALL["estimator"], "params": {"max_dept": 4}})
    events = []
    with pytest.raises(DocumentError) as caught:
        running.run(
            model,
            DATASETS,
            place.outputs,
            place.folder / "work",
            follow(events),
            tracking_uri=place.tracking_uri,
        )
    assert "estimator.params.max_dept: XGBClassifier takes no parameter" in str(caught.value)
    assert str(caught.value).startswith(f"{model}/model.yaml: ")
    assert events == []
