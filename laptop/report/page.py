"""The report's page: headings, tables and the charts, in one self-contained file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from components.documents import Evaluation
from contracts.document import format_duration
from contracts.rollout import Decision, Phase, RolloutSpec, RolloutStatus
from contracts.signals import signal
from laptop.report import charts

STYLE = """
:root { --ink: #1d2731; --muted: #66717c; --line: #dfe4e8; --good: #2e8b57; --bad: #c0392b; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 860px;
       margin: 2.5rem auto; padding: 0 1.2rem; background: #fff; }
h1 { font-size: 1.7rem; margin: 0; } h2 { margin: 2.6rem 0 .4rem; font-size: 1.2rem; }
p { margin: .4rem 0 .8rem; } .muted { color: var(--muted); }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 1.2rem; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 600; } td.number { text-align: right;
     font-variant-numeric: tabular-nums; padding-right: 1.4rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.row { display: flex; gap: 1rem; flex-wrap: wrap; } svg { max-width: 100%; height: auto; }
"""


@dataclass(frozen=True, kw_only=True)
class TrainingStory:
    """One trained version: its evaluation and how long each step took (seconds)."""

    version: str
    evaluation: Evaluation
    steps: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RolloutStory:
    """One rollout: its plan, how it ended and each decision on the way."""

    title: str
    spec: RolloutSpec
    status: RolloutStatus
    decisions: Sequence[Decision]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Markup that is already safe."""

    html: str


def write_report(
    destination: Path,
    *,
    environment: str,
    resources: Sequence[tuple[str, str, int]],
    trainings: Sequence[TrainingStory],
    rollouts: Sequence[RolloutStory],
    written: datetime,
) -> Path:
    """Write the page and return where it is.

    Args:
        destination: the HTML file.
        environment: its name.
        resources: concern, resource type and how many of it there are.
        trainings: the versions that were trained, in their order.
        rollouts: the rollouts, in their order.
        written: when.
    """
    parts = [
        f"<h1>Millwright: {escape(environment)}</h1>",
        f'<p class="muted">written {written:%Y-%m-%d %H:%M}</p>',
        *(rollout_part(story) for story in rollouts),
        *trainings_part(trainings),
        resources_part(resources),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Millwright: {escape(environment)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    return partial.replace(destination)


def rollout_part(story: RolloutStory) -> str:
    """How one rollout went: its verdict, the picture, the last numbers of each guard."""
    status, spec = story.status, story.spec
    good = status.phase in (Phase.PROMOTED, Phase.WATCHING)
    looks = [decision for decision in story.decisions if decision.guards]
    harm = status.harm
    sentence = (
        f'<p><span class="{"good" if good else "bad"}">{escape(str(status.phase))}</span> '
        f"after {status.look} looks, one every {format_duration(spec.interval)}. "
        f"{escape(status.reason)}</p>"
        f"<p>Harm: about {max(harm.estimate, 0):.0f} bad responses because of the candidate "
        f"({max(harm.low, 0):.0f} to {max(harm.high, 0):.0f}), "
        f"of a budget of {spec.harm_budget:g}.</p>"
    )
    picture = charts.rollout(story.decisions) if len(story.decisions) > 1 else ""
    return f"<h2>{escape(story.title)}</h2>{sentence}{picture}{guards_table(looks)}"


def guards_table(looks: Sequence[Decision]) -> str:
    """Per guard: all that each version served, and the interval of the odds ratio."""
    if not looks:
        return ""
    rows = []
    for name, last in looks[-1].guards.items():
        numbers = [look.guards[name] for look in looks if name in look.guards]
        candidate, stable = (
            (sum(outcomes.bad for outcomes in side), sum(outcomes.total for outcomes in side))
            for side in ([n.candidate for n in numbers], [n.stable for n in numbers])
        )
        low, high = last.odds_ratio
        interval = f"{low:.2f} to {'∞' if high is None else f'{high:.2f}'}"
        rows.append((guard_cell(name), bad_of(candidate), bad_of(stable), interval))
    columns = ("guard", "candidate: bad of", "stable: bad of", "odds ratio, at any time")
    return table(columns, rows)


def guard_cell(name: str) -> Raw:
    """A guard's name, and what it counts as bad."""
    title = escape(signal(name).title.replace("`", ""))
    return Raw(html=f'{escape(name)} <span class="muted">{title}</span>')


def bad_of(counts: tuple[int, int]) -> str:
    """Bad outcomes of all, with their share."""
    bad, total = counts
    return f"{bad:,} of {total:,}" + (f" ({bad / total:.2%})" if total else "")


def trainings_part(stories: Sequence[TrainingStory]) -> list[str]:
    """The versions side by side: metrics with their gates, curves, importance."""
    if not stories:
        return []
    named = [(f"version {story.version}", story.evaluation) for story in stories]
    pictures = "".join([charts.roc(named), charts.calibration(named)] if named[0][1].roc else [])
    return [
        "<h2>Versions</h2>",
        table(
            ("version", "tested on", "gate", "value", "verdict"),
            [row for story in stories for row in gate_rows(story)],
        ),
        warnings_table(stories),
        f'<div class="row">{pictures}</div>',
        charts.importance(*named[-1]) if named[-1][1].importance else "",
        "<h2>Steps</h2>",
        steps_table(stories),
    ]


def gate_rows(story: TrainingStory) -> list[tuple[object, ...]]:
    """A row a gate."""
    evaluation = story.evaluation
    period = f"{evaluation.start:%Y-%m-%d} to {evaluation.end:%Y-%m-%d}"
    return [
        (
            story.version if first else "",
            f"{period}, {evaluation.rows:,} rows" if first else "",
            f"{gate.name} {gate.gate}",
            f"{gate.value:.4g}",
            Raw(html='<span class="good">passed</span>' if gate.passed else failed(gate.margin)),
        )
        for first, gate in ((index == 0, gate) for index, gate in enumerate(evaluation.gates))
    ]


def warnings_table(stories: Sequence[TrainingStory]) -> str:
    """What each version left out, filled in or never saw; nothing where there is none."""
    rows = [(story.version, line) for story in stories for line in story.evaluation.warnings]
    return table(("version", "to know"), rows) if rows else ""


def failed(margin: float) -> str:
    """A gate that was not passed, and by how much."""
    return f'<span class="bad">failed by {abs(margin):.4g}</span>'


def steps_table(stories: Sequence[TrainingStory]) -> str:
    """Seconds a step, a column a version."""
    names = list(dict.fromkeys(name for story in stories for name in story.steps))
    rows = [
        (name, *(f"{story.steps[name]:.1f} s" if name in story.steps else "" for story in stories))
        for name in names
    ]
    return table(("step", *(f"version {story.version}" for story in stories)), rows)


def resources_part(resources: Sequence[tuple[str, str, int]]) -> str:
    """What the environment is made of."""
    total = sum(count for _, _, count in resources)
    return f"<h2>Environment: {total} resources</h2>" + table(
        ("concern", "type", "count"), resources
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; numbers stand to the right."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cell(value: object) -> str:
    """One cell, escaped unless it is markup already."""
    if isinstance(value, Raw):
        return f"<td>{value.html}</td>"
    kind = ' class="number"' if isinstance(value, (int, float)) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
