"""Shapley values of forests: against their definition, and against the libraries' own."""

from __future__ import annotations

import warnings
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import ensemble, tree

from components.libraries import sklearn as sklearn_library
from components.libraries import xgboost as xgboost_library
from contracts.model import Task
from serving.runtime.explaining.core import Cut, scale_of
from serving.runtime.explaining.trees import Trees

FEATURES = 4
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")


def grown(seed: int, trees: int, depth: int) -> dict[str, Any]:
    """The attributes of a random ensemble whose nodes ask in all ways."""
    random = np.random.default_rng(seed)
    nodes: list[dict[str, Any]] = []
    leaves: list[tuple[int, int, float]] = []

    def grow(number: int, level: int, cover: float) -> int:
        identity: int = sum(node["tree"] == number for node in nodes)
        own: dict[str, Any] = {"tree": number, "id": identity}
        own |= {"feature": 0, "mode": "LEAF", "edge": 0.0, "yes": 0, "no": 0, "tracks": 0}
        own["cover"] = cover
        nodes.append(own)
        if level == 0 or (level < depth and random.random() < 0.2):
            leaves.append((number, own["id"], float(np.float32(random.normal()))))
            return identity
        part = random.uniform(0.1, 0.9)
        own |= {
            "feature": int(random.integers(FEATURES)),
            "mode": str(random.choice(MODES)),
            "edge": float(random.integers(-1, 2)),
            "tracks": int(random.integers(2)),
            "yes": grow(number, level - 1, cover * part),
        }
        own["no"] = grow(number, level - 1, cover * (1 - part))
        return identity

    for number in range(trees):
        grow(number, depth, 100.0)
    return {
        "nodes_treeids": [own["tree"] for own in nodes],
        "nodes_nodeids": [own["id"] for own in nodes],
        "nodes_featureids": [own["feature"] for own in nodes],
        "nodes_modes": [own["mode"] for own in nodes],
        "nodes_values": [own["edge"] for own in nodes],
        "nodes_truenodeids": [own["yes"] for own in nodes],
        "nodes_falsenodeids": [own["no"] for own in nodes],
        "nodes_missing_value_tracks_true": [own["tracks"] for own in nodes],
        "nodes_hitrates": [own["cover"] for own in nodes],
        "target_treeids": [own[0] for own in leaves],
        "target_nodeids": [own[1] for own in leaves],
        "target_ids": [0] * len(leaves),
        "target_weights": [own[2] for own in leaves],
        "base_values": [0.25],
    }


def expected(forest: dict[str, Any], row: Any, known: frozenset[int]) -> float:
    """The sum of trees of which only some features are known: the definition, by walking."""
    place = {
        key: number
        for number, key in enumerate(
            zip(forest["nodes_treeids"], forest["nodes_nodeids"], strict=True)
        )
    }
    weights = {
        (number, node): weight
        for number, node, weight in zip(
            forest["target_treeids"],
            forest["target_nodeids"],
            forest["target_weights"],
            strict=True,
        )
    }

    def walk(number: int, node: int) -> float:
        here = place[number, node]
        mode = forest["nodes_modes"][here]
        if mode == "LEAF":
            return float(weights[number, node])
        yes, no = forest["nodes_truenodeids"][here], forest["nodes_falsenodeids"][here]
        feature = forest["nodes_featureids"][here]
        if feature in known:
            value, edge = row[feature], forest["nodes_values"][here]
            if np.isnan(value):
                is_true = bool(forest["nodes_missing_value_tracks_true"][here])
            else:
                is_true = {
                    "BRANCH_LEQ": value <= edge,
                    "BRANCH_LT": value < edge,
                    "BRANCH_GTE": value >= edge,
                    "BRANCH_GT": value > edge,
                }[mode]
            return walk(number, yes if is_true else no)
        left, right = (forest["nodes_hitrates"][place[number, child]] for child in (yes, no))
        mean: float = (walk(number, yes) * left + walk(number, no) * right) / (left + right)
        return mean

    return 0.25 + sum(walk(number, 0) for number in set(forest["nodes_treeids"]))


def shapley(forest: dict[str, Any], row: Any) -> list[float]:
    """By Shapley's own sum, over all subsets."""
    values = []
    for feature in range(FEATURES):
        others = [own for own in range(FEATURES) if own != feature]
        total = 0.0
        for size in range(FEATURES):
            weight = factorial(size) * factorial(FEATURES - 1 - size) / factorial(FEATURES)
            for chosen in combinations(others, size):
                known = frozenset(chosen)
                total += weight * (
                    expected(forest, row, known | {feature}) - expected(forest, row, known)
                )
        values.append(total)
    return values


@given(
    seed=st.integers(0, 10_000),
    depth=st.integers(1, 6),
    rows=st.lists(
        st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0, np.nan]), min_size=4, max_size=4),
        min_size=1,
        max_size=3,
    ),
)
@settings(max_examples=40, deadline=None)
def test_they_are_what_shapley_defined(seed: int, depth: int, rows: list[list[float]]) -> None:
    forest = grown(seed, 3, depth)
    ours = Trees(forest, "target", 0, FEATURES)
    columns = np.array(rows, np.float32)
    everything = frozenset(range(FEATURES))
    assert ours.base == pytest.approx(expected(forest, rows[0], frozenset()), abs=1e-9)
    sums, parts = ours.margins(columns), ours.contributions(columns)
    for row, total, part in zip(columns, sums, parts, strict=True):
        assert total == pytest.approx(expected(forest, row, everything), abs=1e-9)
        assert part == pytest.approx(shapley(forest, row), abs=1e-9)
        assert ours.base + part.sum() == pytest.approx(total, abs=1e-9)


