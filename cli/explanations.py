"""Explanations of predictions, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cli.app import output
from cli.output import table

if TYPE_CHECKING:
    from rich.console import Console

    from serving.bodies import Row
    from serving.client import Explanations, RowExplanation

_SHOWN = 15
"""Features of a row, those that add most."""
_UNUSUAL = 0.95
"""From this score on, what is unusual about a row is said."""


def show_explanations(answer: Explanations, rows: Sequence[Row]) -> None:
    """What each feature added, a table a row."""
    output.result(asdict(answer), lambda console: _show(console, answer, rows))
    exact = answer.method != "sampled"
    how = "exactly" if exact else "by trying features out, each give or take its error"
    scale = f"on the scale of {escape(answer.scale)}"
    output.say(f"    [dim]from version {escape(answer.version)}, {scale}, {how}[/]")


def _show(console: Console, answer: Explanations, rows: Sequence[Row]) -> None:
    for row, own in zip(rows, answer.rows, strict=True):
        console.print(
            f"{_brief(own.prediction)}{'' if own.score is None else f' ({own.score:.4f})'}: "
            f"{own.base:+.4f} to begin with, {own.total:+.4f} in the end"
        )
        console.print(table("", ["feature", "value", "adds"], _lines(row, own), right=["adds"]))
        if own.outlier is not None and own.outlier >= _UNUSUAL:
            names = ", ".join(
                f"{name} ({share:.2%} of training rows)" for name, share in own.most_unusual.items()
            )
            console.print(f"    unusual: {escape(names)}")


def _lines(row: Row, own: RowExplanation) -> list[list[str]]:
    """A line a feature, and one for all that add least."""
    lines = [
        [
            escape(name),
            "missing" if row.get(name) is None else escape(_brief(row[name])),
            f"{value:+.4f}"
            + (f" ± {own.uncertainty[name]:.4f}" if name in own.uncertainty else ""),
        ]
        for name, value in own.contributions.items()
    ]
    rest = list(own.contributions.values())[_SHOWN:]
    return lines[:_SHOWN] + ([[f"{len(rest)} others", "", f"{sum(rest):+.4f}"]] if rest else [])


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
