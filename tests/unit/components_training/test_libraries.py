"""Libraries: what a document may name, what is refused before anything starts, and one added."""

import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest

from components import parts
from components.documents import (
    NATIVE_FILE,
    PREPROCESSING,
    Evaluation,
    Preprocessing,
    Tuning,
    read,
)
from components.evaluate.step import evaluate
from components.libraries import registry
from components.libraries.check import check_estimator, rehearse
from components.libraries.forest import floor32
from components.libraries.xgboost import LINKS
from components.native import parameters
from components.parity import Exported, difference
from components.preprocess.step import preprocess
from components.register.step import refuse_failed
from components.select.step import select
from components.train.step import train
from components.tune.step import tune
from contracts.errors import DocumentError, RejectedError
from contracts.model import ModelSpec
from tests.unit.components_training.conftest import model_document

CLASSIFIER = {"library": "xgboost", "class": "XGBClassifier"}
REGRESSOR = {"library": "xgboost", "class": "XGBRegressor"}


@pytest.fixture
def run(toys, tmp_path):
    """Runs the steps up to evaluation in a folder."""
    path, table, _ = toys

    def steps(spec, folder=tmp_path):
        preprocess(path, table, spec, folder / "data")
        select(folder / "data", spec, folder / "selection.json")
        tune(folder / "data", folder / "selection.json", spec, folder / "tuning.json")
        files = (folder / "data", folder / "selection.json", folder / "tuning.json")
        report = train(*files, spec, folder / "model")
        return report, evaluate(folder / "data", folder / "model", spec, folder / "evaluation.json")

    return steps


def spec_of(estimator, *, params=None, space=None, **changes):
    """A model with this estimator."""
    given = {**estimator, "params": params or {}}
    task = "regression" if estimator["class"].endswith(("Regressor", "Ridge")) else "classification"
    metric = "rmse" if task == "regression" else "roc_auc"
    search = {"tune": {"metric": metric, "space": space}} if space else {}
    return ModelSpec.parse(
        model_document(**{"task": task, "gates": {}, "estimator": given, **search, **changes})
    )


REFUSED = [
    (
        spec_of({"library": "xgboost", "class": "XGBClasifier"}),
        ["class 'XGBClasifier' is not known in xgboost; did you mean 'XGBClassifier'?"],
    ),
    (
        spec_of({"library": "sklearn", "class": "Ridge"}, task="classification"),
        ["estimator.class: Ridge is not made for classification; sklearn has "],
    ),
    (
        spec_of(CLASSIFIER, task="regression"),
        ["estimator.class: XGBClassifier is not made for regression; xgboost has XGBRegressor"],
    ),
    (
        spec_of({"library": "xgbost", "class": "XGBClassifier"}),
        ["estimator.library: 'xgbost' is not known; did you mean 'xgboost'?"],
    ),
    (
        spec_of({"library": "sklearn", "class": "LogisticRegression"}, params={"max_itr": 200}),
        [
            "estimator.params.max_itr: LogisticRegression takes no parameter 'max_itr'",
            "did you mean 'max_iter'?",
        ],
    ),
    (
        spec_of(CLASSIFIER, params={"max_dept": 3}, space={"learning_rat": [0.1, 0.2]}),
        [
            "estimator.params.max_dept: XGBClassifier takes no parameter 'max_dept'",
            "tune.space.learning_rat: XGBClassifier takes no parameter 'learning_rat'",
        ],
    ),
    (
        spec_of(CLASSIFIER, params={"max_depth": "abc", "subsample": 0.5}),
        ["estimator.params.max_depth: 'abc': XGBClassifier refuses it: Invalid Parameter format"],
    ),
    (
        spec_of(CLASSIFIER, params={"subsample": 0.5, "reg_lambda": -1}),
        ["estimator.params.reg_lambda: -1: XGBClassifier refuses it: value -1 for Parameter"],
    ),
    (
        spec_of(CLASSIFIER, params={"booster": "gblinear", "n_estimators": 5}),
        ["estimator.params.booster: 'gblinear': XGBClassifier cannot be exported: a booster of"],
    ),
    (
        spec_of(CLASSIFIER, params={"objective": "binary:logitraw"}),
        ["objective: 'binary:logitraw': XGBClassifier cannot be exported: the predictions of"],
    ),
    (
        spec_of(REGRESSOR, params={"objective": "rank:pairwise"}),
        ["objective: 'rank:pairwise': XGBRegressor cannot be exported: the predictions of"],
    ),
    (
        spec_of(REGRESSOR, params={"objective": "reg:nonsense"}),
        ["XGBRegressor refuses it: Unknown objective function: `reg:nonsense`"],
    ),
    (
        spec_of(CLASSIFIER, params={"n_estimators": "many"}),
        ["estimator.params.n_estimators: 'many': XGBClassifier refuses it: 'str' object"],
    ),
    (
        spec_of(CLASSIFIER, params={"n_estimators": 0}),
        ["estimator.params.n_estimators: 0: XGBClassifier cannot be exported: it has no trees"],
    ),
    (
        spec_of({"library": "sklearn", "class": "LogisticRegression"}, params={"max_iter": "x"}),
        ["estimator.params.max_iter: 'x': LogisticRegression refuses it: The 'max_iter' parameter"],
    ),
    (
        spec_of(
            {"library": "sklearn", "class": "HistGradientBoostingRegressor"},
            params={"loss": "gamma"},
        ),
        ["loss: 'gamma': HistGradientBoostingRegressor differs from its export to ONNX by"],
    ),
    (
        spec_of(CLASSIFIER, params={"missing": -1.0}),
        ["estimator.params.missing: -1.0: XGBClassifier refuses it: missing: preprocessing has"],
    ),
    (
        spec_of(CLASSIFIER, space={"booster": {"choices": ["gbtree", "gblinear"]}}),
        ["tune.space.booster: with 'gblinear' XGBClassifier cannot be exported: a booster of"],
    ),
    (
        spec_of(
            {"library": "sklearn", "class": "RandomForestClassifier"}, params={"criterion": "ginny"}
        ),
        ["criterion: 'ginny': RandomForestClassifier refuses it: The 'criterion' parameter of"],
    ),
]


