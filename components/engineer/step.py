"""Engineer: from checked tables to one table of features, one row a prediction.

The features are the model's own (``features.py``); what is the same for every model is here: the
label, the rows that the split covers, the order, and the checks that the file did what it
promised. A feature table that lost or doubled a row would train a model on other questions than it
is asked.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow as pa
import pyarrow.compute as pc
from ibis.common.exceptions import IbisError

from components.engineer.definition import Definition, define_features, load_definition
from components.engineer.label import rehearse_label, with_label
from contracts.columns import TIMESTAMP
from contracts.dataset import DatasetSpec
from contracts.document import suggest
from contracts.errors import DocumentError, PipelineError
from contracts.features import Feature, FeatureTable
from contracts.model import ModelSpec
from data.engine import connect, register, register_folder
from data.files import write_parquet
from data.schema import arrow_schema

NEEDS_ROWS = (ArithmeticError, ValueError, IndexError)
CHANGING = (ops.Impure, ops.TimestampNow, ops.DateNow, ops.Sample)
"""What gives another value each time that it is computed."""
KEY = "key"
"""The feature table's column that names a row."""


def engineer(
    source: Path,
    spec: ModelSpec,
    dataset: DatasetSpec,
    features: Path,
    destination: Path,
    *,
    origin: str = "",
) -> FeatureTable:
    """Compute the model's features and label.

    Args:
        source: a folder with the dataset's tables as Parquet files.
        spec: the model.
        dataset: the dataset that it learns from.
        features: its ``features.py``.
        destination: the Parquet file to write, ordered by time and key.
        origin: where a person has the ``features.py`` that this is a copy of.

    Raises:
        PipelineError: ``features.py`` fails or does not give what it promises.
        DocumentError: the label's expression is wrong.
        DataError: the source is missing.
    """
    definition = load_definition(features, origin)
    check_history(definition, dataset)
    check_source(spec, dataset)
    tables = dict(register_folder(connect(), source))
    rows = computed(assemble(tables, spec, definition, dataset), definition)
    check_rows(rows, tables[dataset.source], spec, definition)
    write_parquet(rows, destination)
    return FeatureTable(
        key=KEY,
        time=spec.source.time,
        label=spec.source.label.name,
        features=definition.features,
        slices=definition.slices,
        rows=rows.num_rows,
    )


def rehearse(spec: ModelSpec, dataset: DatasetSpec, features: Path) -> None:
    """Compute features and label of tables without rows, so that what is wrong with them is known
    before anything starts.

    Raises:
        PipelineError: ``features.py`` fails or does not give what it promises.
        DocumentError: a column of the source or the label's expression is wrong.
    """
    definition = load_definition(features)
    check_history(definition, dataset)
    check_source(spec, dataset)
    engine = connect(memory_limit="256MB", threads=1)
    source = dataset.table(dataset.source)
    tables = {
        name: register(engine, name, arrow_schema(table).empty_table())
        for name, table in dataset.tables.items()
    }
    schema = pa.schema([field.with_nullable(True) for field in arrow_schema(source)])
    row = pa.table([pa.nulls(1, field.type) for field in schema], schema=schema)
    rehearse_label(register(engine, "a row without values", row), spec)
    try:
        computed(assemble(tables, spec, definition, dataset), definition)
    except PipelineError as error:
        # What a file computes of the rows themselves (a mean, the first one) may need some.
        if not isinstance(error.__cause__, NEEDS_ROWS):
            raise


def computed(expression: ibis.Table, definition: Definition) -> pa.Table:
    """An expression's rows.

    Raises:
        PipelineError: the engine fails on it.
    """
    try:
        return expression.to_pyarrow()
    except (duckdb.Error, IbisError) as error:
        raise PipelineError(f"the features failed: {error}", where=definition.place) from error


def assemble(
    tables: dict[str, ibis.Table], spec: ModelSpec, definition: Definition, dataset: DatasetSpec
) -> ibis.Table:
    """Key, time, label, slices and features of the split's rows, in order."""
    source = tables[dataset.source]
    key = dataset.table(dataset.source).key
    time, label = spec.source.time, spec.source.label.name
    computed = define_features(definition, tables)
    names = tuple(feature.name for feature in definition.features)
    check_columns(computed, definition, key)
    check_names(definition, source, taken=(*key, time, label))
    own_slices = [name for name in definition.slices if name not in names]
    asked = with_label(source, spec, keep=tuple(dict.fromkeys([*key, time, *own_slices])))
    values = {feature.name: as_kind(computed, feature) for feature in definition.features}
    joined = asked.filter(in_split(asked[time], spec)).join(computed.select(*key, **values), key)
    order = dict.fromkeys([time, label, *definition.slices, *names])
    return joined.select(
        **{KEY: row_name(joined, key)}, **{name: joined[name] for name in order}
    ).order_by([time, KEY])


def row_name(rows: ibis.Table, key: tuple[str, ...]) -> ibis.Value:
    """A row's key as one text."""
    parts = [rows[name].cast("string") for name in key]
    return ibis.literal("|").join(parts) if len(parts) > 1 else parts[0]


