"""What the steps train is explained by the server, exactly where it adds up."""

import numpy as np
import pytest

from components.preprocess.step import preprocess
from components.select.step import select
from components.train.step import train
from components.tune.step import tune
from contracts.model import ModelSpec
from serving.runtime.explaining.explainer import Explainer
from serving.runtime.model import Model
from serving.runtime.store import fetch
from tests.serving_model import write_artifact
from tests.unit.components_training.conftest import model_document

POISSON = {"objective": "count:poisson", "n_estimators": 9}
FEW = {"n_estimators": 9, "max_depth": 5}
ESTIMATORS = [
    ("xgboost", "XGBClassifier", {"n_estimators": 20, "max_depth": 3}, "tree_shap", "log-odds"),
    ("xgboost", "XGBRegressor", POISSON, "tree_shap", "log"),
    ("sklearn", "RandomForestClassifier", FEW, "tree_shap", "score"),
    ("sklearn", "LogisticRegression", {}, "linear_shap", "log-odds"),
    ("sklearn", "Ridge", {}, "linear_shap", "score"),
    ("sklearn", "MLPClassifier", {"max_iter": 5}, "sampled", "score"),
]


@pytest.mark.parametrize(("library", "name", "params", "method", "scale"), ESTIMATORS)
@pytest.mark.parametrize("encode", ["onehot", "ordinal"])
def test_what_is_trained_is_explained(toys, tmp_path, library, name, params, method, scale, encode):
    task = "classification" if name.endswith(("Classifier", "Regression")) else "regression"
    document = model_document(
        task=task,
        gates={},
        estimator={"library": library, "class": name, "params": params},
        preprocess={"categorical": {"rare_below": 50, "encode": encode}},
    )
    spec = ModelSpec.parse(document)
    path, table, frame = toys
    preprocess(path, table, spec, tmp_path / "data")
    select(tmp_path / "data", spec, tmp_path / "selection.json")
    tune(tmp_path / "data", tmp_path / "selection.json", spec, tmp_path / "tuning.json")
    steps = (tmp_path / "data", tmp_path / "selection.json", tmp_path / "tuning.json")
    report = train(*steps, spec, tmp_path / "model")
    content = (tmp_path / "model" / "model.onnx").read_bytes()
    folder = write_artifact(
        tmp_path / "artifact",
        content,
        task=task,
        inputs=report.inputs,
        outputs=report.outputs,
        features=report.features,
    )
    served = Model("toy", *fetch(str(folder)))
    explainer = Explainer(served, served.content)
    rows = frame.sample(30, random_state=1)
    feeds = {
        own.name: np.array(
            [[value if value == value and value is not None else ""] for value in rows[own.name]],
            object,
        )
        if own.datatype == "BYTES"
        else rows[[own.name]].to_numpy(np.float32)
        for own in report.inputs
        if own.used
    }
    answer = explainer.explain(feeds, len(rows), budget=30.0, sample=False)
    assert (answer.method, answer.scale) == (method, scale), answer.why
    used = {own.name for own in report.inputs if own.used}
    sizes = dict.fromkeys(used, 0.0)
    for own in answer.rows:
        assert set(own.contributions) == used
        assert own.base + sum(own.contributions.values()) == pytest.approx(own.total, abs=1e-6)
        for feature, value in own.contributions.items():
            sizes[feature] += abs(value)
    assert max(sizes, key=lambda feature: sizes[feature]) == "strong"