@pytest.mark.parametrize(("spec", "sentences"), REFUSED, ids=lambda one: str(one)[-50:])
def test_an_estimator_that_cannot_be_is_refused_by_its_key(spec, sentences):
    with pytest.raises(DocumentError) as caught:
        check_estimator(spec, where="model.yaml")
    for sentence in sentences:
        assert sentence in str(caught.value)
    assert str(caught.value).startswith("model.yaml: ")


TAKEN = [
    (CLASSIFIER, {"booster": "dart", "rate_drop": 0.5}),
    (CLASSIFIER, {"eta": 0.1, "seed": 7, "min_split_loss": 0.1}),
    (CLASSIFIER, {"tree_method": "exact"}),
    (CLASSIFIER, {"early_stopping_rounds": 2}),
    (CLASSIFIER, {"num_parallel_tree": 3, "scale_pos_weight": 2.5}),
    (CLASSIFIER, {"base_score": 0.3, "eval_metric": "auc"}),
    (REGRESSOR, {"objective": "reg:quantileerror", "quantile_alpha": 0.9}),
    (REGRESSOR, {"objective": "reg:tweedie", "tweedie_variance_power": 1.2}),
    (REGRESSOR, {"objective": "reg:pseudohubererror", "huber_slope": 2.0}),
    (
        REGRESSOR,
        {
            "objective": "reg:logistic",
            "booster": "dart",
            "rate_drop": 0.3,
            "early_stopping_rounds": 2,
        },
    ),
    ({"library": "sklearn", "class": "GradientBoostingClassifier"}, {"n_iter_no_change": 2}),
    ({"library": "sklearn", "class": "MLPClassifier"}, {"early_stopping": True}),
    ({"library": "sklearn", "class": "HistGradientBoostingClassifier"}, {"early_stopping": True}),
    (
        {"library": "sklearn", "class": "HistGradientBoostingRegressor"},
        {"loss": "quantile", "quantile": 0.9},
    ),
]


@pytest.mark.parametrize(("estimator", "params"), TAKEN, ids=str)
def test_what_a_library_takes_is_taken(estimator, params):
    check_estimator(spec_of(estimator, params=params))


def test_a_value_that_learns_only_with_others_is_left_to_the_search():
    logistic = {"library": "sklearn", "class": "LogisticRegression"}
    space = {"solver": {"choices": ["lbfgs", "no such solver"]}}
    check_estimator(spec_of(logistic, space=space))


