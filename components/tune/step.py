"""Search the estimator's parameters: fit on the training part, compare on the validation part.

Every trial is written down, the refused ones too: what was tried and lost is what the next person
wants to know.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib

from components import native, parts, transform
from components.documents import (
    PREPROCESSING,
    Learned,
    Preprocessing,
    Scalar,
    Selection,
    Trial,
    Tuning,
    read,
    write,
)
from components.libraries import registry
from components.libraries.check import first_line
from components.libraries.library import Rows
from components.metrics import MEASURES, measure
from contracts.errors import PipelineError
from contracts.model import ModelSpec, Range, Space, Tune

if TYPE_CHECKING:
    import optuna

GRID_POINTS = 10_000
"""A larger grid is refused rather than built."""
LANES = 2
"""Trials at a time. Threads of one fit wait for each other at every level of every tree; two fits
beside each other do not. So many on every machine: a search is what its sampler knew at each trial.
"""
THREADS = "n_jobs"
"""What scikit-learn, XGBoost and LightGBM call the threads of a fit."""


def tune(data: Path, selection: Path, spec: ModelSpec, destination: Path) -> Tuning:
    """Try combinations of parameters and keep the best.

    Args:
        data: the folder that ``preprocess`` wrote.
        selection: the document that ``select`` wrote.
        spec: the estimator and the search.
        destination: the file to write the document to.

    Raises:
        PipelineError: the estimator refused every combination.
    """
    if spec.tune is None:
        tuning = Tuning(metric="", sampler="none", trials=(), best={})
    else:
        tuning = search(Matrices(data, selection, spec), spec, spec.tune)
    write(tuning, destination)
    return tuning


class Matrices:
    """The training and validation parts as the estimator sees them, made once for all trials."""

    def __init__(self, data: Path, selection: Path, spec: ModelSpec) -> None:
        features = selected(data, selection)
        columns = [parts.LABEL, *(feature.name for feature in features)]
        train = parts.load(data, "train", columns)
        if spec.tune is not None and spec.tune.rows is not None:
            train = train.tail(spec.tune.rows)
        validate = parts.load(data, "validate", columns)
        fitted = transform.transformer(features, spec.preprocess)
        self.train = Rows(
            native.matrix(fitted.fit_transform(parts.inputs(train, features))), parts.label(train)
        )
        self.validate = Rows(
            native.matrix(fitted.transform(parts.inputs(validate, features))), parts.label(validate)
        )

    def apart(self) -> Matrices:
        """The same numbers, with libraries' own forms of them apart: those are not made for two
        threads."""
        other = copy(self)
        other.train, other.validate = (
            replace(self.train, forms={}),
            replace(self.validate, forms={}),
        )
        return other


def selected(data: Path, selection: Path) -> tuple[Learned, ...]:
    """The kept features, best first."""
    learned = {f.name: f for f in read(Preprocessing, data / PREPROCESSING).features}
    return tuple(learned[name] for name in read(Selection, selection).kept)


def search(matrices: Matrices, spec: ModelSpec, plan: Tune) -> Tuning:
    """Run the study."""
    import optuna  # a second to import, and only this function needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    higher = MEASURES[plan.metric].higher_is_better
    study = optuna.create_study(
        direction="maximize" if higher else "minimize", sampler=sampler(plan)
    )
    trials: list[Trial] = []
    count = plan.trials if plan.sampler != "grid" else min(plan.trials, points(grid(plan)))
    lanes = [matrices.apart() for _ in range(LANES)]
    threads = max(1, joblib.cpu_count() // LANES)

    def objective(first: optuna.Trial) -> float:
        left = min(LANES, count - len(trials))
        asked = [first, *(study.ask() for _ in range(left - 1))]
        chosen = [
            {name: suggest(trial, name, space) for name, space in plan.space.items()}
            for trial in asked
        ]

        def attempt_in(lane: int) -> Trial:
            number = asked[lane].number
            return attempt(lanes[lane], spec, plan, number, chosen[lane], threads)

        done = list(pool.map(attempt_in, range(left)))
        trials.extend(done)
        for trial, one in zip(asked, done, strict=True):
            said = f"{plan.metric} {one.score} in {one.seconds:.1f} s {one.parameters}"
            print(f"trial {one.number}: {said}")
            if trial is not first:
                state = optuna.trial.TrialState.PRUNED if one.score is None else None
                study.tell(trial, one.score, state)
        if done[0].score is None:
            raise optuna.TrialPruned(done[0].error)
        return done[0].score

    with ThreadPoolExecutor(LANES) as pool:
        study.optimize(objective, n_trials=math.ceil(count / LANES), timeout=plan.timeout)
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        raise PipelineError(
            f"none of {len(trials)} trials could be fitted; the last said: {trials[-1].error}",
            where="tune.space",
            fix="correct the ranges, or estimator.params",
        )
    best = (max if higher else min)(scored, key=lambda trial: trial.score or 0.0)
    return Tuning(
        metric=plan.metric, sampler=plan.sampler, trials=tuple(trials), best=best.parameters
    )


def attempt(
    matrices: Matrices,
    spec: ModelSpec,
    plan: Tune,
    number: int,
    chosen: dict[str, Scalar],
    threads: int,
) -> Trial:
    """Fit one combination, on so many threads where the document does not say how many, and score
    it."""
    started = time.perf_counter()
    score: float | None = None
    error = ""
    library = registry.find(spec.estimator.library)
    given = native.parameters(library, spec.estimator, chosen)
    if THREADS in library.parameters(library.estimators[spec.estimator.class_], given):
        given = {THREADS: threads, **given}
    try:
        estimator = native.make(library, spec.estimator, given)
        watched = matrices.validate if library.validates(given) else None
        fitted = library.fit(estimator, matrices.train, watched)
        prediction = library.predict(fitted, matrices.validate.columns, spec.task)[:, -1]
        score = measure(plan.metric, matrices.validate.label, prediction)
    except Exception as refused:  # noqa: BLE001  any library's any refusal is the trial's
        error = first_line(refused)
    if score is not None and math.isnan(score):
        score, error = None, f"{plan.metric} is not defined on the validation data"
    seconds = time.perf_counter() - started
    return Trial(number=number, parameters=chosen, score=score, seconds=seconds, error=error)


def suggest(trial: optuna.Trial, name: str, space: Space) -> Any:
    """A value from the space, in the parameter's own type."""
    if not isinstance(space, Range):
        return trial.suggest_categorical(name, list(space.choices))
    if space.whole:
        step = int(space.step or 1)
        return trial.suggest_int(name, int(space.low), int(space.high), step=step, log=space.log)
    return trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)


