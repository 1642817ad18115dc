"""XGBoost: sums of trees, exported by `components.libraries.forest`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from components.libraries import forest, library
from components.libraries.forest import Forest, Link, Tree
from components.libraries.library import (
    Algorithm,
    Floats,
    Library,
    Matrix,
    Parameters,
    Rows,
    algorithms,
)
from contracts.model import Task

if TYPE_CHECKING:
    from onnx import ModelProto
    from xgboost import Booster, DMatrix

LINKS: dict[str, Link] = {
    "binary:logistic": "Sigmoid",
    "reg:logistic": "Sigmoid",
    "count:poisson": "Exp",
    "reg:gamma": "Exp",
    "reg:tweedie": "Exp",
    "survival:cox": "Exp",
    "reg:squarederror": "",
    "reg:absoluteerror": "",
    "reg:pseudohubererror": "",
    "reg:quantileerror": "",
    "reg:squaredlogerror": "",
}
"""The objectives whose predictions can be exported, and how XGBoost makes a prediction of a sum
(xgboost.readthedocs.io, "Learning Task Parameters")."""

PLACE = re.compile(r"^\[[\d:]+\] \S+?:\d+: ")
"""What XGBoost puts before its sentences: when, and where in its own sources."""

MARGIN: dict[Link, Callable[[float], float]] = {
    "Sigmoid": lambda score: math.log(score / (1 - score)),
    "Exp": math.log,
    "": lambda score: score,
}
"""What the sum starts with, from the base score, which is in the prediction's unit."""


def parameters(algorithm: Algorithm, given: Parameters) -> Collection[str]:
    """What the class names, and what XGBoost itself says that a booster of this kind has: the
    class takes those too, by XGBoost's own names."""
    import xgboost

    few = xgboost.DMatrix(np.array([[0.0], [1.0]]), label=np.array([0.25, 0.75]))
    booster = xgboost.train(kinds(algorithm, given), few, num_boost_round=1)
    names: set[str] = set()
    collect(json.loads(booster.save_config()), names)
    return {*library.signature_names(algorithm, given), *names}


def kinds(algorithm: Algorithm, given: Parameters) -> dict[str, object]:
    """The parameters that decide which others there are; those that XGBoost refuses are left for
    the rehearsal to name."""
    chosen = {
        "objective": algorithm.load()().get_params()["objective"],
        **{name: given[name] for name in ("booster", "objective") if given.get(name)},
    }
    if chosen["objective"] not in LINKS:
        del chosen["objective"]
    if chosen.get("booster") not in ("gbtree", "dart", "gblinear"):
        chosen.pop("booster", None)
    if chosen.get("objective") == "reg:quantileerror":
        chosen["quantile_alpha"] = 0.5
    return chosen


