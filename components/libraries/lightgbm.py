"""LightGBM, where it is installed: sums of trees, exported by `components.libraries.forest`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from components.libraries import forest, library
from components.libraries.forest import Forest, Link, Tree, floor32
from components.libraries.library import Algorithm, Library, Parameters, Rows, algorithms
from contracts.model import Task

if TYPE_CHECKING:
    from onnx import ModelProto

LINKS: dict[str, Link] = {
    "binary": "Sigmoid",
    "cross_entropy": "Sigmoid",
    "poisson": "Exp",
    "gamma": "Exp",
    "tweedie": "Exp",
    "regression": "",
    "regression_l1": "",
    "huber": "",
    "fair": "",
    "quantile": "",
    "mape": "",
}
"""The objectives whose predictions can be exported, and how LightGBM makes a prediction of a sum
(lightgbm.readthedocs.io, "Parameters")."""
PATIENCE = ("early_stopping_rounds", "early_stopping_round", "early_stopping", "n_iter_no_change")
"""The parameter of early stopping, and its aliases."""
LISTED = re.compile(r"^\[(\w+):", re.MULTILINE)


def parameters(algorithm: Algorithm, given: Parameters) -> Collection[str]:
    """What the class names, and what a booster lists as its own: the class takes those too."""
    import lightgbm

    data = lightgbm.Dataset(np.zeros((2, 1)), label=np.zeros(2))
    booster = lightgbm.train({"verbosity": -1}, data, num_boost_round=1)
    names = LISTED.findall(booster.model_to_string())
    return {*library.signature_names(algorithm, given), *names, *PATIENCE}


def make(algorithm: Algorithm, parameters: Parameters) -> Any:
    """An estimator that says nothing while it learns."""
    return algorithm.load()(**{"verbosity": -1, **parameters})


def fit(estimator: Any, train: Rows, validate: Rows | None) -> Any:
    """Grow the trees; with early stopping, those up to the best round are what predicts."""
    watched = [] if validate is None else [(validate.columns, validate.label)]
    return estimator.fit(train.columns, train.label, eval_set=watched or None)


def export(estimator: Any, columns: int, task: Task) -> ModelProto:
    """The trees up to the best round, and the objective's link.

    Raises:
        ValueError: the objective's predictions are not known here.
    """
    booster = estimator.booster_
    dump = booster.dump_model(num_iteration=estimator.best_iteration_ or None)
    objective, *options = dump["objective"].split()
    if objective not in LINKS or options not in ([], ["sigmoid:1"]):
        raise ValueError(
            f"the predictions of the objective {dump['objective']!r} cannot be exported; those of "
            f"{', '.join(sorted(LINKS))} can"
        )
    if dump.get("average_output"):
        raise ValueError("a random forest's average of trees cannot be exported")
    trees = [tree(one["tree_structure"]) for one in dump["tree_info"]]
    return forest.export(
        Forest(trees=trees, base=0.0, link=LINKS[objective], below="BRANCH_LEQ"), columns, task
    )


def tree(root: Mapping[str, Any]) -> Tree:
    """One tree of LightGBM's dump, its nodes numbered from the root on."""
    nodes = list(walk(root))
    place = {id(node): number for number, node in enumerate(nodes)}

    def child(node: Mapping[str, Any], side: str) -> int:
        return place[id(node[side])] if side in node else -1

    return Tree(
        feature=np.array([node.get("split_feature", 0) for node in nodes], np.int64),
        threshold=floor32(np.array([node.get("threshold", 0.0) for node in nodes], np.float64)),
        left=np.array([child(node, "left_child") for node in nodes], np.int64),
        right=np.array([child(node, "right_child") for node in nodes], np.int64),
        missing_left=np.array([node.get("default_left", False) for node in nodes], bool),
        value=np.array([node.get("leaf_value", 0.0) for node in nodes], np.float32),
        cover=np.array(
            [node.get("internal_count", node.get("leaf_count", 0)) for node in nodes], np.float32
        ),
    )


def walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A node and all below it.

    Raises:
        ValueError: one of them asks for a category.
    """
    if node.get("decision_type", "<=") != "<=":
        raise ValueError("splits by category cannot be exported")
    yield node
    for side in ("left_child", "right_child"):
        if side in node:
            yield from walk(node[side])


LIBRARY = Library(
    name="lightgbm",
    packages=("lightgbm",),
    install="pip install lightgbm (it needs the system's libgomp.so.1)",
    estimators=algorithms("classification", "lightgbm.LGBMClassifier")
    | algorithms("regression", "lightgbm.LGBMRegressor"),
    parameters=parameters,
    make=make,
    fit=fit,
    export=export,
    validates=lambda given: any(given.get(name) is not None for name in PATIENCE),
)
