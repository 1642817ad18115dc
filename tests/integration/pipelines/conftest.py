"""January's flights in a lake on an S3 server, and a small model to train on them."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pyarrow.compute as pc
import pytest
import yaml
from moto.server import ThreadedMotoServer

from contracts.outputs import (
    CacheOutputs,
    ClusterOutputs,
    LakeOutputs,
    NetworkOutputs,
    OnlineStoreOutputs,
    PlatformOutputs,
    WarehouseOutputs,
)
from data.lake import Lake
from data.reading import read_tables
from pipelines.processes import WarmProcess
from project import here
from tests.content import DATASETS, HOSTILE, flights

MODEL = Path(__file__).parents[3] / "models" / "flight-delay"
SMALL = {
    "split": {
        "train": {"until": "2013-01-20"},
        "validate": {"until": "2013-01-25"},
        "test": {"until": "2013-02-01"},
    },
    "estimator": {
        "library": "xgboost",
        "class": "XGBClassifier",
        "params": {"n_estimators": 40, "max_depth": 4, "n_jobs": 2},
    },
    "tune": {
        "sampler": "random",
        "trials": 2,
        "metric": "roc_auc",
        "space": {"learning_rate": [0.05, 0.2]},
    },
    "gates": {"roc_auc": ">= 0.55", "log_loss": "< prior", "onnx_parity": "<= 1e-5"},
}


@dataclass(frozen=True)
class Place:
    """Where the tests train."""

    outputs: PlatformOutputs
    folder: Path
    tracking_uri: str
    environment: dict[str, str]

    def model(self, name: str, /, **changes: object) -> Path:
        """A copy of the flights' model with changes to its document."""
        folder = self.folder / "models" / name
        folder.mkdir(parents=True)
        document = yaml.safe_load((MODEL / "model.yaml").read_text(encoding="utf-8"))
        (folder / "model.yaml").write_text(yaml.safe_dump(document | SMALL | changes), "utf-8")
        source = (MODEL / "features.py").read_text(encoding="utf-8")
        (folder / "features.py").write_text(source, "utf-8")
        return folder

    def artifacts(self) -> list[str]:
        """The objects under the models in the artifacts' bucket."""
        bucket = boto3.resource("s3").Bucket(self.outputs.lake.artifacts)
        return sorted(found.key for found in bucket.objects.filter(Prefix="models/"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    # moto keeps its state in the process, which another module's tests may have used.
    urlopen(Request(f"{environment['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")).close()
    folder = tmp_path_factory.mktemp("training") / HOSTILE
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        zones = {zone: f"pipelines-test-{zone}" for zone in ("raw", "curated", "artifacts")}
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in zones.values():
            s3.create_bucket(Bucket=bucket)
        lake = LakeOutputs(**zones, key_arn="")
        load_january(Lake(lake))
        yield Place(
            outputs=platform(lake),
            folder=folder,
            tracking_uri=here.tracking_uri(folder),
            environment=environment,
        )
    server.stop()


class LentProcess(WarmProcess):
    """One that many trainings ask, each a fork of it as always, so that the imports are done once.

    That a training starts one of its own and ends it is for the tests that are lent none.
    """

    def close(self) -> None:
        """It is not the training's to end."""

    def lend(self, patch: pytest.MonkeyPatch) -> None:
        """From now on, trainings in this process ask it."""
        patch.setattr(WarmProcess, "start", lambda: self)

    def end(self) -> None:
        """See `WarmProcess.close`."""
        super().close()


def copy_documents(folder: Path) -> None:
    """A project in which nothing is up: its documents alone."""
    root = MODEL.parents[1]
    for path in root.glob("Pulumi*.yaml"):
        shutil.copy(path, folder)
    for content in ("datasets", "models"):
        shutil.copytree(root / content, folder / content)


def load_january(lake: Lake) -> None:
    """One month of the flights and the weather; all of the other tables."""
    for table in read_tables(DATASETS / "flights", flights()):
        name, rows = table.name, table.rows
        time = flights().table(name).time
        if time is not None:
            rows = rows.filter(pc.equal(pc.strftime(rows[time], "%Y-%m"), "2013-01"))
        lake.write_table("flights", name, rows, time=time)


def platform(lake: LakeOutputs) -> PlatformOutputs:
    """An environment of which training uses the lake only."""
    return PlatformOutputs(
        environment="test",
        region="us-east-1",
        account_id="123456789012",
        network=NetworkOutputs(
            vpc_id="vpc", public_subnet_ids=(), private_subnet_ids=(), database_subnet_ids=()
        ),
        lake=lake,
        warehouse=WarehouseOutputs(
            cluster_identifier="", database="", user="", secret_arn="", role_arn=""
        ),
        online_store=OnlineStoreOutputs(),
        cache=CacheOutputs(host="", port=0, tls=False),
        cluster=ClusterOutputs(name="", endpoint=""),
        registries={},
        roles={},
        key_arns={},
    )


def beginning(first: str, second: str) -> str:
    """What two texts begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return first[: next(place for place, (one, other) in pairs if one != other)]
