"""scikit-learn: exported by skl2onnx."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.libraries.library import COLUMNS, OUTPUTS, Library, algorithms
from contracts.model import Task

if TYPE_CHECKING:
    from onnx import ModelProto

TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}
"""The newest of ONNX Runtime's that all converters write."""


def export(estimator: Any, columns: int, task: Task) -> ModelProto:
    """The estimator alone, by skl2onnx."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

    kinds = {"FP32": FloatTensorType, "INT64": Int64TensorType}
    options = {id(estimator): {"zipmap": False}} if task == "classification" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own use of deprecated names
        graph: ModelProto = convert_sklearn(
            estimator,
            initial_types=[(COLUMNS, FloatTensorType([None, columns]))],
            final_types=[
                (tensor.name, kinds[tensor.datatype]([None, *tensor.shape[1:]]))
                for tensor in OUTPUTS[task]
            ],
            options=options,
            target_opset=TARGET_OPSET,
        )
    write_covers(graph, estimator)
    return graph


def write_covers(graph: ModelProto, estimator: Any) -> None:
    """Say in the graph how many training rows came to each node of its trees, which explanations
    need and the converter leaves out; nothing where its nodes are not the estimator's."""
    from onnx import helper

    counts = covers(estimator)
    for node in graph.graph.node:
        found = {own.name: own for own in node.attribute}
        if "nodes_hitrates" not in found and "nodes_treeids" not in found:
            continue
        attributes = {name: helper.get_attribute_value(own) for name, own in found.items()}
        tree = np.asarray(attributes["nodes_treeids"])
        sizes = np.bincount(tree).tolist()
        if sizes != [len(own) for own in counts]:
            continue
        cover = np.concatenate(counts)[
            (np.cumsum([0, *sizes])[:-1])[tree] + np.asarray(attributes["nodes_nodeids"])
        ]
        if "nodes_hitrates" in found:
            node.attribute.remove(found["nodes_hitrates"])
        node.attribute.append(helper.make_attribute("nodes_hitrates", cover.tolist()))


def covers(estimator: Any) -> list[npt.NDArray[np.float32]]:
    """How many training rows came to each node, tree by tree; empty for what is no forest."""
    if hasattr(estimator, "tree_"):
        trees = [estimator.tree_.weighted_n_node_samples]
    elif hasattr(estimator, "_predictors"):  # of histograms; sklearn has no public name for them
        trees = [own.nodes["count"] for stage in estimator._predictors for own in stage]
    else:
        grown = np.ravel(getattr(estimator, "estimators_", []))
        trees = [own.tree_.weighted_n_node_samples for own in grown if hasattr(own, "tree_")]
    return [np.asarray(own, np.float32) for own in trees]


LIBRARY = Library(
    name="sklearn",
    packages=("sklearn", "skl2onnx"),
    install="they are among Millwright's own: install it anew",
    estimators=algorithms(
        "classification",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.ensemble.ExtraTreesClassifier",
        "sklearn.ensemble.GradientBoostingClassifier",
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.tree.DecisionTreeClassifier",
        "sklearn.neural_network.MLPClassifier",
        "sklearn.naive_bayes.GaussianNB",
    )
    | algorithms(
        "regression",
        "sklearn.linear_model.LinearRegression",
        "sklearn.linear_model.Ridge",
        "sklearn.linear_model.Lasso",
        "sklearn.linear_model.ElasticNet",
        "sklearn.ensemble.RandomForestRegressor",
        "sklearn.ensemble.ExtraTreesRegressor",
        "sklearn.ensemble.GradientBoostingRegressor",
        "sklearn.ensemble.HistGradientBoostingRegressor",
        "sklearn.tree.DecisionTreeRegressor",
        "sklearn.neural_network.MLPRegressor",
    ),
    export=export,
    brief={"n_estimators": 5, "max_iter": 5},
)
