"""Rollouts of real model servers behind a real Envoy, under real requests with feedback."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from contracts.errors import MillwrightError, RolloutError
from contracts.rollout import Phase, RolloutStatus, Target
from laptop.rollout import LocalRollout
from tests.integration.rollout.conftest import NAME, Traffic, until
from tests.serving_model import make_artifact


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Target]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {
        number: Target(
            version=str(number),
            uri=str(make_artifact(folder / f"v{number}", version=str(number), seed=number)),
        )
        for number in (1, 2, 3)
    }


def test_promoted_killed_resumed_and_rolled_back(root, serving, model, targets):
    rollout = LocalRollout(root, model, serving)
    rollout.start(targets[1])
    assert rollout.run().promoted_by == "first version"
    with Traffic(serving) as traffic:
        # A good version; the loop is left midway, as by a kill, and another one goes on.
        rollout.start(targets[2])
        midway = rollout.run(stop=until(lambda: rollout.status().phase is Phase.RAMPING))
        assert midway.candidate == targets[2]
        status = LocalRollout(root, model, serving).run()
        assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "evidence"), status.reason
        assert [one.name for one in serving.observe(NAME).predictors if one.weight] == ["v2"]

        # A version whose predictions turn out wrong; it fails no request.
        traffic.lies_of = "3"
        rollout.start(targets[3])
        status = rollout.run()
        assert status.phase is Phase.ROLLED_BACK, status.reason
        assert "wrong:" in status.reason
        assert serving.settle(NAME).predictors[0].version == "2"
        assert len(serving.observe(NAME).predictors) == 1
    assert traffic.failed == 0
    with pytest.raises(RolloutError, match="version 3 was rolled back before"):
        rollout.start(targets[3])
    with pytest.raises(RolloutError, match="no rollout is under way"):
        rollout.say("abort")
    phases = [one.phase for one in rollout.history()]
    assert phases.index(Phase.PROMOTED) < phases.index(Phase.ROLLING_BACK)


def test_a_second_loop_is_refused(root, serving, model):
    rollout = LocalRollout(root, model, serving)

    def beside(_: RolloutStatus) -> None:
        with pytest.raises(RolloutError, match="being run already"):
            LocalRollout(root, model, serving).run()

    rollout.run(watch=beside, stop=lambda: True)


def broken(folder: Path, how: str) -> Target:
    """An artifact of version 9 with which something is wrong."""
    made = make_artifact(folder, version="8" if how == "another version" else "9")
    model, document = made / "model.onnx", made / "artifact.json"
    match how:
        case "no model":
            model.unlink()
        case "half a model":
            model.write_bytes(model.read_bytes()[:1000])
        case "no document":
            document.unlink()
        case "no JSON":
            document.write_text("{")
        case "another model":
            document.write_text(document.read_text().replace('"flight-delay"', '"other"'))
        case "no ONNX":
            model.write_bytes(b"nothing")
            digest = hashlib.sha256(b"nothing").hexdigest()
            value = json.loads(document.read_text())
            document.write_text(json.dumps({**value, "digest": digest}))
    return Target(version="9", uri=str(made))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("no model", "model.onnx cannot be read"),
        ("half a model", "digest"),
        ("no document", "artifact.json cannot be read"),
        ("no JSON", "not JSON"),
        ("another model", "this artifact is other version 9"),
        ("another version", "this artifact is flight-delay version 8"),
        ("no ONNX", "ONNX"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    root, serving, model, tmp_path, how, sentence
):
    rollout = LocalRollout(root, model, serving)
    before = rollout.status(), rollout._wish()
    with pytest.raises(MillwrightError, match=sentence):
        rollout.start(broken(tmp_path, how))
    assert (rollout.status(), rollout._wish()) == before


def test_a_server_that_cannot_start_ends_the_rollout_with_its_reason(
    root, serving, model, tmp_path
):
    rollout = LocalRollout(root, model, serving)
    target = Target(version="9", uri=str(make_artifact(tmp_path / "v9", version="9", seed=9)))
    rollout.start(target)
    (tmp_path / "v9" / "model.onnx").unlink()
    status = rollout.run(stop=until(lambda: rollout.status().phase is Phase.ROLLED_BACK))
    assert "the candidate cannot start" in status.reason
    assert "model.onnx cannot be read" in status.reason
    assert [each.name for each in serving.observe(NAME).predictors] == ["v2"]


def test_a_word_waits_for_the_version_that_it_is_about(root, serving, model, targets):
    """Somebody else is under way and goes back first: what was said is not lost."""
    rollout = LocalRollout(root, model, serving)
    rollout.start(targets[3], retry=True)
    rollout.run(stop=until(lambda: rollout.status().candidate == targets[3]))
    rollout.start(targets[1], judge=True)
    rollout.run(stop=until(lambda: rollout.status().candidate == targets[1]))
    assert not rollout.status().returning
    rollout.say("abort")
    rollout.run(stop=until(lambda: rollout.status().phase is Phase.ROLLED_BACK))
