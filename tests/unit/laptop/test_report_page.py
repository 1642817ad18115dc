"""The report is one file that shows what happened, and fetches nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from components.documents import (
    BestFeature,
    CalibrationBin,
    CurvePoint,
    Evaluation,
    GateResult,
    Importance,
)
from contracts.artifact import Interval
from contracts.rollout import (
    Decision,
    GuardNumbers,
    Harm,
    Outcomes,
    Phase,
    RolloutSpec,
    RolloutStatus,
)
from laptop.report import RolloutStory, TrainingStory, write_report

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def evaluation(area: float) -> Evaluation:
    gate = GateResult(
        name="roc_auc", gate=">= 0.68", value=area, limit=0.68, margin=area - 0.68, passed=True
    )
    found = Interval(value=area, low=area - 0.05, high=area + 0.05)
    return Evaluation(
        rows=1000,
        days=31,
        start=NOW,
        end=NOW,
        main_metric="roc_auc",
        metrics={"roc_auc": found},
        prior={"roc_auc": 0.5},
        onnx_parity=1e-7,
        best_feature=BestFeature(name="hour", metric="roc_auc", score=found, gain=found),
        gates=(gate,),
        calibration=(CalibrationBin(predicted=0.2, observed=0.25, rows=10),),
        roc=tuple(CurvePoint(false_positive_rate=x, true_positive_rate=x) for x in (0.0, 1.0)),
        importance=(Importance(name="hour", drop=0.1),),
    )


def decision(look: int, phase: Phase, weight: int) -> Decision:
    numbers = GuardNumbers(
        candidate=Outcomes(total=100, bad=10),
        stable=Outcomes(total=900, bad=5),
        harm=float(look),
        harm_limit=5.0,
        safe=-1.0,
        rare=-1.0,
        safe_limit=5.0,
        odds_ratio=(2.0, None),
        candidate_rate=(0.0, 1.0),
        stable_rate=(0.0, 1.0),
        difference=(0.0, 1.0),
        passed=False,
    )
    return Decision(
        at=1000.0 + look,
        look=look,
        phase=phase,
        weight=weight,
        reason="no verdict yet",
        candidate="3",
        guards={"errors": numbers},
    )


def page(folder: Path) -> str:
    decisions = [decision(1, Phase.RAMPING, 100), decision(2, Phase.ROLLING_BACK, 0)]
    status = RolloutStatus(
        model="m",
        phase=Phase.ROLLED_BACK,
        reason="errors: <worse>",
        look=2,
        harm=Harm(estimate=20.0, low=12.0, high=28.0),
    )
    story = RolloutStory(
        title="A bad canary", spec=RolloutSpec(), status=status, decisions=decisions
    )
    written = write_report(
        folder / "report.html",
        environment="local",
        resources=[("Lake", "aws:s3/bucket:Bucket", 3), ("Cache", "aws:x:Y", 2)],
        trainings=[TrainingStory(version="1", evaluation=evaluation(0.7), steps={"ingest": 1.0})],
        rollouts=[story],
        written=NOW,
    )
    return written.read_text()


def test_it_tells_what_happened(tmp_path: Path) -> None:
    text = page(tmp_path)
    for said in (
        "RolledBack",
        "about 20 bad responses because of the candidate (12 to 28), of a budget of 50",
        "20 of 200 (10.00%)",
        "2.00 to ∞",
        "Environment: 5 resources",
        "roc_auc &gt;= 0.68",
        "version 1: 0.700 (0.650 to 0.750)",
    ):
        assert said in text, said


def test_it_fetches_nothing_and_escapes_what_it_shows(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert text.count("<svg") == 4
    assert not re.search(r"<(script|link|img|iframe)\b|url\(http", text)
    assert "errors: &lt;worse&gt;" in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