def noise(rows: int, columns: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, columns)).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    filled = np.nan_to_num(x)
    return x, filled[:, 0] * filled[:, 1] + filled[:, 2]


@pytest.mark.parametrize(
    ("task", "objective", "booster"),
    [
        ("classification", "binary:logistic", "gbtree"),
        ("regression", "reg:squarederror", "gbtree"),
        ("regression", "count:poisson", "gbtree"),
        ("classification", "binary:logistic", "dart"),
    ],
)
def test_they_are_xgboosts_own(task: Task, objective: str, booster: str) -> None:
    import xgboost

    x, y = noise(1000, 8)
    label = (y > 0).astype(float) if task == "classification" else np.abs(y)
    settings = {"objective": objective, "max_depth": 5, "nthread": 1, "booster": booster}
    settings |= {"rate_drop": 0.3} if booster == "dart" else {}
    model = xgboost.train(settings, xgboost.DMatrix(x, label=label), 30)
    trees = forest_of(xgboost_library.export(model, 8, task), task)
    asked = xgboost.DMatrix(x[:50])
    own = model.predict(asked, pred_contribs=True)
    margins = model.predict(asked, output_margin=True)
    assert trees.margins(x[:50]) == pytest.approx(margins, abs=1e-4)
    assert trees.base == pytest.approx(own[0, -1], abs=1e-4)
    assert trees.contributions(x[:50]) == pytest.approx(own[:, :-1], abs=1e-4)


def forest_of(exported: Any, task: Task) -> Trees:
    cut = Cut(exported.SerializeToString())
    width = exported.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    found = cut.additive(width, 1 if task == "classification" else 0, lambda: np.zeros(width))
    assert isinstance(found, Trees)
    return found


SKLEARN: dict[Task, list[Any]] = {
    "classification": [
        tree.DecisionTreeClassifier(max_depth=4),
        ensemble.RandomForestClassifier(5, random_state=0),
        ensemble.ExtraTreesClassifier(5, random_state=0),
        ensemble.GradientBoostingClassifier(n_estimators=5),
        ensemble.HistGradientBoostingClassifier(max_iter=5),
    ],
    "regression": [
        tree.DecisionTreeRegressor(max_depth=4),
        ensemble.RandomForestRegressor(5, random_state=0),
        ensemble.ExtraTreesRegressor(5, random_state=0),
        ensemble.GradientBoostingRegressor(n_estimators=5),
        ensemble.HistGradientBoostingRegressor(max_iter=5),
    ],
}


@pytest.mark.parametrize("task", SKLEARN)
def test_every_forest_of_sklearn_adds_up_to_its_own_prediction(task: Task) -> None:
    x, y = noise(400, 5)
    x = np.nan_to_num(x)
    for estimator in SKLEARN[task]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(x, (y > 0).astype(int) if task == "classification" else y)
            exported = sklearn_library.export(estimator, 5, task)
        trees = forest_of(exported, task)
        sums = trees.margins(x[:30])
        assert trees.base + trees.contributions(x[:30]).sum(axis=1) == pytest.approx(sums)
        if task == "regression":
            assert scale_of(sums, estimator.predict(x[:30])) == "score"
        else:
            boosts = "Boosting" in type(estimator).__name__
            score = estimator.predict_proba(x[:30])[:, 1]
            assert scale_of(sums, score) == ("log-odds" if boosts else "score")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"nodes_hitrates": []}, "how many training rows"),
        ({"nodes_hitrates": 1.0}, "how many training rows"),
        ({"aggregate_function": "MIN"}, "not added up"),
        ({"nodes_modes": "BRANCH_EQ"}, "BRANCH_EQ"),
    ],
)
def test_what_is_not_known_is_not_explained(change: dict[str, Any], says: str) -> None:
    forest = grown(3, 2, 3)
    ((name, value),) = change.items()
    if isinstance(value, float):
        value = [value] * len(forest["nodes_nodeids"])
    if name == "nodes_modes":
        value = [value if mode != "LEAF" else mode for mode in forest["nodes_modes"]]
    with pytest.raises(ValueError, match=says):
        Trees({**forest, name: value}, "target", 0, FEATURES)


def test_the_covers_are_onnxs_attribute_for_them() -> None:
    x, y = noise(100, 5)
    estimator = tree.DecisionTreeRegressor(max_depth=3).fit(np.nan_to_num(x), y)
    (made,) = [
        own
        for own in sklearn_library.export(estimator, 5, "regression").graph.node
        if own.op_type == "TreeEnsembleRegressor"
    ]
    (cover,) = [list(own.floats) for own in made.attribute if own.name == "nodes_hitrates"]
    assert cover == estimator.tree_.weighted_n_node_samples.tolist()
