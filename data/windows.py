"""Totals over the recent past, of what had happened by then: the shared part of many features.

"The share of this shop's parcels that were late, of those that arrived in the last seven days" is
asked at one instant (the prediction's) about events that each became known at another. Written as a
range join it compares everything with everything; written as a window with a range it costs twice
as much and differs between engines. Here it is a running total: events and questions stand in one
line by time, the total up to the window's beginning is taken from the total up to now, and both are
whole numbers, so the result is exact and the same on every engine. They are held as floating-point
numbers, which are exact to 2^53: DuckDB adds up integers in 128 bits, at a third of the speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import ibis

NOW = 0
"""The edge at which a window ends: the instant of the question."""


def trailing_totals(
    asked: ibis.Table,
    events: ibis.Table,
    *,
    by: Sequence[str],
    at: str,
    happened: str,
    measures: Sequence[str],
    windows: Mapping[str, timedelta],
) -> ibis.Table:
    """For each question, the totals of the events of its group within each window before it.

    An event counts for a question at ``t`` and a window of length ``w`` when it happened after
    ``t - w`` and not after ``t``. Instants are compared in whole seconds.

    Args:
        asked: the questions: the ``by`` columns and the instant ``at``.
        events: what happened: the ``by`` columns, the instant ``happened`` (rows where it is null
            never happened) and the ``measures``, whole numbers.
        by: the columns that make the groups.
        at: the questions' instant.
        happened: the events' instant.
        measures: the columns to add up.
        windows: their lengths by name.

    Returns:
        One row for each different question: ``by``, ``at`` and ``<measure>_<window>``.
    """
    questions = asked.select(*by, at).distinct()
    edges = {NOW: 0} | {
        number: int(length.total_seconds()) for number, length in enumerate(windows.values(), 1)
    }
    line = in_line(questions, events, edges, by, at, happened, measures)
    so_far = ibis.window(group_by=list(by), order_by=["moment", "edge"], rows=(None, 0))
    totals = line.select(
        *by, at, "edge", **{name: line[name].sum().over(so_far) for name in measures}
    )
    answers = totals.filter(totals.edge >= NOW)
    return answers.group_by([*by, at]).aggregate(
        **{
            f"{measure}_{window}": answers[measure].sum(where=answers.edge == NOW)
            - answers[measure].sum(where=answers.edge == number)
            for measure in measures
            for number, window in enumerate(windows, 1)
        }
    )


def in_line(
    questions: ibis.Table,
    events: ibis.Table,
    edges: Mapping[int, int],
    by: Sequence[str],
    at: str,
    happened: str,
    measures: Sequence[str],
) -> ibis.Table:
    """Events, and each question once for each edge of its windows, with the moment of each.

    Events have edge -1, so that at the same moment they stand before the questions.
    """
    known = events.filter(events[happened].notnull())
    rows = known.select(
        *by,
        **{at: ibis.null(questions[at].type())},
        edge=ibis.literal(-1, "int64"),
        moment=known[happened].epoch_seconds().cast("int64"),
        **{name: known[name].cast("float64") for name in measures},
    )
    for edge, length in edges.items():
        rows = rows.union(
            questions.select(
                *by,
                at,
                edge=ibis.literal(edge, "int64"),
                moment=questions[at].epoch_seconds().cast("int64") - length,
                **{name: ibis.literal(0, "float64") for name in measures},
            )
        )
    return rows


def share(part: ibis.Value, whole: ibis.Value) -> ibis.Value:
    """``part / whole``, null where there is no whole (engines differ on dividing by zero)."""
    return part.cast("float64") / whole.cast("float64").nullif(0.0)
