"""docs/models.md: its model is one that would be trained, and it tells of every key there is."""

from __future__ import annotations

import re
from pathlib import Path

from components.rehearsal import check_model
from contracts.dataset import DatasetSpec
from contracts.model import METRICS, ModelSpec

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/models.md").read_text()
BLOCK = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_least_that_works_would_be_trained(tmp_path: Path) -> None:
    for page in ("docs/models.md", "docs/contributing/dataset.md"):
        for name, text in BLOCK.findall((ROOT / page).read_text()):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    document = tmp_path / "models/ferry-late/model.yaml"
    spec = ModelSpec.find(tmp_path / "models", "ferry-late")
    dataset = DatasetSpec.find(tmp_path / "datasets", spec.source.dataset)
    check_model(spec, dataset, document.with_name(spec.features), str(document))


def test_the_table_has_every_key_of_the_document() -> None:
    table = PAGE.partition("## model.yaml")[2].partition("##")[0]
    listed = {
        key
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", row)
    }
    assert listed == set(ModelSpec.model_fields)


def test_every_metric_is_named() -> None:
    assert [name for names in METRICS.values() for name in names if f"`{name}`" not in PAGE] == []
