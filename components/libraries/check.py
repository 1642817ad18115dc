"""Whether a model's estimator can be what its document says; asked before anything starts.

Names are compared with what the library takes. Whether the values make a model that can be fitted
and exported is found by doing it: the estimator learns briefly from a few made-up rows, is
exported, and both are asked. That holds for every library and every parameter, where a list of
what cannot be exported would be out of date with the next release.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

import numpy as np

from components.documents import Scalar
from components.libraries import registry
from components.libraries.library import COLUMNS, Algorithm, Library, Parameters, Rows
from components.native import matrix, parameters
from components.parity import difference, tolerated
from contracts.document import suggest
from contracts.errors import DocumentError
from contracts.model import ModelSpec, Range, Space, Task

ROWS, WIDTH = 120, 4
"""Of the rehearsal: few enough to take a moment, enough for a tree to have some leaves."""


def check_estimator(spec: ModelSpec, *, where: str = "") -> None:
    """Refuse an estimator that cannot be made, fitted, exported, or that would differ from its
    export.

    Args:
        spec: the model.
        where: its file, named in front of what is wrong.

    Raises:
        DocumentError: with every problem that was found.
    """
    library = registry.find(spec.estimator.library, where=where)
    missing = library.missing()
    if missing:
        raise DocumentError(
            f"estimator.library: {library.name} needs {', '.join(missing)}, which is not installed",
            where=where,
            fix=library.install,
        )
    problems = tuple(named(library, spec)) or tuple(rehearsed(library, spec))
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DocumentError(f"{count} with this model's estimator", where=where, problems=problems)


def named(library: Library, spec: ModelSpec) -> Iterator[str]:
    """What is wrong with the names: of the class and of each parameter."""
    chosen = spec.estimator.class_
    algorithm = library.estimators.get(chosen)
    if algorithm is None:
        yield (
            f"estimator.class: class {chosen!r} is not known in {library.name}; "
            f"{suggest(chosen, sorted(library.estimators))}"
        )
        return
    if algorithm.task != spec.task:
        made = sorted(name for name, one in library.estimators.items() if one.task == spec.task)
        yield (
            f"estimator.class: {chosen} is not made for {spec.task}; "
            f"{library.name} has {', '.join(made)}"
        )
        return
    given = {f"estimator.params.{name}": name for name in spec.estimator.params}
    if spec.tune is not None:
        given |= {f"tune.space.{name}": name for name in spec.tune.space}
    known = sorted(library.parameters(algorithm, spec.estimator.params))
    for key, name in given.items():
        if name not in known:
            yield f"{key}: {chosen} takes no parameter {name!r}; {suggest(name, known)}"


def rehearsed(library: Library, spec: ModelSpec) -> Iterator[str]:
    """What goes wrong when the estimator learns and is exported: with the document's parameters,
    and with each value that tuning may choose (of a range its ends)."""
    algorithm = library.estimators[spec.estimator.class_]
    given = parameters(library, spec.estimator, {})
    error = rehearse(library, algorithm, given)
    if error:
        yield f"{blame(library, algorithm, given, spec.estimator.params)}: {error}"
        return
    for name, space in (spec.tune.space if spec.tune else {}).items():
        for value in ends(space):
            failed = export_error(library, algorithm, {**given, name: value})
            if failed:
                yield f"tune.space.{name}: with {value!r} {failed}"


def ends(space: Space) -> tuple[Scalar, ...]:
    """The values of a choice; the ends of a range say nothing that the search would not."""
    return () if isinstance(space, Range) else space.choices


def blame(
    library: Library, algorithm: Algorithm, given: Parameters, written: Mapping[str, Scalar]
) -> str:
    """The key of the parameter without which there is no error; of all where there is none."""
    for name in written:
        rest = {key: value for key, value in given.items() if key != name}
        if rehearse(library, algorithm, rest) is None:
            return f"estimator.params.{name}: {written[name]!r}"
    return "estimator.params" if written else f"estimator.class: {algorithm.name}"


def rehearse(library: Library, algorithm: Algorithm, given: Parameters) -> str | None:
    """What goes wrong when an estimator learns from made-up rows and is exported; None where
    nothing does."""
    try:
        estimator, rows = fitted(library, algorithm, given)
    except Exception as error:  # noqa: BLE001  any library's any refusal becomes a sentence
        return f"{algorithm.name} refuses it: {first_line(error)}"
    return unlike(library, algorithm, estimator, rows)


def export_error(library: Library, algorithm: Algorithm, given: Parameters) -> str | None:
    """As ``rehearse``, but what does not learn is left to the search, which writes it down: it may
    learn together with other values."""
    try:
        estimator, rows = fitted(library, algorithm, given)
    except Exception:  # noqa: BLE001  see above
        return None
    return unlike(library, algorithm, estimator, rows)


def fitted(library: Library, algorithm: Algorithm, given: Parameters) -> tuple[object, Rows]:
    """The estimator after learning briefly from made-up rows."""
    names = library.parameters(algorithm, given)
    brief = {
        name: value
        for name, value in library.brief.items()
        # What is no number, or is none that makes it longer, is the library's to refuse.
        if name in names and (name not in given or longer(given[name], value))
    }
    train, validate = made_up(algorithm.task, 0), made_up(algorithm.task, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged: it is not meant to
        estimator = library.make(algorithm, {**given, **brief})
        return library.fit(estimator, train, validate if library.validates(given) else None), train


def longer(given: Scalar, brief: Scalar) -> bool:
    """Whether a document's value is a whole number above the rehearsal's."""
    return type(given) is int and type(brief) is int and given > brief


def made_up(task: Task, seed: int) -> Rows:
    """Rows with something to learn; the label is between 0 and 1, as every objective takes it."""
    generator = np.random.default_rng(seed)
    columns = matrix(generator.normal(size=(ROWS, WIDTH)))
    odds = columns[:, 0] - columns[:, 1] + generator.normal(0, 0.5, ROWS)
    label = 1 / (1 + np.exp(-odds))
    return Rows(columns, (label > 0.5).astype(np.float64) if task == "classification" else label)


def unlike(library: Library, algorithm: Algorithm, estimator: object, rows: Rows) -> str | None:
    """What is wrong with the estimator's export."""
    import onnxruntime

    try:
        model = library.export(estimator, WIDTH, algorithm.task)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        answers = session.run([session.get_outputs()[-1].name], {COLUMNS: rows.columns})[0]
        native = library.predict(estimator, rows.columns, algorithm.task)
    except Exception as error:  # noqa: BLE001  any converter's any refusal becomes a sentence
        return f"{algorithm.name} cannot be exported: {first_line(error)}"
    apart = difference(native, answers.astype(np.float64))
    if not apart <= tolerated(native):
        return (
            f"{algorithm.name} differs from its export to ONNX by {apart:.3g}, so another model "
            "would be served than was trained"
        )
    return None


def first_line(error: Exception) -> str:
    """What an error says, short."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
