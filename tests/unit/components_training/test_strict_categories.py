"""`unknown: error`: the model knows its categories and no others, here and when exported."""

import onnxruntime
import pytest

from components.documents import Preprocessing, read
from components.evaluate.step import evaluate
from components.preprocess.step import preprocess
from components.select.step import select
from components.train.step import train
from components.tune.step import tune
from contracts.artifact import MODEL_FILE
from contracts.errors import DocumentError

STRICT = {"categorical": {"encode": "onehot", "rare_below": 0, "unknown": "error"}}


@pytest.fixture
def trained(toys, model, tmp_path):
    path, table, _ = toys
    spec = model(preprocess=STRICT, select={"method": "none"})
    preprocess(path, table, spec, tmp_path / "data")
    files = (tmp_path / "data", tmp_path / "selection.json", tmp_path / "tuning.json")
    select(files[0], spec, files[1])
    tune(files[0], files[1], spec, files[2])
    report = train(*files, spec, tmp_path / "model")
    judged = evaluate(files[0], tmp_path / "model", spec, tmp_path / "evaluation.json")
    return tmp_path, report, judged


def ask(folder, report, kind):
    import numpy as np

    session = onnxruntime.InferenceSession(folder / "model" / MODEL_FILE)
    feeds = {
        one.name: np.array([[kind]], object)
        if one.datatype == "BYTES"
        else np.zeros((1, 1), np.float32)
        for one in report.inputs
        if one.used
    }
    return session.run(["probabilities"], feeds)[0]


def test_rows_that_it_fails_on_are_left_out_and_counted(trained, toys):
    folder, _, judged = trained
    report = read(Preprocessing, folder / "data" / "preprocessing.json")
    _, _, frame = toys
    inside = frame[frame["label"].notna() & (frame["time"] < "2013-05-01")]
    assert sum(part.refused for part in report.parts.values()) == inside["kind"].isna().sum() > 0
    assert judged.accepted, "its gates pass: nothing that it fails on was asked"


def test_the_exported_model_fails_on_a_category_that_it_does_not_know(trained):
    folder, report, _ = trained
    assert ask(folder, report, "a").shape == (1, 2)
    for unknown in ("", "never seen"):
        with pytest.raises(Exception, match=r"(?i)unknown"):
            ask(folder, report, unknown)


def test_rare_categories_have_no_place_in_it(model):
    with pytest.raises(DocumentError, match="unknown: error needs rare_below: 0"):
        model(preprocess={"categorical": {"unknown": "error", "rare_below": 5}})
    assert model(preprocess={"categorical": {"unknown": "error"}})
