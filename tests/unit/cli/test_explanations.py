"""What a person sees of an explanation."""

from __future__ import annotations

import json

import pytest

from cli.app import output
from cli.explanations import show_explanations
from serving.client import Explanations, RowExplanation

ROW = {"plan": "pro", "months": 3.0}


def explained(**changes: object) -> Explanations:
    own: dict[str, object] = {
        "prediction": 1,
        "score": 0.7311,
        "base": -0.5,
        "total": 1.0,
        "contributions": {"plan": 2.0, "months": -0.5, "[b]age": 0.0},
        "uncertainty": {},
        "most_unusual": {},
    }
    row = RowExplanation(**(own | changes))  # type: ignore[arg-type]
    return Explanations(
        version="3", predictor="v3", method="tree_shap", scale="log-odds", rows=(row,)
    )


def test_a_line_says_what_a_feature_added(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanations(explained(), [ROW])
    text = capsys.readouterr()
    lines = [line.split() for line in (text.out + text.err).splitlines()]
    assert ["plan", "pro", "+2.0000"] in lines
    assert ["months", "3", "-0.5000"] in lines
    assert ["[b]age", "missing", "+0.0000"] in lines
    assert "1 (0.7311): -0.5000 to begin with, +1.0000 in the end" in text.out + text.err
    assert "from version 3, on the scale of log-odds, exactly" in text.out + text.err


def test_what_adds_least_is_one_line_and_what_is_unusual_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = {f"f{number}": 20.0 - number for number in range(20)}
    unusual = {"outlier": 1.0, "most_unusual": {"f3": 0.0012}, "uncertainty": {"f0": 0.25}}
    show_explanations(explained(contributions=many, **unusual), [ROW])
    text = "".join(capsys.readouterr())
    lines = [line.split() for line in text.splitlines()]
    assert ["5", "others", "+15.0000"] in lines
    assert ["f0", "missing", "+20.0000", "±", "0.2500"] in lines
    assert "unusual: f3 (0.12% of training rows)" in text


def test_programs_get_all_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "as_json", True)
    show_explanations(explained(), [ROW])
    said = json.loads(capsys.readouterr().out)
    assert said["rows"][0]["contributions"] == {"plan": 2.0, "months": -0.5, "[b]age": 0.0}
    assert (said["method"], said["version"]) == ("tree_shap", "3")
