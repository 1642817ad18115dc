"""From parts to a judged model: select, tune, train, export, evaluate."""

import hashlib

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from components import parts
from components.binning import Binning, mutual_information
from components.documents import Evaluation, Preprocessing, Tuning, read
from components.evaluate.gates import judge
from components.evaluate.step import evaluate
from components.preprocess.step import preprocess
from components.register.step import refuse_failed
from components.select.step import select
from components.train.step import fingerprint, train
from components.tune.step import grid, tune
from contracts.errors import DocumentError, PipelineError, RejectedError
from contracts.model import Gate

LINEAR = {"library": "sklearn", "class": "LogisticRegression", "params": {"max_iter": 200}}
FOREST = {
    "library": "sklearn",
    "class": "RandomForestClassifier",
    "params": {"n_estimators": 10, "max_depth": 4},
}
BOOSTED = {
    "library": "xgboost",
    "class": "XGBClassifier",
    "params": {"n_estimators": 20, "max_depth": 3, "n_jobs": 1},
}


@pytest.fixture
def run(toys, tmp_path):
    """Runs the steps up to evaluation in a folder."""
    path, table, _ = toys

    def steps(spec, folder=tmp_path, source=path):
        preprocess(source, table, spec, folder / "data")
        select(folder / "data", spec, folder / "selection.json")
        tune(folder / "data", folder / "selection.json", spec, folder / "tuning.json")
        files = (folder / "data", folder / "selection.json", folder / "tuning.json")
        report = train(*files, spec, folder / "model")
        return report, evaluate(folder / "data", folder / "model", spec, folder / "evaluation.json")

    return steps


def preprocessing(encode, scale):
    return {"numeric": {"scale": scale}, "categorical": {"encode": encode, "rare_below": 50}}


@pytest.mark.parametrize("encode", ["onehot", "ordinal"])
@pytest.mark.parametrize("scale", ["standard", "robust", "none"])
def test_the_exported_model_is_the_native_one(run, model, encode, scale):
    """Values repeat, so that a last-bit difference at a tree's threshold would show."""
    _, evaluation = run(model(preprocess=preprocessing(encode, scale), estimator=BOOSTED))
    assert evaluation.onnx_parity <= 1e-6


@pytest.mark.parametrize("estimator", [LINEAR, FOREST], ids=lambda one: one["class"])
def test_every_library_is_exported(run, model, estimator):
    training, evaluation = run(model(estimator=estimator))
    assert evaluation.onnx_parity <= 1e-5
    assert evaluation.metrics["roc_auc"].value > 0.65
    assert training.parameters["random_state"] == 0


def test_the_signature_is_what_a_request_sends(run, model, tmp_path):
    training, _ = run(model(estimator=BOOSTED))
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        (tensor.name, [None, 1]) for tensor in training.inputs
    ]
    assert [(one.name, one.type, one.shape) for one in session.get_outputs()] == [
        ("label", "tensor(int64)", [None]),
        ("probabilities", "tensor(float)", [None, 2]),
    ]
    by_name = {tensor.name: tensor for tensor in training.inputs}
    assert by_name["kind"].datatype == "BYTES"
    assert by_name["kind"].categories == ("a", "b", "c")
    assert by_name["strong"].minimum < 0 < by_name["strong"].maximum
    onnx = (tmp_path / "model" / "model.onnx").read_bytes()
    assert training.digest == hashlib.sha256(onnx).hexdigest()


def test_missing_and_unknown_values_are_answered(run, model, tmp_path):
    training, _ = run(model(estimator=BOOSTED))
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    texts = ["", "never seen", "rare"]
    feed = {
        tensor.name: np.array(texts, object).reshape(-1, 1)
        if tensor.datatype == "BYTES"
        else np.full((3, 1), np.nan, np.float32)
        for tensor in training.inputs
    }
    probabilities = session.run(["probabilities"], feed)[0]
    assert np.isfinite(probabilities).all()
    assert probabilities[1].tolist() == probabilities[2].tolist()


def test_regression_goes_the_same_way(run, model):
    estimator = {"library": "xgboost", "class": "XGBRegressor", "params": {"n_estimators": 20}}
    training, evaluation = run(
        model(task="regression", estimator=estimator, gates={"r2": "> 0", "rmse": "< prior"})
    )
    assert [tensor.name for tensor in training.outputs] == ["prediction"]
    assert evaluation.onnx_parity <= 1e-5
    assert set(evaluation.metrics) == {"rmse", "mae", "r2"}
    assert evaluation.accepted


