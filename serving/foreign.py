"""Makes an artifact of an ONNX file that was trained elsewhere: its signature is the file's own.

What a file does not say (the number of columns of an output, which inputs may be missing) is taken
from what it does with example rows, which are asked as a server would be asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from contracts.artifact import (
    FLOATS,
    Artifact,
    Class,
    Datatype,
    Interpretation,
    Tensor,
)
from contracts.document import suggest
from contracts.errors import ServingError, UsageError
from serving.bodies import Input, inference_body
from serving.predictors import Examples, learned_elsewhere
from serving.runtime.model import Model
from serving.runtime.refusal import Refusal

_DATATYPES: dict[int, Datatype] = {
    TensorProto.BOOL: "BOOL",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.STRING: "BYTES",
    TensorProto.INT8: "INT8",
    TensorProto.INT16: "INT16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.UINT8: "UINT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64",
}
_CLASSES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
"""Attributes by which classifiers of ai.onnx.ml name their classes."""
_PASSED = ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "ArrayFeatureExtractor")
"""What may stand between a label and who decides on it."""


def describe(
    content: bytes,
    examples: Examples,
    *,
    name: str,
    version: str,
    task: Literal["classification", "regression"],
    now: datetime,
    interpretation: Interpretation | None = None,
    positive: str = "",
) -> Artifact:
    """The document of an artifact whose model is this file.

    Args:
        content: the ONNX file's.
        examples: rows, input → value (nested lists where an input has several a row).
        name: the model's.
        version: its version.
        task: what it predicts.
        now: when it is made.
        interpretation: what its outputs mean; classes that it does not name are the file's.
        positive: the positive one of the file's classes, as text.

    Raises:
        UsageError: it is no ONNX file, or has what a server cannot serve; or the examples are none,
            or not of its inputs.
        ServingError: ONNX Runtime cannot load it, or it fails on the examples.
    """
    model = _read(content, name)
    inputs = _inputs(model, examples, name)
    meaning = interpretation or Interpretation()
    document = Artifact.parse(
        {
            "name": name,
            "version": version,
            "task": task,
            "digest": hashlib.sha256(content).hexdigest(),
            "inputs": [tensor.model_dump() for tensor in inputs],
            "outputs": [_tensor(own, name, "output").model_dump() for own in model.graph.output],
            "created": now.isoformat(),
            "code_version": "",
            "trained_on": learned_elsewhere(examples, now).model_dump(mode="json"),
            "metrics": {},
            "features": [tensor.name for tensor in inputs],
        },
        where=name,
    )
    outputs = _answered(document, content, examples)
    value = document.model_dump(mode="json") | {
        "outputs": [tensor.model_dump() for tensor in outputs],
        "interpretation": _with_positive(
            _meaning(model, task, outputs, meaning), positive, name
        ).model_dump(),
    }
    final = Artifact.parse(value, where=name)
    _check(final, content, examples)
    return final


def _read(content: bytes, name: str) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise UsageError(f"this is no ONNX file: {error}", where=name) from None
    if not model.graph.output or not model.graph.node:
        raise UsageError("this is no ONNX file: it has no graph with outputs", where=name)
    for tensor in _weights(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise UsageError(
                f"the tensor {tensor.name!r} has its data in another file",
                where=name,
                fix="Save the model in one file: onnx.save(model, path), without external data.",
            )
    return model


def _weights(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All constants, those of inner graphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from attribute.tensors
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from _weights(inner)


def _tensor(own: onnx.ValueInfoProto, where: str, side: str) -> Tensor:
    """An input or output by the file; -1 for what the file leaves open.

    Raises:
        UsageError: it is nothing that a server can send or take.
    """
    kind = own.type.WhichOneof("value")
    if kind != "tensor_type":
        what = (kind or "nothing").removesuffix("_type")
        raise UsageError(
            f"the {side} {own.name!r} is a {what}, and no tensor",
            where=where,
            fix="Export it with a tensor there (of scikit-learn: zipmap=False).",
        )
    tensor = own.type.tensor_type
    datatype = _DATATYPES.get(tensor.elem_type)
    if datatype is None:
        held = TensorProto.DataType.keys()
        code = tensor.elem_type
        raise UsageError(
            f"the {side} {own.name!r} has elements of type "
            f"{held[code] if 0 <= code < len(held) else code}, which no request can have",
            where=where,
            fix=f"Cast it in the model to one of {', '.join(_DATATYPES.values())}.",
        )
    if not tensor.HasField("shape"):
        return Tensor(name=own.name, datatype=datatype, shape=(-1,))
    shape = [size.dim_value if size.dim_value > 0 else -1 for size in tensor.shape.dim]
    if side == "input" and (not shape or shape[0] != -1):
        raise UsageError(
            f"the input {own.name!r} has the shape {shape}: its first dimension is not the rows",
            where=where,
            fix="Export it with a dynamic batch as the first dimension.",
        )
    return Tensor(name=own.name, datatype=datatype, shape=(-1, *shape[1:]) if shape else ())


def _inputs(model: onnx.ModelProto, examples: Examples, where: str) -> tuple[Tensor, ...]:
    """What it reads; an input that an example lacks may be missing, where missing can be said."""
    if not examples:
        raise UsageError("there are no example rows", fix="Give at least one.")
    constant = {tensor.name for tensor in model.graph.initializer}
    read = [_tensor(own, where, "input") for own in model.graph.input if own.name not in constant]
    names = [tensor.name for tensor in read]
    if not names:
        raise UsageError("the model has no inputs", where=where)
    for row in examples:
        for column in row:
            if column not in names:
                raise UsageError(
                    f"the model has no input {column!r}",
                    where="the example rows",
                    fix=suggest(column, names),
                )
    tensors = []
    for tensor in read:
        values = [row.get(tensor.name) for row in examples]
        optional = None in values
        if optional and (
            tensor.datatype not in (*FLOATS, "BYTES") or all(value is None for value in values)
        ):
            raise UsageError(
                f"the input {tensor.name!r} ({tensor.datatype}) is missing in "
                f"{'each' if len(values) == values.count(None) else 'one'} of them",
                where="the example rows",
                fix="Give it in each row.",
            )
        tensors.append(tensor.model_copy(update={"optional": optional}))
    return tuple(tensors)


def _answered(document: Artifact, content: bytes, examples: Examples) -> tuple[Tensor, ...]:
    """The outputs as they are for the examples.

    Raises:
        ServingError: it fails on them, or does not give a value or a vector for each row.
    """
    model = Model(document.name, document, content)
    body = _body(document, examples)
    try:
        prepared = model.prepared(body, "examples")
        results = model.results(prepared.feeds, prepared.rows)
    except Refusal as error:
        raise _failed(document, error) from None
    tensors = []
    for tensor in document.outputs:
        result = np.asarray(results[tensor.name])
        if result.ndim == 0 or len(result) != len(examples):
            raise ServingError(
                f"the output {tensor.name!r} has the shape {list(result.shape)} for "
                f"{len(examples)} rows",
                where=document.name,
                fix="Export it with a value or a vector for each row.",
            )
        tensors.append(tensor.model_copy(update={"shape": (-1, *result.shape[1:])}))
    return tuple(tensors)


def _check(document: Artifact, content: bytes, examples: Examples) -> None:
    """Ask for the examples as a client would.

    Raises:
        ServingError: there is no answer.
    """
    model = Model(document.name, document, content)
    try:
        model.answer(_body(document, examples), "examples")
    except Refusal as error:
        raise _failed(document, error) from None


def _body(document: Artifact, examples: Examples) -> bytes:
    inputs = [Input(own.name, own.datatype, own.shape) for own in document.inputs]
    return msgspec.json.encode(inference_body(examples, inputs))


def _failed(document: Artifact, error: Exception) -> ServingError:
    return ServingError(
        f"it cannot predict the examples: {error}",
        where=document.name,
        fix="Give rows of what the model reads, each input by its name.",
    )


def _meaning(
    model: onnx.ModelProto, task: str, outputs: Sequence[Tensor], given: Interpretation
) -> Interpretation:
    """What is said of the outputs, with the classes that the file names where none are said."""
    if task != "classification" or given.classes:
        return given
    label = next((tensor for tensor in outputs if len(tensor.shape) == 1), None)
    score = next((own for own in outputs if own.datatype in FLOATS and len(own.shape) == 2), None)
    classes = _classes(model, label.name) if label else ()
    fits = (
        label is not None
        and len(classes) > 1
        and len(set(classes)) == len(classes)
        and all(isinstance(each, str) is (label.datatype == "BYTES") for each in classes)
        and (score is None or score.shape[1] == len(classes))
    )
    return given.model_copy(update={"classes": classes}) if fits else given


def _with_positive(meaning: Interpretation, positive: str, where: str) -> Interpretation:
    if not positive or meaning.positive is not None:
        return meaning
    named = {str(each): each for each in meaning.classes}
    if positive not in named:
        raise UsageError(
            f"{positive!r} is none of the model's classes",
            where=where,
            fix=suggest(positive, list(named))
            if named
            else "The file names none: say them in the order of the probabilities' columns.",
        )
    return meaning.model_copy(update={"positive": named[positive]})


def _classes(model: onnx.ModelProto, label: str) -> tuple[Class, ...]:
    """The classes that are named by whoever decides on the label: a label encoder, a classifier,
    or a list of them that is looked up."""
    makers = {output: node for node in model.graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    name = label
    for _ in range(len(makers)):
        node = makers.get(name)
        if node is None:
            return ()
        attributes = {each.name: each for each in node.attribute}
        if node.op_type == "LabelEncoder":
            return _values(attributes, ("values_strings", "values_int64s"))
        if stated := _values(attributes, _CLASSES):
            return stated
        if node.op_type not in _PASSED:
            return ()
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in constants:
            listed = onnx.numpy_helper.to_array(constants[node.input[0]]).ravel().tolist()
            return tuple(
                each.decode() if isinstance(each, bytes) else each
                for each in listed
                if isinstance(each, (bytes, str, int))
            )
        name = node.input[0]
    return ()


def _values(attributes: dict[str, Any], names: Sequence[str]) -> tuple[Class, ...]:
    for name in names:
        if name in attributes:
            own = attributes[name]
            return tuple(text.decode() for text in own.strings) or tuple(own.ints)
    return ()
