"""The pictures of the report, as SVG text."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure

from components.documents import Evaluation
from contracts.rollout import WHOLE, Decision, Phase
from contracts.signals import SIGNALS

mpl.use("svg")

STABLE, CANDIDATE, AGAINST, FOR, MUTED = "#4f6d8f", "#e07a1f", "#c0392b", "#2e8b57", "#8a94a0"
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b8c0c8",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": "#4a5560",
    "xtick.color": "#4a5560",
    "ytick.color": "#4a5560",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "millwright",
}
LINES = ("-", "--", ":", "-.")
"""Line styles of the guards in their table's order, round and round."""


def picture(size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """An SVG element drawn by ``draw``; ``size`` in inches."""
    with mpl.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def rollout(decisions: Sequence[Decision]) -> str:
    """The candidate's weight over time, and the evidence as a share of what a verdict takes.

    Evidence is drawn as log evidence over its limit: at 1 the verdict is reached.
    """
    began = decisions[0].at
    seconds = [decision.at - began for decision in decisions]

    def draw(figure: Figure) -> None:
        weights, evidence = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.3])
        shares = [share(decision) for decision in decisions]
        weights.step(seconds, shares, where="post", color=CANDIDATE, linewidth=2)
        weights.fill_between(seconds, shares, step="post", color=CANDIDATE, alpha=0.15)
        weights.set_ylabel("candidate's weight, %")
        weights.set_ylim(0, 105)
        mark_verdict(weights, decisions, began)
        for name in sorted({name for decision in decisions for name in decision.guards}):
            draw_evidence(evidence, decisions, name, began)
        evidence.axhline(1, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        evidence.text(0, 1.02, "verdict", color=MUTED, va="bottom", fontsize=8)
        evidence.set_ylabel("evidence, share of a verdict")
        evidence.set_ylim(-0.6, 1.6)
        evidence.set_xlabel("seconds")
        handles, _ = evidence.get_legend_handles_labels()
        if handles:
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
            evidence.legend(ncols=len(handles) // 2, fontsize=7.5, **place)

    return picture((7.4, 4.7), draw)


def share(decision: Decision) -> float:
    """The version's share of the traffic, in percent; once promoted it is no candidate any more."""
    return 100.0 if decision.phase is Phase.PROMOTED else decision.weight / WHOLE * 100


def draw_evidence(axes: Any, decisions: Sequence[Decision], name: str, began: float) -> None:
    """One guard's evidence against and for the candidate."""
    looks = [decision for decision in decisions if name in decision.guards]
    times = [decision.at - began for decision in looks]
    numbers = [decision.guards[name] for decision in looks]
    style = LINES[[row.name for row in SIGNALS].index(name) % len(LINES)]
    against = [clipped(number.share_against) for number in numbers]
    favour = [clipped(number.share_for) for number in numbers]
    axes.plot(times, against, style, color=AGAINST, linewidth=1.6, label=f"against: {name}")
    axes.plot(times, favour, style, color=FOR, linewidth=1.6, label=f"for: {name}")


def clipped(share: float) -> float:
    """Within the picture: evidence may grow without bound."""
    return min(max(share, -0.55), 1.55)


def mark_verdict(axes: Any, decisions: Sequence[Decision], began: float) -> None:
    """Where the phase changed to a verdict."""
    for before, after in itertools.pairwise(decisions):
        if after.phase == before.phase:
            continue
        if after.phase in (Phase.PROMOTING, Phase.ROLLING_BACK):
            color = FOR if after.phase == Phase.PROMOTING else AGAINST
            axes.axvline(after.at - began, color=color, linewidth=1.2)
            name = "promoted" if after.phase == Phase.PROMOTING else "rolled back"
            axes.text(after.at - began, 112, name, color=color, ha="center", va="top", fontsize=8)


def calibration(evaluations: Sequence[tuple[str, Evaluation]]) -> str:
    """Predicted against observed, a line a version."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for color, (name, evaluation) in zip(colours(len(evaluations)), evaluations, strict=True):
            axes.plot(
                [part.predicted for part in evaluation.calibration],
                [part.observed for part in evaluation.calibration],
                "o-",
                color=color,
                markersize=3.5,
                label=name,
            )
        axes.set(
            title="Calibration", xlabel="predicted", ylabel="observed", xlim=(0, 1), ylim=(0, 1)
        )
        axes.legend(loc="upper left")

    return picture((3.6, 3.4), draw)


def roc(evaluations: Sequence[tuple[str, Evaluation]]) -> str:
    """The ROC curves, a line a version, with the area and its interval."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for color, (name, evaluation) in zip(colours(len(evaluations)), evaluations, strict=True):
            area = evaluation.metrics["roc_auc"]
            axes.plot(
                [point.false_positive_rate for point in evaluation.roc],
                [point.true_positive_rate for point in evaluation.roc],
                color=color,
                label=f"{name}: {area.value:.3f} ({area.low or 0:.3f} to {area.high or 1:.3f})",
            )
        axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="lower right", fontsize=8)

    return picture((3.6, 3.4), draw)


def importance(name: str, evaluation: Evaluation, top: int = 12) -> str:
    """How much the main metric drops when a feature is shuffled."""
    features = sorted(evaluation.importance, key=lambda item: item.drop)[-top:]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh([item.name for item in features], [item.drop for item in features], color=STABLE)
        axes.set(
            title=f"Where the features matter ({name})",
            xlabel=f"loss of {evaluation.main_metric} when shuffled",
        )

    return picture((7.4, 0.26 * len(features) + 0.9), draw)


def colours(count: int) -> list[str]:
    """Colours for versions, the newest in the candidate's."""
    base = [STABLE, CANDIDATE, "#7a5195", "#3b9c9c"]
    return [base[index % len(base)] for index in range(count)]