def test_an_evaluation_says_where_the_model_stands(run, model, tmp_path):
    _, evaluation = run(model(estimator=BOOSTED))
    auc = evaluation.metrics["roc_auc"]
    assert auc.low < auc.value < auc.high
    assert evaluation.prior["roc_auc"] == 0.5
    assert evaluation.best_feature.name == "strong"
    assert evaluation.best_feature.gain.value == pytest.approx(
        auc.value - evaluation.best_feature.score.value
    )
    assert evaluation.importance[0].name == "strong"
    assert {one.value for one in evaluation.slices} == {"2013-04", "a", "b", "c"}
    assert sum(one.rows for one in evaluation.calibration) == evaluation.rows
    rates = [point.true_positive_rate for point in evaluation.roc]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (pytest.approx(0, abs=0.1), 1)
    assert read(Evaluation, tmp_path / "evaluation.json") == evaluation


def test_selection_keeps_the_best_and_the_order(run, model, toys, tmp_path):
    path, table, _ = toys
    spec = model(select={"keep": 2})
    preprocess(path, table, spec, tmp_path)
    selection = select(tmp_path, spec, tmp_path / "selection.json")
    assert selection.kept[0] == "strong"
    assert len(selection.kept) == 2
    assert "noise" not in selection.kept
    kept_all = select(tmp_path, model(select={"method": "none"}), tmp_path / "all.json")
    assert kept_all.kept == ("strong", "weak", "gappy", "noise", "kind")


def test_mutual_information_does_not_favour_many_categories():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 5000)
    many = mutual_information(generator.integers(0, 300, 5000), 300, label, 2)
    assert many < 0.005
    assert mutual_information(label, 2, label, 2) == pytest.approx(np.log(2), abs=0.01)


def test_bins_hold_missing_values_apart():
    values = pd.Series([np.nan, 1.0, 2.0, 3.0])
    codes = Binning.learn(values).codes(values)
    assert codes[0] == 0
    assert (codes[1:] > 0).all()


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_tuning_finds_the_best_of_its_trials(run, model, tmp_path, sampler):
    space = {"max_depth": [1, 3], "n_estimators": {"choices": [5, 30]}}
    search = {"sampler": sampler, "trials": 4, "metric": "roc_auc", "space": space, "rows": 1000}
    training, _ = run(model(estimator=BOOSTED, tune=search))
    tuning = read(Tuning, tmp_path / "tuning.json")
    assert len(tuning.trials) == 4
    best = max(tuning.trials, key=lambda trial: trial.score)
    assert tuning.best == best.parameters
    assert training.parameters["max_depth"] == best.parameters["max_depth"]
    assert all(isinstance(trial.parameters["max_depth"], int) for trial in tuning.trials)


@pytest.mark.parametrize("trials", [2, 3, 9])
def test_a_grid_is_tried_point_by_point_and_each_once(run, model, tmp_path, trials):
    space = {"max_depth": [1, 3]}
    search = {"sampler": "grid", "trials": trials, "metric": "roc_auc", "space": space}
    run(model(estimator=BOOSTED, tune=search))
    tried = read(Tuning, tmp_path / "tuning.json").trials
    depths = {trial.parameters["max_depth"] for trial in tried}
    assert len(tried) == len(depths) == min(trials, 3)
    assert [trial.number for trial in tried] == list(range(len(tried)))


def test_the_same_seed_tries_the_same(run, model, tmp_path):
    search = {"trials": 3, "metric": "log_loss", "space": {"learning_rate": [0.05, 0.5]}}
    found = []
    for name in ("one", "two"):
        run(model(estimator=BOOSTED, tune=search), tmp_path / name)
        found.append(read(Tuning, tmp_path / name / "tuning.json"))
    assert [t.parameters for t in found[0].trials] == [t.parameters for t in found[1].trials]
    assert found[0].best == min(found[0].trials, key=lambda trial: trial.score).parameters


def test_a_refused_trial_is_written_down_and_the_search_goes_on(run, model, tmp_path):
    space = {"objective": {"choices": ["binary:logistic", "no such objective"]}}
    search = {"sampler": "grid", "trials": 2, "metric": "roc_auc", "space": space}
    run(model(estimator=BOOSTED, tune=search))
    trials = read(Tuning, tmp_path / "tuning.json").trials
    assert sorted(trial.score is None for trial in trials) == [False, True]
    assert any("no such objective" in trial.error for trial in trials)


def test_a_search_in_which_nothing_fits_is_an_error(run, model):
    space = {"objective": {"choices": ["no such objective"]}}
    with pytest.raises(PipelineError, match=r"tune\.space: none of 1 trials could be fitted"):
        run(model(estimator=BOOSTED, tune={"trials": 1, "metric": "roc_auc", "space": space}))


def test_a_grid_too_large_to_be_meant_is_refused(model):
    space = {"max_depth": [1, 200], "n_estimators": [1, 200]}
    spec = model(tune={"sampler": "grid", "metric": "roc_auc", "space": space})
    with pytest.raises(PipelineError, match="the grid has 40000 combinations"):
        grid(spec.tune)


