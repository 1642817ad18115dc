"""A team's own data: one folder in a workspace outside the checkout, and the commands take it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from cli.main import main
from components.ingest.step import ingest
from components.validate.step import validate
from contracts.dataset import DatasetSpec
from contracts.model import ModelSpec
from contracts.outputs import LakeOutputs, PlatformOutputs
from data.lake import Lake
from tests.content import MODELS, ROOT
from tests.integration.pipelines.conftest import platform

BUCKETS = {zone: f"own-dataset-{zone}" for zone in ("raw", "curated", "artifacts")}
DOCUMENT = """
name: parcels
description: What a shop sent, and when it arrived.
quarantine: 40%
tables:
  parcels:
    description: a parcel
    key: id
    time: sent
    columns:
      id: integer
      sent: {type: timestamp, zone: Europe/Berlin}
      weight: {type: number, unit: kg, range: [0, 30]}
      shop: {type: text, values: [north, south]}
    files: parcels-*.csv
"""
FILES = {
    "parcels-1.csv": """\ufeffid,sent,weight,shop
1,2024-01-31 23:30,2.5,north
2,2020-13-01,1,north
""",
    "parcels-2.csv": """id,sent,weight,shop
3,2024-02-01 00:30,inf,"south"
4,2024-02-02,1,north
""",
}
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def outputs() -> Any:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in BUCKETS.values():
            s3.create_bucket(Bucket=bucket)
        made = platform(LakeOutputs(**BUCKETS, key_arn=""))
        yield made.model_copy(update={"environment": "dev"})
    server.stop()


@pytest.fixture
def workspace(tmp_path: Path, outputs: PlatformOutputs) -> Path:
    """A project's folder with one environment and one dataset, and nothing of the platform."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    environment = {"name": "dev", "tier": "dev", "account": "1" * 12, "region": "us-east-1"}
    (tmp_path / "Pulumi.dev.yaml").write_text(
        yaml.safe_dump({"config": {"millwright:environment": environment}})
    )
    (tmp_path / "outputs.json").write_text(outputs.model_dump_json())
    folder = tmp_path / "datasets" / "parcels"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(DOCUMENT)
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.fixture
def millwright(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command in the workspace; gives its code, its JSON and its words."""

    def run(*words: str) -> tuple[object, Any, str]:
        monkeypatch.setenv("MILLWRIGHT_PROJECT", str(workspace))
        monkeypatch.setattr(sys, "argv", ["millwright", "--json", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code, json.loads(out) if out.strip() else None, err

    return run


ENVIRONMENT = ("-e", "dev", "--outputs")


def test_a_folder_is_a_dataset(
    millwright: Run, workspace: Path, outputs: PlatformOutputs, tmp_path: Path
) -> None:
    where = (*ENVIRONMENT, str(workspace / "outputs.json"))
    code, listed, _ = millwright("data", "list")
    assert (code, [row["name"] for row in listed], listed[0]["origin"]) == (0, ["parcels"], "csv")

    code, loaded, _ = millwright("data", "load", "parcels", *where)
    assert (code, loaded["rows"], loaded["quarantined"]) == (0, {"parcels": 3}, {"parcels": 1})
    refused, doubted = loaded["warnings"]
    assert refused.startswith(
        "parcels: 1 of 4 rows refused: sent must be timestamp (ISO 8601: 2024-02-29T12:30:00) "
        "(such as 2020-13-01 (there is no such day), row "
    )
    assert doubted == (
        "parcels: 1 of 3 rows will be refused by validation: weight must be between 0 and 30 "
        "(such as inf)"
    )
    lake = Lake(outputs.lake)
    # Berlin's half past midnight is still January in UTC, and stored there.
    months = [file.month for file in lake.manifest("parcels", "parcels").files]
    assert months == ["2024-01", "2024-02"]
    aside = lake.read("parcels", "parcels.quarantine").to_pylist()
    assert [(Path(row["file"]).name, row["row"]) for row in aside] == [("parcels-1.csv", 2)]
    assert json.loads(aside[0]["content"])["sent"] == "2020-13-01"

    code, shown, _ = millwright("data", "show", "parcels", *where)
    assert (code, shown["loaded"]) == (0, {"parcels": 3, "parcels.quarantine": 1})
    assert shown["tables"]["parcels"]["columns"]["weight"]["unit"] == "kg"

    # The steps of the pipeline take the document as it is, and nothing of the workspace.
    document = DatasetSpec.find(workspace / "datasets", "parcels")
    travelled = DatasetSpec.model_validate_json(document.model_dump_json(by_alias=True))
    assert travelled == document
    model = ModelSpec.find(MODELS, "flight-delay").with_split(
        train_until=None, validate_until=None, test_until=None
    )
    spec = model.model_copy(
        update={"source": model.source.model_copy(update={"dataset": "parcels"})}
    )
    days = spec.split.model_dump(by_alias=True, mode="json")
    for part, day in (("train", "2024-02-01"), ("validate", "2024-02-02"), ("test", "2024-03-01")):
        days[part] = {"until": day}
    spec = ModelSpec.parse({**spec.model_dump(by_alias=True, mode="json"), "split": days})
    ingest(spec, travelled, outputs, tmp_path / "raw")
    report = validate(tmp_path / "raw", travelled, tmp_path / "valid")
    assert [(rule.column, rule.rows) for rule in report.tables[0].broken] == [("weight", 1)]


def test_a_mended_file_empties_the_quarantine(
    millwright: Run, workspace: Path, outputs: PlatformOutputs
) -> None:
    where = (*ENVIRONMENT, str(workspace / "outputs.json"))
    millwright("data", "load", "parcels", *where)
    path = workspace / "datasets" / "parcels" / "parcels-1.csv"
    path.write_text(path.read_text("utf-8").replace("2020-13-01", "2020-12-01"), "utf-8")
    _, loaded, _ = millwright("data", "load", "parcels", *where)
    assert (loaded["rows"], loaded["quarantined"]) == ({"parcels": 4}, {})
    assert not Lake(outputs.lake).exists("parcels", "parcels.quarantine")
    again = millwright("data", "load", "parcels", *where)[1]
    assert again["fingerprints"] == loaded["fingerprints"]


@pytest.mark.parametrize(
    ("file", "content", "words", "code", "sentence"),
    [
        ("parcels-1.csv", None, ("--strict",), 1, "1 of 4 rows of parcels cannot be read, 25.0%"),
        ("parcels-1.csv", "", (), 1, "the file is empty"),
        ("parcels-1.csv", "id,sent\n", (), 1, "there is no column weight, shop"),
        (
            "parcels-2.csv",
            'id,sent,weight,shop\n4,2024-02-02,1,"north\n5,2024-02-02,1,south\n',
            (),
            1,
            "is opened and never closed",
        ),
        (
            "dataset.yaml",
            DOCUMENT.replace("Berlin", "Berln"),
            (),
            1,
            "did you mean 'Europe/Berlin'?",
        ),
        ("dataset.yaml", DOCUMENT.replace("zone:", "zoen:"), (), 1, "sent.zoen: unknown key"),
        ("dataset.yaml", DOCUMENT.replace("parcels-*", "none-*"), (), 1, "there is no such file"),
        ("dataset.yaml", DOCUMENT + "name: again\n", (), 1, "the key 'name' is written twice"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_the_lake_stays_as_it_was(
    millwright: Run,
    workspace: Path,
    outputs: PlatformOutputs,
    file: str,
    content: str | None,
    words: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    where = (*ENVIRONMENT, str(workspace / "outputs.json"))
    millwright("data", "load", "parcels", *where)
    before = Lake(outputs.lake).tables("parcels")
    if content is not None:
        (workspace / "datasets" / "parcels" / file).write_text(content, encoding="utf-8")
    ended, _, said = millwright("data", "load", "parcels", *where, *words)
    answer = json.loads(said)
    text = " ".join([answer["error"], answer["fix"], *answer["problems"]])
    assert (ended, sentence in text) == (code, True), said
    assert Lake(outputs.lake).tables("parcels") == before


def test_files_may_lie_in_object_storage(
    millwright: Run, workspace: Path, outputs: PlatformOutputs
) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    for name, content in FILES.items():
        s3.put_object(Bucket=BUCKETS["curated"], Key=f"in/{name}", Body=content.encode())
    path = workspace / "datasets" / "parcels" / "dataset.yaml"
    where = (*ENVIRONMENT, str(workspace / "outputs.json"))
    here = millwright("data", "load", "parcels", *where)[1]
    base = f"s3://{BUCKETS['curated']}/in"
    path.write_text(DOCUMENT.replace("files: parcels", f"files: {base}/parcels"))
    there = millwright("data", "load", "parcels", *where)[1]
    assert there["fingerprints"] == here["fingerprints"]
    aside = Lake(outputs.lake).read("parcels", "parcels.quarantine").to_pylist()
    assert [row["file"] for row in aside] == [f"{base}/parcels-1.csv"]
    path.write_text(DOCUMENT.replace("files: parcels-*", f"files: {base}/none"))
    code, _, said = millwright("data", "load", "parcels", *where)
    assert (code, json.loads(said)["where"]) == (1, f"{base}/none.csv")


def test_the_page_on_adding_a_dataset_does_what_it_says(
    millwright: Run, workspace: Path, outputs: PlatformOutputs
) -> None:
    page = (ROOT / "docs" / "contributing" / "dataset.md").read_text()
    blocks = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for name, content in blocks:
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(content)
    code, listed, _ = millwright("data", "list")
    assert code == 0
    assert "ferries" in {row["name"] for row in listed}
    code, report, words = millwright(
        "data", "load", "ferries", *ENVIRONMENT, str(workspace / "outputs.json")
    )
    assert code == 0, words
    assert report["rows"] == {"crossings": 3}
    (warning,) = report["warnings"]
    assert warning == (
        "crossings: 1 of 3 rows will be refused by validation: cars must be between 0 and 400 "
        "(such as 4000)"
    )
