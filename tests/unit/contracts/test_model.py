"""Every rule of ``model.yaml``, with a bad input and the sentence a person then sees."""

from datetime import date, datetime
from pathlib import Path

import pytest

from contracts.errors import DocumentError, UsageError
from contracts.model import Gate, ModelSpec, Range, ServedModel, find_model

FLIGHTS = Path(__file__).parents[3] / "models"


def document(**changes):
    return {
        "name": "toy",
        "task": "classification",
        "source": {
            "dataset": "toys",
            "time": "at",
            "entities": ["kind"],
            "label": {"name": "late", "expression": "delay > 15"},
        },
        "split": {
            "train": {"until": "2013-09-01"},
            "validate": {"until": "2013-10-01"},
            "test": {"until": "2013-11-01"},
        },
        "estimator": {"library": "xgboost", "class": "XGBClassifier"},
        "rollout": {"guards": {"errors": {}}},
    } | changes


def split(**changes):
    return {"split": document()["split"] | changes}


def tune(**changes):
    return {"tune": {"metric": "roc_auc", "space": {"max_depth": [3, 8]}} | changes}


def without(key):
    return {name: value for name, value in document().items() if name != key}


REFUSED = [
    (without("name"), "name: missing; it is required: the model's name"),
    (document(name="Toy"), "name: string should match pattern"),
    (document(tusk=1), "tusk: unknown key; did you mean 'task'?"),
    (document(task="classify"), "task: 'classify' is not known; did you mean 'classification'?"),
    (document(features="features.txt"), "features: string should match pattern"),
    (
        document(source=document()["source"] | {"entities": []}),
        "source.entities: tuple should have at least 1 item",
    ),
    (
        document(source=document()["source"] | {"label": {"name": "late"}}),
        "source.label.expression: missing",
    ),
    (
        document(**split(train={"until": "2013-10-01"})),
        "split: validate.until (2013-10-01) must be after train.until (2013-10-01)",
    ),
    (
        document(**split(test={"until": "2013-09-15"})),
        "split: test.until (2013-09-15) must be after validate.until (2013-10-01)",
    ),
    (
        document(**split(start="2014-01-01")),
        "split: train.until (2013-09-01) must be after start (2014-01-01)",
    ),
    (
        document(**split(start="soon")),
        "split.start: 'soon' is not a day; write one such as 2013-09-01",
    ),
    (
        document(**split(start=datetime(2013, 1, 1))),
        "split.start: '2013-01-01 00:00:00' is not a day; write one such as 2013-09-01",
    ),
    (
        document(preprocess={"numeric": {"impute": "meen"}}),
        "preprocess.numeric.impute: 'meen' is not known; did you mean 'mean'?",
    ),
    (
        document(preprocess={"categorical": {"encode": "hash"}}),
        "preprocess.categorical.encode: 'hash' is not known",
    ),
    (
        document(preprocess={"categorical": {"rare_below": -1}}),
        "preprocess.categorical.rare_below: input should be greater than or equal to 0",
    ),
    (document(select={"keep": 0}), "select.keep: input should be greater than or equal to 1"),
    (
        document(**tune(metric="auc")),
        "tune.metric: 'auc' is not a metric of classification; did you mean 'roc_auc'?",
    ),
    (document(**tune(trials=0)), "tune.trials: input should be greater than or equal to 1"),
    (document(**tune(rows=10)), "tune.rows: input should be greater than or equal to 100"),
    (document(**tune(timeout="soon")), "tune.timeout: 'soon' is not a duration"),
    (document(**tune(space={})), "tune.space: dictionary should have at least 1 item"),
    (
        document(**tune(space={"depth": [3, 4, 5]})),
        "[3, 4, 5] is not a range; write [low, high], or {choices: [...]}",
    ),
    (document(**tune(space={"depth": [8, 3]})), "low (8) must be below high (3)"),
    (
        document(**tune(space={"rate": {"low": 0, "high": 1, "log": True}})),
        "low (0) must be above 0 on a logarithmic scale",
    ),
    (
        document(**tune(space={"rate": {"low": 0.1, "high": 1, "log": True, "step": 0.1}})),
        "a logarithmic range has no step",
    ),
    (
        document(**tune(space={"rate": {"choices": []}})),
        "tuple should have at least 1 item",
    ),
    (
        document(**tune(sampler="grid", space={"rate": [0.1, 0.5]})),
        "tune: space.rate: a grid needs a step or choices, or another sampler",
    ),
    (
        document(gates={"roc_auc": "about 0.7"}),
        "gates.roc_auc: 'about 0.7' is not a gate; write a comparison such as",
    ),
    (
        document(gates={"rock_auc": "> 0.7"}),
        "gates.rock_auc: not a metric of classification; did you mean 'roc_auc'?",
    ),
    (document(serving={"replicas": 0}), "serving.replicas: input should be greater than or equal"),
    (document(serving={"cpu": "half"}), "serving.cpu: string should match pattern"),
    (document(serving={"memory": "1 GB"}), "serving.memory: string should match pattern"),
    (document(serving={"latency_budget": "fast"}), "serving.latency_budget: 'fast' is not"),
    (document(serving={"batch": True}), "serving.batch: input should be an object"),
    (document(serving={"batch": {"max": 0}}), "serving.batch.max: input should be greater than"),
    (
        document(serving={"batch": {"wait": "1.5ms"}}),
        "serving.batch.wait: 1.5ms is not a wait; write whole milliseconds, 1s at most",
    ),
    (document(serving={"batch": {"wait": "2s"}}), "serving.batch.wait: 2s is not a wait"),
    (document(serving={"workers": 65}), "serving.workers: input should be less than or equal"),
    (document(serving={"threads": 0}), "serving.threads: input should be greater than or equal"),
    (
        document(feedback={"tolerance": 15}),
        "feedback.tolerance: a class is right or wrong; a classification has feedback.threshold",
    ),
    (document(feedback={"threshold": 2}), "feedback.threshold: input should be less than or equal"),
    (
        document(task="regression", feedback={"threshold": 0.5}),
        "feedback.threshold: a regression predicts numbers; say when one is right with",
    ),
    (
        document(task="regression", feedback={"tolerance": "a lot"}),
        "feedback.tolerance: 'a lot' is not a tolerance; write a number in the label's unit",
    ),
    (
        document(task="regression", rollout={"guards": {"wrong": {}}}),
        "write feedback: {tolerance: 15}, in the unit of late, or a share such as {tolerance: 10%}",
    ),
]


