"""The fitted pipeline as ONNX, with the signature that a request sees.

One named tensor a raw feature: a caller sends ``hour`` and ``plan``, not a vector whose
order somebody must remember.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.pipeline import Pipeline

from components.documents import Learned
from components.transform import ExactScaler
from contracts.artifact import Tensor
from contracts.model import Task

TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}
"""The newest that XGBoost's converter writes correctly."""
OUTPUTS: dict[Task, tuple[Tensor, ...]] = {
    "classification": (
        Tensor(name="label", datatype="INT64", shape=(-1,)),
        Tensor(name="probabilities", datatype="FP32", shape=(-1, 2)),
    ),
    "regression": (Tensor(name="prediction", datatype="FP32", shape=(-1, 1)),),
}
ONNX_TYPES = {"FP32": FloatTensorType, "INT64": Int64TensorType, "BYTES": StringTensorType}


def signature(features: Sequence[Learned], *, used: bool = True) -> tuple[Tensor, ...]:
    """The model's inputs: numbers as FP32 with NaN for a missing one, text as BYTES with "" for a
    missing one. Those that are not used are in the artifact's signature, not in the ONNX graph."""
    return tuple(
        Tensor(
            name=feature.name,
            datatype="FP32" if feature.kind == "numeric" else "BYTES",
            shape=(-1, 1),
            categories=None
            if feature.categories is None
            else tuple(name for name in feature.categories if name),
            minimum=feature.minimum,
            maximum=feature.maximum,
            optional=True,
            used=used,
        )
        for feature in features
    )


def export(model: Pipeline, inputs: Sequence[Tensor], task: Task) -> bytes:
    """The whole pipeline, from raw features to predictions, as an ONNX file's bytes."""
    register_converters()
    options = {id(model): {"zipmap": False}} if task == "classification" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own use of deprecated names
        converted = convert_sklearn(
            model,
            initial_types=[(tensor.name, onnx_type(tensor)) for tensor in inputs],
            final_types=[(tensor.name, onnx_type(tensor)) for tensor in OUTPUTS[task]],
            options=options,
            target_opset=TARGET_OPSET,
        )
    data: bytes = converted.SerializeToString()
    return data


def onnx_type(tensor: Tensor) -> Any:
    """A tensor's type in the converter's terms."""
    return ONNX_TYPES[tensor.datatype]([None if size < 0 else size for size in tensor.shape])


def register_converters() -> None:
    """Teach the converter the estimators that are not scikit-learn's own."""
    from xgboost import XGBClassifier, XGBRegressor

    update_registered_converter(
        ExactScaler, "MillwrightExactScaler", scaler_shape, convert_scaler, overwrite=True
    )
    update_registered_converter(
        XGBClassifier,
        "XGBoostXGBClassifier",
        calculate_linear_classifier_output_shapes,
        convert_xgboost,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
        overwrite=True,
    )
    update_registered_converter(
        XGBRegressor,
        "XGBoostXGBRegressor",
        calculate_linear_regressor_output_shapes,
        convert_xgboost,
        overwrite=True,
    )


def scaler_shape(operator: Any) -> None:
    """As many columns come out as go in."""
    columns = sum(variable.type.shape[1] for variable in operator.inputs)
    operator.outputs[0].type = FloatTensorType([None, columns])


def convert_scaler(scope: Any, operator: Any, container: Any) -> None:
    """ExactScaler is ONNX's Scaler."""
    scaler = operator.raw_operator
    container.add_node(
        "Scaler",
        [variable.full_name for variable in operator.inputs],
        [operator.outputs[0].full_name],
        op_domain="ai.onnx.ml",
        name=scope.get_unique_operator_name("Scaler"),
        offset=scaler.center_,
        scale=scaler.factor_,
    )