def in_split(instant: ibis.Value, spec: ModelSpec) -> ibis.Value:
    """From the training data's first day to the end of the test data."""
    inside = instant < midnight(spec.split.test.until)
    if spec.split.start is not None:
        inside = inside & (instant >= midnight(spec.split.start))
    return inside


def midnight(day: date) -> ibis.Value:
    """The day's beginning in UTC."""
    return ibis.literal(datetime.combine(day, time(), UTC), dt.Timestamp("UTC"))


def as_kind(computed: ibis.Table, feature: Feature) -> ibis.Value:
    """Floating point for a number (a number that is not one is missing), text for a category."""
    value = computed[feature.name]
    if feature.kind == "categorical":
        return value.cast("string")
    number = value.cast("float64")
    return number.isnan().ifelse(None, number) if value.type().is_floating() else number


def check_history(definition: Definition, dataset: DatasetSpec) -> None:
    """Features must not look further back than what is read before a split's first day.

    Raises:
        PipelineError: they do, so that early rows would silently be wrong.
    """
    if definition.history > dataset.history:
        raise PipelineError(
            f"HISTORY is {definition.history.days} days, but only {dataset.history.days} days "
            f"before the first row are read",
            where=definition.place,
            fix=f"shorten it, or raise the history of the dataset {dataset.name!r}",
        )


def check_source(spec: ModelSpec, dataset: DatasetSpec) -> None:
    """The document's columns must exist, and the time be an instant.

    Raises:
        DocumentError: one does not (with the one that was probably meant), or it is none.
    """
    columns = list(dataset.table(dataset.source).columns)
    named = [("source.time", spec.source.time)]
    named += [("source.entities", entity) for entity in spec.source.entities]
    problems = tuple(
        f"{place}: there is no column {name!r}; {suggest(name, columns)}"
        for place, name in named
        if name not in columns
    )
    time = dataset.table(dataset.source).columns.get(spec.source.time)
    if time is not None and time.type != TIMESTAMP:
        problems += (f"source.time: {spec.source.time} is {time.type}; it must be {TIMESTAMP}",)
    if problems:
        raise DocumentError(
            f"the table {dataset.source!r} of the dataset {dataset.name!r} has not what it needs",
            where=f"model {spec.name}",
            problems=problems,
        )


def check_columns(computed: ibis.Table, definition: Definition, key: tuple[str, ...]) -> None:
    """What ``features()`` gives must have what ``FEATURES`` promises.

    Raises:
        PipelineError: a column is missing or is not of its kind, or what it is computed from is
        not the same each time.
    """
    changing = computed.op().find(CHANGING)
    if changing:
        raise PipelineError(
            f"features() uses {', '.join(sorted({type(op).__name__ for op in changing}))}, which "
            "gives another value each time",
            where=definition.place,
            fix="a feature must be the same whenever it is computed: use the tables' columns alone",
        )
    names = (*key, *(feature.name for feature in definition.features))
    missing = [name for name in names if name not in computed.columns]
    if missing:
        hints = "; ".join(f"{name}: {suggest(name, computed.columns)}" for name in missing)
        raise PipelineError(
            f"features() gives no column {', '.join(missing)}",
            where=definition.place,
            fix=hints,
        )
    for feature in definition.features:
        type_ = computed[feature.name].type()
        fits = type_.is_string() if feature.kind == "categorical" else is_number(type_)
        if not fits:
            raise PipelineError(
                f"the feature {feature.name!r} is {type_}, but FEATURES says {feature.kind}",
                where=definition.place,
            )


def is_number(type_: dt.DataType) -> bool:
    return bool(type_.is_numeric() or type_.is_boolean())


def check_names(definition: Definition, source: ibis.Table, taken: tuple[str, ...]) -> None:
    """No two columns of the feature table may have one name, and slices must be columns.

    Raises:
        PipelineError: a feature is named as the key, the time or the label, or a slice as nothing.
    """
    names = [feature.name for feature in definition.features]
    for name in names:
        if name in (KEY, *taken):
            raise PipelineError(
                f"the feature {name!r} has the name of the key, the time or the label",
                where=definition.place,
                fix="give it another name",
            )
    for name in definition.slices:
        if name not in names and name not in source.columns:
            raise PipelineError(
                f"the slice {name!r} is neither a feature nor a column",
                where=definition.place,
                fix=suggest(name, [*names, *source.columns]),
            )


def check_rows(rows: pa.Table, source: ibis.Table, spec: ModelSpec, definition: Definition) -> None:
    """Each row of the source in the split must be there once.

    Raises:
        PipelineError: ``features()`` lost or doubled rows, or the split has none.
    """
    expected = source.filter(in_split(source[spec.source.time], spec)).count().to_pyarrow().as_py()
    if expected == 0:
        raise PipelineError(
            "no row lies in the split",
            where=f"model {spec.name}: split",
            fix="compare its days with the data's",
        )
    different = pc.count_distinct(rows[KEY]).as_py()
    if not rows.num_rows == different == expected:
        raise PipelineError(
            f"features() gave {rows.num_rows:,} rows for {different:,} of {expected:,} predictions",
            where=definition.place,
            fix="give each row of the source table exactly once; a join that doubles rows is usual",
        )
