"""scikit-learn: exported by skl2onnx."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

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
    return graph


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
