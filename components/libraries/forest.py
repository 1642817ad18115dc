"""Trees as ONNX, for the libraries whose models are sums of trees.

Written here and not left to the common converter, because what it leaves out makes another model
without a word: the weights that dropout gives to trees, the functions that turn a sum into a
probability or a count, the rounding of thresholds to 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from components.libraries.library import COLUMNS, OUTPUTS
from contracts.artifact import Tensor
from contracts.model import Task

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float32]
Link = Literal["", "Sigmoid", "Exp"]
"""What turns the sum of the leaves into the prediction, by ONNX's name; nothing where empty."""

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree by its nodes, the root first. Of a leaf ``left`` is -1."""

    feature: Ints
    threshold: Numbers
    left: Ints
    """The node that a row goes to whose feature is below the threshold (see `below`)."""
    right: Ints
    missing_left: npt.NDArray[np.bool_]
    """Whether a row without a value goes left."""
    value: Numbers
    """A leaf's part of the sum."""
    cover: Numbers
    """How many training rows came to the node, by the library's own weights: what the mean of a
    tree is where a feature is not known."""


@dataclass(frozen=True, kw_only=True)
class Forest:
    """A sum of trees, and what is made of it."""

    trees: Sequence[Tree]
    base: float
    """What the sum starts with."""
    link: Link
    below: Literal["BRANCH_LT", "BRANCH_LEQ"]
    """Whether a value that is equal to the threshold goes right or left."""


def export(forest: Forest, columns: int, task: Task) -> ModelProto:
    """The forest as a graph from ``COLUMNS`` to the task's outputs.

    Raises:
        ValueError: it has a link that the task has not, or no trees.
    """
    from onnx import helper

    if not forest.trees:
        raise ValueError("it has no trees")
    nodes = classifier(forest) if task == "classification" else regressor(forest)
    graph = helper.make_graph(
        nodes,
        "forest",
        [value_info(Tensor(name=COLUMNS, datatype="FP32", shape=(-1, columns)))],
        [value_info(tensor) for tensor in OUTPUTS[task]],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def classifier(forest: Forest) -> list[NodeProto]:
    """Two classes: the sum is the log-odds of the second."""
    from onnx import helper

    if forest.link != "Sigmoid":
        raise ValueError("its sums are not the log-odds of two classes")
    parts = leaves(forest)
    node = helper.make_node(
        "TreeEnsembleClassifier",
        [COLUMNS],
        [tensor.name for tensor in OUTPUTS["classification"]],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1],
        base_values=[forest.base],
        post_transform="LOGISTIC",
        **branches(forest),
        **{f"class_{name}": values for name, values in parts.items()},
    )
    return [node]


def regressor(forest: Forest) -> list[NodeProto]:
    """One number: the sum through the link."""
    from onnx import helper

    (output,) = OUTPUTS["regression"]
    parts = leaves(forest)
    name = "sum" if forest.link else output.name
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        [COLUMNS],
        [name],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[forest.base],
        **branches(forest),
        **{f"target_{key}": values for key, values in parts.items()},
    )
    return [trees, *([helper.make_node(forest.link, [name], [output.name])] if forest.link else [])]


def branches(forest: Forest) -> dict[str, Any]:
    """The nodes of all trees, as both of ONNX's operators name them."""
    sizes = [len(tree.left) for tree in forest.trees]
    leaf = np.concatenate([tree.left for tree in forest.trees]) < 0

    def joined(name: str, at_leaf: float) -> npt.NDArray[np.generic]:
        values = np.concatenate([getattr(tree, name) for tree in forest.trees])
        return np.where(leaf, np.asarray(at_leaf, values.dtype), values)

    return {
        "nodes_treeids": np.repeat(np.arange(len(sizes)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_featureids": joined("feature", 0).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", forest.below).tolist(),
        "nodes_values": joined("threshold", 0.0).tolist(),
        "nodes_hitrates": np.concatenate([tree.cover for tree in forest.trees]).tolist(),
        "nodes_truenodeids": joined("left", 0).tolist(),
        "nodes_falsenodeids": joined("right", 0).tolist(),
        "nodes_missing_value_tracks_true": joined("missing_left", 0).astype(int).tolist(),
    }


def leaves(forest: Forest) -> dict[str, Any]:
    """The leaves of all trees."""
    chosen = [np.flatnonzero(tree.left < 0) for tree in forest.trees]
    sizes = [len(places) for places in chosen]
    values = [tree.value[places] for tree, places in zip(forest.trees, chosen, strict=True)]
    return {
        "treeids": np.repeat(np.arange(len(sizes)), sizes).tolist(),
        "nodeids": np.concatenate(chosen).tolist(),
        "ids": [0] * sum(sizes),
        "weights": np.concatenate(values).tolist(),
    }


def value_info(tensor: Tensor) -> ValueInfoProto:
    """A tensor as a graph declares it."""
    from onnx import TensorProto, helper

    kinds = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64}
    shape = [None if size < 0 else size for size in tensor.shape]
    return helper.make_tensor_value_info(tensor.name, kinds[tensor.datatype], shape)


def floor32(values: npt.NDArray[np.float64]) -> Numbers:
    """The largest 32-bit number that is not above each value: with it, "at most the threshold"
    means the same for every 32-bit number as with the 64-bit threshold."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)