def test_a_library_that_is_not_installed_is_named_with_what_to_install(monkeypatch):
    record = replace(registry.find("xgboost"), packages=("xgboost", "no_such_package"))
    monkeypatch.setattr(registry, "find", lambda name, where="": record)
    with pytest.raises(DocumentError, match="xgboost needs no_such_package, which is not"):
        check_estimator(spec_of(CLASSIFIER))


def installed():
    """Every estimator of every library that is installed here."""
    records = [registry.find(name) for name in registry.BUILT_IN]
    return [
        pytest.param(library, algorithm, id=f"{library.name}-{algorithm.name}")
        for library in records
        if not library.missing()
        for algorithm in library.estimators.values()
    ]


@pytest.mark.parametrize(("library", "algorithm"), installed())
def test_every_estimator_that_can_be_named_can_be_exported(library, algorithm):
    assert rehearse(library, algorithm, {}) is None
    assert algorithm.load().__name__ == algorithm.name


@pytest.mark.parametrize("objective", LINKS)
def test_every_objective_is_exported_with_its_link(objective):
    library = registry.find("xgboost")
    more = {"quantile_alpha": 0.25} if objective == "reg:quantileerror" else {}
    algorithm = library.estimators["XGBRegressor"]
    for booster in ("gbtree", "dart"):
        given = {"objective": objective, "booster": booster, "rate_drop": 0.5, **more}
        if booster == "gbtree":
            del given["rate_drop"]
        assert rehearse(library, algorithm, given) is None


def test_a_threshold_of_32_bits_parts_the_same_numbers():
    generator = np.random.default_rng(0)
    thresholds = generator.normal(size=1000)
    near = thresholds.astype(np.float32)
    floored = floor32(thresholds)
    for numbers in (near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))):
        assert ((numbers <= floored) == (numbers.astype(np.float64) <= thresholds)).all()


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        (REGRESSOR, {"objective": "reg:pseudohubererror", "n_estimators": 20}),
        (REGRESSOR, {"booster": "dart", "rate_drop": 0.4, "n_estimators": 20}),
        ({"library": "sklearn", "class": "HistGradientBoostingRegressor"}, {"max_iter": 20}),
        ({"library": "sklearn", "class": "Ridge"}, {}),
    ],
    ids=lambda one: str(one)[-40:],
)
def test_a_regression_by_any_library_is_its_export(run, estimator, params):
    training, evaluation = run(spec_of(estimator, params=params))
    assert evaluation.onnx_parity <= 1e-5
    assert sum(training.importance.values()) == pytest.approx(1) or not training.importance


def test_a_probability_by_regression_is_exported_as_one(run, toys, tmp_path):
    """XGBRegressor with reg:logistic differed by 3.17, and was registered."""
    spec = spec_of(REGRESSOR, params={"objective": "reg:logistic", "n_estimators": 20})
    _, evaluation = run(spec)
    assert evaluation.onnx_parity <= 1e-6
    assert [gate.name for gate in evaluation.gates] == ["onnx_parity"]
    assert evaluation.accepted


def test_early_stopping_looks_at_the_validation_part_and_exports_the_best_rounds(run, tmp_path):
    params = {"n_estimators": 300, "early_stopping_rounds": 3, "learning_rate": 0.5, "n_jobs": 1}
    _, evaluation = run(spec_of(CLASSIFIER, params=params))
    native = joblib.load(tmp_path / "model" / NATIVE_FILE)
    assert native.estimator.num_boosted_rounds() < 100
    assert evaluation.onnx_parity <= 1e-6


def test_trials_share_the_binned_rows_and_say_how_they_did(run, tmp_path):
    space = {"max_depth": [2, 5], "max_bin": {"choices": [16, 256]}}
    run(spec_of(CLASSIFIER, params={"n_estimators": 5}, space=space))
    trials = read(Tuning, tmp_path / "tuning.json").trials
    scores = {(one.parameters["max_depth"], one.parameters["max_bin"]): one.score for one in trials}
    assert len(set(scores.values())) == len(scores), "rows in other bins are other rows"


def wrong(library):
    """The library, exporting a model that is not the one it fitted."""

    def export(estimator, columns, task):
        graph = library.export(estimator, columns, task)
        for node in graph.graph.node:
            for attribute in node.attribute:
                if attribute.name == "base_values":
                    attribute.floats[0] += 1.0
        return graph

    return replace(library, export=export)


