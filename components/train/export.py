"""A fitted model as ONNX, with the signature that a request sees.

One named tensor a raw feature: a caller sends ``hour`` and ``plan``, not a vector whose
order somebody must remember. The preprocessing's graph and the estimator's, which its library
writes, are joined at the matrix of columns between them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.documents import Learned
from components.libraries import registry
from components.libraries.library import COLUMNS
from components.native import NativeModel
from components.transform import ExactScaler
from contracts.artifact import Distribution, Tensor

if TYPE_CHECKING:
    from onnx import ModelProto

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9
ESTIMATOR = "estimator_"
"""In front of the names inside the estimator's graph, which may be the preprocessing's too."""


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
            distribution=distribution(feature),
            optional=True,
            used=used,
        )
        for feature in features
    )


def distribution(feature: Learned) -> Distribution:
    """How a feature's values were spread, in the order of the signature's categories."""
    named = zip(feature.categories or (), feature.shares, strict=False)
    return Distribution(
        missing=feature.missing,
        quantiles=feature.quantiles,
        mean=feature.mean,
        shares=tuple(share for name, share in named if name),
    )


def export(model: NativeModel, inputs: Sequence[Tensor], columns: int) -> bytes:
    """The whole model, from raw features to predictions, as an ONNX file's bytes.

    Args:
        model: preprocessing and estimator, fitted.
        inputs: the features' tensors.
        columns: how many columns the preprocessing makes of them.

    Raises:
        ValueError: the library cannot export the estimator.
    """
    from onnx import checker, compose

    first = preprocessing(model.transformer, inputs, columns)
    library = registry.find(model.library)
    second = library.export(model.estimator, columns, model.task)
    second = compose.add_prefix(second, ESTIMATOR, rename_inputs=False, rename_outputs=False)
    for graph in (first, second):
        declare(graph)
    joined = compose.merge_models(first, second, io_map=[(COLUMNS, COLUMNS)])
    checker.check_model(joined)
    data: bytes = joined.SerializeToString()
    return data


def declare(graph: ModelProto) -> None:
    """Let a graph say the versions of operators that it was written for: converters say the
    lowest in which its operators are the same, and joined graphs must say the same."""
    from onnx import helper

    written = {one.domain: one.version for one in graph.opset_import} | OPSETS
    del graph.opset_import[:]
    graph.opset_import.extend(helper.make_opsetid(*pair) for pair in sorted(written.items()))
    graph.ir_version = IR_VERSION


def preprocessing(transformer: Any, inputs: Sequence[Tensor], columns: int) -> ModelProto:
    """The preprocessing alone, from the features to the matrix of columns."""
    from skl2onnx import convert_sklearn, update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = {"FP32": FloatTensorType, "BYTES": StringTensorType}
    update_registered_converter(
        ExactScaler, "MillwrightExactScaler", scaler_shape, convert_scaler, overwrite=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own use of deprecated names
        graph: ModelProto = convert_sklearn(
            transformer,
            initial_types=[(one.name, kinds[one.datatype]([None, 1])) for one in inputs],
            final_types=[(COLUMNS, FloatTensorType([None, columns]))],
            target_opset=OPSETS,
        )
    return graph


def scaler_shape(operator: Any) -> None:
    """As many columns come out as go in."""
    from skl2onnx.common.data_types import FloatTensorType

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