@pytest.mark.parametrize(("value", "sentence"), REFUSED, ids=lambda one: str(one)[-60:])
def test_what_is_wrong_is_refused_with_its_key(value, sentence):
    with pytest.raises(DocumentError) as caught:
        ModelSpec.parse(value, where="model.yaml")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("model.yaml: ")


@pytest.mark.parametrize(
    ("tolerance", "absolute", "relative"),
    [
        (15, 15, None),
        (0.5, 0.5, None),
        ("10%", None, 0.1),
        ({"absolute": 1, "relative": 0.2}, 1, 0.2),
    ],
)
def test_a_regression_says_what_is_right(tolerance, absolute, relative):
    guards = {"guards": {"wrong": {}}}
    spec = ModelSpec.parse(
        document(task="regression", feedback={"tolerance": tolerance}, rollout=guards)
    )
    again = ModelSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    assert again == spec
    assert again.feedback.tolerance.absolute == absolute
    assert again.feedback.tolerance.relative == relative


def test_a_threshold_of_nothing_stays_nothing():
    spec = ModelSpec.parse(document(feedback={"threshold": 0.0}))
    assert (
        ModelSpec.model_validate_json(spec.model_dump_json(by_alias=True)).feedback.threshold == 0
    )


def test_the_flights_model_is_valid_and_survives_json():
    spec = ModelSpec.find(FLIGHTS, "flight-delay")
    assert ModelSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


@pytest.mark.parametrize(
    ("space", "whole"),
    [
        ([3, 8], True),
        ([3.0, 8], False),
        ({"low": 50, "high": 500, "log": True}, True),
        ({"low": 0.0, "high": 1.0, "step": 0.25}, False),
        ({"low": 1, "high": 9, "step": 2}, True),
    ],
)
def test_a_range_written_in_integers_means_integers(space, whole):
    spec = ModelSpec.parse(document(**tune(space={"value": space})))
    again = ModelSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    for found in (spec, again):
        assert found.tune is not None
        assert isinstance(found.tune.space["value"], Range)
        assert found.tune.space["value"].whole is whole


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        (">= 0.68", Gate(operator=">=", limit=0.68)),
        ("<prior", Gate(operator="<", limit="prior")),
        ("<= 1e-5", Gate(operator="<=", limit=1e-5)),
        ("> -2", Gate(operator=">", limit=-2)),
    ],
)
def test_gates_are_comparisons(text, gate):
    assert ModelSpec.parse(document(gates={"roc_auc": text})).gates["roc_auc"] == gate


def test_other_days_keep_the_rest_and_the_order():
    spec = ModelSpec.parse(document())
    moved = spec.with_split(train_until=date(2013, 7, 1), validate_until=date(2013, 8, 1))
    assert moved.split.train.until == date(2013, 7, 1)
    assert moved.split.test == spec.split.test
    assert moved.estimator == spec.estimator
    with pytest.raises(DocumentError, match="model toy: split: 1 problem"):
        spec.with_split(train_until=date(2014, 7, 1))


def test_an_unknown_model_gets_the_name_that_was_meant():
    with pytest.raises(UsageError, match="did you mean 'flight-delay'"):
        ModelSpec.find(FLIGHTS, "flight-dellay")


def test_a_model_in_another_models_folder_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    text = (FLIGHTS / "flight-delay" / "model.yaml").read_text(encoding="utf-8")
    (tmp_path / "other" / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError, match="is 'flight-delay', but the folder is 'other'"):
        ModelSpec.find(tmp_path, "other")


def test_a_model_without_its_features_is_refused(tmp_path):
    folder = tmp_path / "flight-delay"
    folder.mkdir()
    text = (FLIGHTS / "flight-delay" / "model.yaml").read_text(encoding="utf-8")
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError, match=r"features: there is no file 'features\.py' beside it"):
        ModelSpec.find(tmp_path, "flight-delay")


ELSEWHERE = "name: toy\ntask: regression\nrollout: {guards: {errors: {}}}\n"


def written(folder, text):
    (folder / "toy").mkdir()
    (folder / "toy/model.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_model_that_is_trained_elsewhere_has_a_document_without_its_training(tmp_path):
    models = written(tmp_path, ELSEWHERE)
    spec = find_model(models, "toy")
    assert (type(spec), spec.serving.replicas) == (ServedModel, 1)
    with pytest.raises(UsageError, match="toy is not trained here") as raised:
        ModelSpec.find(models, "toy")
    assert "`millwright register toy`" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ELSEWHERE + "gates: {}\n", "gates: unknown key"),
        (ELSEWHERE + "split: {}\n", "source: missing"),
        (
            ELSEWHERE.replace("errors: {}", "wrong: {}"),
            "write feedback: {tolerance: 15}, in the label's unit",
        ),
    ],
)
def test_what_a_document_without_training_refuses(tmp_path, text, sentence):
    with pytest.raises(DocumentError) as raised:
        find_model(written(tmp_path, text), "toy")
    assert any(sentence in problem for problem in raised.value.problems)