def test_a_model_that_differs_from_its_export_is_never_registered(run, monkeypatch):
    """Whatever the gates name."""
    library = wrong(registry.find("xgboost"))
    monkeypatch.setattr(registry, "load", lambda point: library)
    spec = spec_of(REGRESSOR, params={"n_estimators": 10})
    with pytest.raises(DocumentError, match="differs from its export to ONNX by 1, so another"):
        check_estimator(spec)
    _, evaluation = run(spec)
    assert evaluation.onnx_parity == pytest.approx(1.0, rel=0.01)
    assert [gate.passed for gate in evaluation.gates if gate.name == "onnx_parity"] == [False]
    with pytest.raises(RejectedError, match="onnx_parity is 1, must be <= "):
        refuse_failed(evaluation, "toy")


def test_a_difference_is_infinite_where_there_is_nothing_to_compare():
    some = np.array([[1.0], [2.0]])
    assert difference(some, some + 0.5) == 0.5
    assert difference(some, np.array([[1.0], [np.nan]])) == np.inf
    assert difference(some, np.ones((2, 2))) == np.inf


def test_a_seed_is_given_to_those_that_take_one():
    library = registry.find("sklearn")
    forest, bayes = (
        spec_of({"library": "sklearn", "class": name}).estimator
        for name in ("RandomForestClassifier", "GaussianNB")
    )
    assert parameters(library, forest, {})["random_state"] == 0
    assert parameters(library, forest, {"random_state": 3})["random_state"] == 3
    assert parameters(library, bayes, {}) == {}


# --- A new library is a module and a line --------------------------------------------------------

CENTROIDS = "tests.unit.components_training.centroids:LIBRARY"
OURS = {"library": "centroids", "class": "Centroids"}


def test_a_new_library_is_a_module_and_a_line(run, monkeypatch, tmp_path):
    monkeypatch.setitem(registry.BUILT_IN, "centroids", CENTROIDS)
    assert_trains_and_serves_as_native(run, tmp_path)


def test_a_library_outside_the_checkout_is_an_entry_point(run, monkeypatch, tmp_path):
    package = tmp_path / "site"
    information = package / "centroids-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: centroids\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{registry.GROUP}]\ncentroids = far:LIBRARY\n")
    source = Path(__file__).with_name("centroids.py").read_text(encoding="utf-8")
    (package / "far.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(package))
    try:
        assert_trains_and_serves_as_native(run, tmp_path)
    finally:
        sys.modules.pop("far", None)


def assert_trains_and_serves_as_native(run, folder):
    """The library's own prediction is what its export says, through all steps, tuned."""
    spec = spec_of(OURS, space={"sharpness": [0.5, 2.0]})
    check_estimator(spec)
    training, evaluation = run(spec, folder)
    assert evaluation.metrics["roc_auc"].value > 0.65
    assert evaluation.accepted
    assert next(iter(training.importance)) == "strong"
    assert 0.5 <= training.parameters["sharpness"] <= 2.0
    known = {one.name: one for one in read(Preprocessing, folder / "data" / PREPROCESSING).features}
    frame = parts.load(folder / "data", "test", training.features)
    rows = parts.inputs(frame, [known[name] for name in training.features])
    exported = Exported(folder / "model" / "model.onnx", training.inputs[: len(known)])
    native = joblib.load(folder / "model" / NATIVE_FILE).predict(rows)
    assert np.abs(exported.predict(rows) - native).max() <= 1e-6
    assert read(Evaluation, folder / "evaluation.json") == evaluation
    with pytest.raises(DocumentError, match="'sharpnes'; did you mean 'sharpness'"):
        check_estimator(spec_of(OURS, params={"sharpnes": 1.0}))
    with pytest.raises(DocumentError, match="sharpness: -1: Centroids refuses it: sharpness is -1"):
        check_estimator(spec_of(OURS, params={"sharpness": -1}))


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("no.such.module:LIBRARY", "cannot be imported"), ("math:pi", "is a float")],
)
def test_what_is_added_must_be_a_library(monkeypatch, target, sentence):
    monkeypatch.setitem(registry.BUILT_IN, "odd", target)
    with pytest.raises(DocumentError, match=sentence):
        registry.find("odd")