def sampler(plan: Tune) -> optuna.samplers.BaseSampler:
    """How the next trial is chosen, with the document's seed."""
    import optuna

    if plan.sampler == "grid":
        return optuna.samplers.GridSampler(grid(plan), seed=plan.seed)
    if plan.sampler == "random":
        return optuna.samplers.RandomSampler(seed=plan.seed)
    return optuna.samplers.TPESampler(seed=plan.seed)


def grid(plan: Tune) -> dict[str, list[Scalar]]:
    """Every value of each parameter.

    Raises:
        PipelineError: there are too many combinations to be meant.
    """
    axes = {name: values(space) for name, space in plan.space.items()}
    total = points(axes)
    if total > GRID_POINTS:
        raise PipelineError(
            f"the grid has {total} combinations",
            where="tune.space",
            fix="widen the steps, or use the random or the tpe sampler",
        )
    return axes


def points(axes: dict[str, list[Scalar]]) -> int:
    """How many combinations there are."""
    return math.prod(len(choices) for choices in axes.values())


def values(space: Space) -> list[Scalar]:
    """A parameter's values on a grid."""
    if not isinstance(space, Range):
        return list(space.choices)
    if space.whole:
        return list(range(int(space.low), int(space.high) + 1, int(space.step or 1)))
    step = space.step or 1.0
    count = int((space.high - space.low) / step + 1e-9) + 1
    return [space.low + step * place for place in range(count)]