def test_an_unknown_parameter_is_named(run, model):
    estimator = BOOSTED | {"params": {"max_dept": 3}}
    with pytest.raises(DocumentError, match="XGBClassifier takes no parameter 'max_dept'"):
        run(model(estimator=estimator))


@pytest.mark.parametrize(
    ("gate", "value", "passed", "margin"),
    [
        (">= 0.68", 0.68, True, 0.0),
        ("> 0.68", 0.68, False, 0.0),
        (">= 0.7", 0.65, False, -0.05),
        ("< prior", 0.4, True, 0.1),
        ("<= 1e-5", 1.0, False, -0.99999),
        (">= 0.5", float("nan"), False, float("nan")),
    ],
)
def test_gates(model, gate, value, passed, margin):
    spec = model(gates={"log_loss": gate})
    judged = judge(spec.gates, {"log_loss": value}, {"log_loss": 0.5})[0]
    assert judged.passed is passed
    assert judged.margin == pytest.approx(margin, nan_ok=True)
    assert judged.gate == gate.replace("1e-5", "1e-05")


@pytest.fixture
def worse(toys, run, tmp_path):
    """Runs the steps on rows whose labels turn around with the test part."""
    _, _, frame = toys
    turned = frame.copy()
    late = turned["time"] >= pd.Timestamp("2013-04-01", tz="UTC")
    turned.loc[late, "label"] = 1 - turned.loc[late, "label"]
    turned.to_parquet(tmp_path / "turned.parquet")
    return lambda spec: run(spec, source=tmp_path / "turned.parquet")[1]


REGRESSOR = {"library": "xgboost", "class": "XGBRegressor", "params": {"n_estimators": 20}}


@pytest.mark.parametrize(
    ("task", "estimator", "metric"),
    [("classification", BOOSTED, "log_loss"), ("regression", REGRESSOR, "rmse")],
)
def test_without_gates_a_model_must_beat_the_prior(run, worse, model, task, estimator, metric):
    spec = model(task=task, estimator=estimator, gates=None)
    _, good = run(spec)
    assert [(gate.name, gate.gate) for gate in good.gates] == [
        (metric, "< prior"),
        ("onnx_parity", good.gates[1].gate),
    ]
    assert good.accepted
    refuse_failed(good, "toy")
    bad = worse(spec)
    with pytest.raises(RejectedError, match=f"{metric} is .*, must be < prior") as caught:
        refuse_failed(bad, "toy")
    assert "`gates: {}` to ask nothing" in caught.value.fix


@pytest.mark.parametrize(
    ("gates", "warned"), [({}, True), ({"log_loss": "< 9"}, False), ({"roc_auc": "> 0"}, True)]
)
def test_gates_of_the_document_are_what_is_judged(worse, model, gates, warned):
    evaluation = worse(model(estimator=BOOSTED, gates=gates))
    assert [gate.name for gate in evaluation.gates] == [*gates, "onnx_parity"]
    assert evaluation.accepted
    sentences = [line for line in evaluation.warnings if "no better than always" in line]
    assert len(sentences) == warned
    refuse_failed(evaluation, "toy")


def test_a_gate_says_by_how_much():
    gates = {
        "roc_auc": Gate(operator=">=", limit=0.7),
        "log_loss": Gate(operator="<", limit="prior"),
    }
    values = {"roc_auc": 0.65, "log_loss": 0.4}
    sentences = [one.sentence() for one in judge(gates, values, {"log_loss": 0.5})]
    assert sentences == [
        "roc_auc is 0.65, must be >= 0.7: failed by 0.05",
        "log_loss is 0.4, must be < prior (0.5): passed by 0.1",
    ]


def test_the_fingerprint_is_the_rows_own(toys, model, tmp_path):
    path, table, frame = toys
    preprocess(path, table, model(), tmp_path / "a")
    frame.to_parquet(tmp_path / "ordered.parquet")
    preprocess(tmp_path / "ordered.parquet", table, model(), tmp_path / "b")
    columns = [parts.KEY, parts.TIME, parts.LABEL, "gappy", "kind"]
    first, second = (parts.load(tmp_path / name, "train", columns) for name in "ab")
    assert fingerprint(first) == fingerprint(second)
    changed = second.copy()
    changed.loc[0, "gappy"] = 17.0
    assert fingerprint(changed) != fingerprint(first)
    assert fingerprint(second.iloc[1:]) != fingerprint(first)


def test_a_missing_document_names_the_step_before(tmp_path):
    with pytest.raises(PipelineError, match="there is no Preprocessing document"):
        read(Preprocessing, tmp_path / "preprocessing.json")