def collect(config: object, names: set[str]) -> None:
    """The names of all values in a configuration."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            if isinstance(value, str):
                names.add(name)
            collect(value, names)
    elif isinstance(config, list):
        for value in config:
            collect(value, names)


def make(algorithm: Algorithm, given: Parameters) -> Any:
    """An estimator; what preprocessing makes impossible is refused.

    Raises:
        ValueError: a value is to count as missing, where none is missing any more.
    """
    missing = given.get("missing")
    if missing is not None and not (isinstance(missing, float) and math.isnan(missing)):
        raise ValueError("missing: preprocessing has filled what was missing; leave it out")
    return library.make(algorithm, given)


def fit(estimator: Any, train: Rows, validate: Rows | None) -> Booster:
    """Grow the trees; where early stopping is asked for, only those up to the best round stay.

    It is XGBoost's own training function, for its matrix of binned columns can be kept between
    trials.

    Raises:
        ValueError: XGBoost refuses a parameter, or the labels.
    """
    import xgboost

    settings = {
        key: value for key, value in estimator.get_xgb_params().items() if value is not None
    }
    patience = estimator.early_stopping_rounds
    try:
        matrix = matrix_of(train, settings, None)
        watched = (
            [] if validate is None else [(matrix_of(validate, settings, matrix), "validation")]
        )
        booster = xgboost.train(
            settings,
            matrix,
            num_boost_round=estimator.get_num_boosting_rounds(),
            evals=watched,
            early_stopping_rounds=patience,
            verbose_eval=False,
        )
    except xgboost.core.XGBoostError as error:
        raise ValueError(PLACE.sub("", str(error).strip())) from error
    return booster if patience is None else booster[: booster.best_iteration + 1]


def matrix_of(rows: Rows, settings: Mapping[str, Any], reference: DMatrix | None) -> DMatrix:
    """The rows as XGBoost reads them, for its usual way of growing trees with their columns in
    bins; made once for each number of bins."""
    import xgboost

    options = {"nthread": settings.get("n_jobs")}
    usual = settings.get("booster") != "gblinear"
    if settings.get("tree_method", "auto") not in ("auto", "hist") or not usual:
        return rows.once(
            "xgboost", lambda: xgboost.DMatrix(rows.columns, label=rows.label, **options)
        )
    bins = settings.get("max_bin", 256)
    return rows.once(
        ("xgboost", bins),
        lambda: xgboost.QuantileDMatrix(
            rows.columns, label=rows.label, ref=reference, max_bin=bins, **options
        ),
    )


def predict(booster: Booster, columns: Matrix, task: Task) -> Floats:
    """The booster's own prediction."""
    import xgboost

    score = np.asarray(booster.predict(xgboost.DMatrix(columns)), np.float64)
    if task == "classification":
        return np.stack([1 - score, score], axis=1)
    return score.reshape(len(columns), -1)


def importance(booster: Booster) -> Floats:
    """The gain of each column's splits, all trees together."""
    gains = booster.get_score(importance_type="total_gain")
    return np.array([gains.get(f"f{place}", 0.0) for place in range(booster.num_features())])


def export(booster: Booster, columns: int, task: Task) -> ModelProto:
    """The trees, weighted as dropout left them, and the objective's link.

    Raises:
        ValueError: they are no trees, or the objective's predictions are not known here.
    """
    learner = json.loads(booster.save_raw("json").decode())["learner"]
    objective = learner["objective"]["name"]
    exported = [name for name in LINKS if task == "regression" or LINKS[name] == "Sigmoid"]
    if objective not in exported:
        raise ValueError(
            f"the predictions of the objective {objective!r} cannot be exported; those of "
            f"{', '.join(sorted(exported))} can"
        )
    gradient = learner["gradient_booster"]
    dropout = gradient["name"] == "dart"
    model = (gradient["gbtree"] if dropout else gradient).get("model", {})
    if "trees" not in model:
        raise ValueError(f"a booster of the kind {gradient['name']!r} has no trees to export")
    weights = gradient["weight_drop"] if dropout else [1.0] * len(model["trees"])
    link = LINKS[objective]
    score = json.loads(learner["learner_model_param"]["base_score"])[0]
    trees = [tree(one, weight) for one, weight in zip(model["trees"], weights, strict=True)]
    base = MARGIN[link](float(score))
    return forest.export(
        Forest(trees=trees, base=base, link=link, below="BRANCH_LT"), columns, task
    )


def tree(values: Mapping[str, Any], weight: float) -> Tree:
    """One tree of XGBoost's JSON, in which a leaf's value stands in the place of a threshold."""
    conditions = np.array(values["split_conditions"], np.float32)
    return Tree(
        feature=np.array(values["split_indices"], np.int64),
        threshold=conditions,
        left=np.array(values["left_children"], np.int64),
        right=np.array(values["right_children"], np.int64),
        missing_left=np.array(values["default_left"], bool),
        value=conditions * np.float32(weight),
        cover=np.array(values["sum_hessian"], np.float32),
    )


LIBRARY = Library(
    name="xgboost",
    packages=("xgboost",),
    install="it is among Millwright's own: install it anew",
    estimators=algorithms("classification", "xgboost.XGBClassifier")
    | algorithms("regression", "xgboost.XGBRegressor"),
    parameters=parameters,
    make=make,
    fit=fit,
    predict=predict,
    importance=importance,
    export=export,
    validates=lambda given: given.get("early_stopping_rounds") is not None,
)
