"""Training on an environment of tier dev: its pipelines server stands in, its lake is emulated, its
outputs are in a file. Every command runs as a person types it."""

from __future__ import annotations

import _thread
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
import yaml
from google.protobuf import json_format
from moto.server import ThreadedMotoServer

from cli.main import main
from contracts.errors import DataError, RejectedError
from contracts.outputs import LakeOutputs, PlatformOutputs, ServiceOutputs
from pipelines import following, pods
from tests.integration.pipelines.conftest import beginning, copy_documents, platform
from tests.launched import Launchers, put
from tests.pipelines_server import PipelinesServer, Play, RefusalError

IMAGE = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/millwright/pipelines@sha256:" + "a" * 64
STEPS = [
    *("ingest", "validate", "engineer", "preprocess", "select"),
    *("tune", "train", "evaluate", "register"),
]


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Millwright = Callable[..., Done]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing is up."""
    made = tmp_path_factory.mktemp("project")
    copy_documents(made)
    return made


@pytest.fixture(scope="module")
def outputs() -> Iterator[PlatformOutputs]:
    """What dev's stack exports; its lake is on an S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    lake = {zone: f"dev-{zone}" for zone in ("raw", "curated", "artifacts")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in lake.values():
            s3.create_bucket(Bucket=bucket)
        yield platform(LakeOutputs(**lake, key_arn="")).model_copy(
            update={
                "environment": "dev",
                "region": "eu-central-1",
                "tracking": ServiceOutputs(namespace="mlflow", service="mlflow", port=80),
                "images": {"pipelines": IMAGE},
            }
        )
    server.stop()


@pytest.fixture
def server() -> Iterator[PipelinesServer]:
    """Its pipelines server."""
    with PipelinesServer() as running:
        yield running


@pytest.fixture(scope="module")
def passed() -> set[str]:
    """Models that can be trained, of files that no test here changes: tried once is tried."""
    return set()


@pytest.fixture
def millwright(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    outputs: PlatformOutputs,
    server: PipelinesServer,
    passed: set[str],
) -> Millwright:
    """Runs the command line in this process, on dev."""
    monkeypatch.setenv("MILLWRIGHT_PROJECT", str(folder))
    check = pods.PodRuns.check

    def check_once(runs: pods.PodRuns, *asked: object) -> None:
        if repr(asked) not in passed:
            check(runs, *asked)
            passed.add(repr(asked))

    monkeypatch.setattr(pods.PodRuns, "check", check_once)
    monkeypatch.setattr(pods, "PACE", 0.0)
    monkeypatch.setattr(following, "PATIENCE", 0.0)

    def run(*words: str, **changes: object) -> Done:
        service = ServiceOutputs(url=server.url)
        given = outputs.model_copy(update={"pipelines": service, **changes})
        file = folder / "outputs.json"
        file.write_text(given.model_dump_json(), encoding="utf-8")
        environment = ("-e", "dev", "--outputs", str(file))
        monkeypatch.setattr(sys, "argv", ["millwright", *words, *environment])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run


def only_run(server: PipelinesServer) -> str:
    """The name of the one run."""
    (run,) = server.runs.values()
    return str(run.body["display_name"])


def test_training_is_submitted_followed_and_registered(millwright, server, outputs):
    server.play = Play(outputs=Launchers())
    done = millwright("train", "flight-delay")
    assert done.returncode == 0, done.stderr
    said = [line.split()[:2] for line in done.stdout.splitlines() if "✓" in line]
    assert said == [["✓", step] for step in STEPS]
    assert "2.0 s" in done.stdout
    assert "roc_auc" in done.stdout
    assert "0.6900 to 0.7300" in done.stdout
    assert "passed" in done.stdout
    assert "registered flight-delay version 1 at s3://models/flight-delay/1" in done.stdout

    (run,) = server.runs.values()
    assert run.folder.startswith("s3://dev-artifacts/pipelines/training/")
    assert run.parameters["tracking_uri"] == "http://mlflow.mlflow:80"
    assert PlatformOutputs.model_validate_json(run.parameters["outputs"]).environment == "dev"
    assert json.loads(run.parameters["model"])["name"] == "flight-delay"
    (text,) = server.uploads.values()
    assert "latest" not in text
    spec = yaml.safe_load(text)
    containers = [one["container"] for one in spec["deploymentSpec"]["executors"].values()]
    assert {one["image"] for one in containers} == {IMAGE}
    assert {"name": "AWS_REGION", "value": "eu-central-1"} in containers[0]["env"]


def test_the_uploaded_pipeline_can_be_started_again_by_anybody(millwright, server):
    """A person in Kubeflow's pages, or a schedule: nothing has to be given, and each run registers
    under its own identity."""
    server.play = Play(outputs=Launchers())
    for _ in range(2):
        assert millwright("train", "flight-delay", "--detach").returncode == 0
    assert len(server.runs) == 2
    assert len(server.versions) == len(server.pipelines) == len(server.experiments) == 1
    (run, other) = server.runs.values()
    assert run.body["display_name"] != other.body["display_name"]
    inputs = run.spec.root.input_definitions.parameters
    assert all(one.is_optional and one.description for one in inputs.values())
    register = json_format.MessageToDict(run.spec.root.dag.tasks["register"].inputs)["parameters"]
    assert register["run"] == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
    assert run.parameters["key"] == ""
    cached = {task.caching_options.enable_cache for task in run.spec.root.dag.tasks.values()}
    assert cached == {False}

    # Another content is another version of the same pipeline.
    assert (
        millwright("train", "flight-delay", "--detach", "--train-until", "2013-06-01").returncode
        == 0
    )
    assert (len(server.versions), len(server.pipelines)) == (2, 1)


def test_a_detached_run_is_found_again(millwright, server):
    server.play = Play(outputs=Launchers())
    done = millwright("--json", "train", "flight-delay", "--detach")
    name = json.loads(done.stdout)["run"]
    assert name == only_run(server)
    listed = json.loads(millwright("--json", "runs", "list").stdout)
    assert [(one["run"], one["model"], one["state"]) for one in listed] == [
        (name, "flight-delay", "waiting")
    ]
    assert "waiting" in millwright("runs", "list").stdout

    (identity,) = server.runs
    for _ in range(7):
        shown = json.loads(millwright("--json", "runs", "show", identity).stdout)
    assert shown["run"] == name
    assert shown["state"] == "running"
    assert [step["state"] for step in shown["steps"]][:4] == [
        *("finished", "finished", "running", "waiting")
    ]
    assert shown["metrics"] is None

    done = millwright("--json", "runs", "follow", name)
    assert done.returncode == 0
    made = json.loads(done.stdout)
    assert (made["run"], made["version"]) == (name, "1")
    assert made["seconds"] == dict.fromkeys(STEPS, 2.0)
    latest = millwright("runs", "show").stdout
    assert name in latest
    assert "1 at s3://models/flight-delay/1" in latest
    assert "0.7100" in latest
    assert json.loads(millwright("--json", "runs", "list").stdout)[0]["state"] == "done"


@pytest.mark.parametrize("logs", [True, False], ids=["with logs", "without logs"])
def test_a_rejected_model_ends_with_3(millwright, server, logs):
    error = RejectedError("a gate failed: roc_auc is 0.71, must be >= 0.99", where="model toy")
    launchers = Launchers(accepted=False, errors={"register": error}, logs=logs)
    server.play = Play(fails_at="register", outputs=launchers)
    done = millwright("train", "flight-delay")
    assert done.returncode == 3
    assert "✗ register" in done.stdout
    assert "failed" in done.stdout
    assert "a gate failed: roc_auc is 0.71, must be >= 0.99" in done.stderr
    name = only_run(server)
    assert millwright("runs", "follow", name).returncode == 3
    (listed,) = json.loads(millwright("--json", "runs", "list").stdout)
    assert listed["state"] == "rejected"
    shown = millwright("runs", "show", name)
    assert shown.returncode == 0
    assert "rejected" in shown.stdout
    assert "a gate failed" in shown.stdout


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            DataError("no rows are left", where="split.test", fix="load more"),
            "no rows are left (split.test)",
        ),
        (None, "ValueError: the moon"),
    ],
    ids=["with a sentence", "with a trace"],
)
def test_a_step_that_fails_says_why_and_where_its_log_is(millwright, server, error, sentence):
    server.play = Play(fails_at="engineer", outputs=Launchers(errors={"engineer": error}))
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "✗ engineer" in done.stdout
    assert f"step engineer: {sentence}" in done.stderr
    (run,) = server.runs.values()
    assert f"its log: {run.folder}/engineer/" in done.stderr
    assert "executor-logs-0" in done.stderr
    shown = json.loads(millwright("--json", "runs", "show").stdout)
    assert shown["state"] == "failed"
    assert sentence in shown["reason"]
    assert [step["state"] for step in shown["steps"]] == [
        *("finished", "finished", "failed"),
        *["waiting"] * 6,
    ]


def test_a_step_whose_pod_never_began_is_named(millwright, server):
    server.play = Play(fails_at="tune", driver_fails=True)
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "✗ tune" in done.stdout
    assert "step tune: its pod left no log" in done.stderr
    assert f"its log: the pods of the run {next(iter(server.runs))}" in done.stderr


def test_of_a_step_that_was_tried_again_the_last_try_counts(millwright, server):
    def twice(run, step, went_well):
        folder = put(run, step, "executor-logs-0", "ValueError: the sun")
        put(run, step, "executor-logs-1", "ValueError: the moon", folder)

    server.play = Play(fails_at="ingest", outputs=twice)
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "step ingest: ValueError: the moon" in done.stderr
    assert "executor-logs-1" in done.stderr


@pytest.fixture
def at_a_prompt():
    """What runs in a shell's background ignores SIGINT, and so would Python."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("at_a_prompt")
def test_the_run_goes_on_when_its_follower_leaves(millwright, server):
    def interrupt(step):
        if step == "tune":
            _thread.interrupt_main()

    server.play = Play(outputs=Launchers(), watches=interrupt)
    done = millwright("train", "flight-delay")
    assert done.returncode == 130
    name = only_run(server)
    assert (
        f"the run goes on; `millwright runs follow {name} -e dev` comes back to it" in done.stdout
    )
    assert not next(iter(server.runs.values())).over
    assert "POST" not in server.requests[-1]
    done = millwright("runs", "follow", name)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if "✓" in line] == STEPS


def test_a_run_is_stopped(millwright, server):
    server.play = Play(outputs=Launchers())
    millwright("train", "flight-delay", "--detach")
    name = only_run(server)
    assert f"{name} is stopped" in millwright("runs", "stop", name).stdout
    assert json.loads(millwright("--json", "runs", "list").stdout)[0]["state"] == "stopping"
    done = millwright("runs", "follow", name)
    assert done.returncode == 1
    assert f"run {name}: it was stopped" in done.stderr
    assert json.loads(millwright("--json", "runs", "list").stdout)[0]["state"] == "stopped"
    assert f"{name} had ended: stopped" in millwright("runs", "stop", name).stdout


def test_an_unknown_run_is_said_so(millwright, server):
    server.play = Play(outputs=Launchers())
    done = millwright("runs", "show")
    assert (done.returncode, "there are no runs yet" in done.stderr) == (2, True)
    millwright("train", "flight-delay", "--detach")
    name = only_run(server)
    for command in ("show", "follow", "stop"):
        done = millwright("runs", command, f"{name[:-1]}x")
        assert done.returncode == 2
        assert "there is no run" in done.stderr
        assert f"did you mean {name!r}?" in done.stderr
    done = millwright("runs", "show", "01234567-0123-0123-0123-0123456789ab")
    assert (done.returncode, "there is no run '01234567" in done.stderr) == (2, True)


def test_a_run_is_named_by_its_model_or_its_beginning(millwright, server):
    server.play = Play(outputs=Launchers())
    for _ in range(2):
        millwright("train", "flight-delay", "--detach")
    first, second = (str(run.body["display_name"]) for run in server.runs.values())
    ours = beginning(first, second)

    def named(command, word):
        return json.loads(millwright("--json", "runs", command, word).stdout)["run"]

    for command in ("show", "stop"):
        assert named(command, "flight-delay") == second
        assert named(command, first[: len(ours) + 1]) == first
    done = millwright("runs", "show", ours)
    assert (done.returncode, "is the beginning of 2 runs' names" in done.stderr) == (2, True)


def test_a_server_that_goes_away_while_it_is_followed(millwright, server):
    def die(step):
        if step == "select":
            server.stop()

    server.play = Play(outputs=Launchers(), watches=die)
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert "✓ preprocess" in done.stdout
    assert f"{server.url}: the pipelines server does not answer: " in done.stderr
    assert "Connection refused" in done.stderr
    name = only_run(server)
    assert f"`millwright runs follow {name} -e dev` comes back to it" in done.stderr
    for words in (("runs", "list"), ("runs", "show", name), ("train", "flight-delay")):
        done = millwright(*words)
        assert done.returncode == 1
        assert "the pipelines server does not answer: " in done.stderr


def test_a_server_that_comes_back_is_followed_on(millwright, server, monkeypatch):
    monkeypatch.setattr(following, "PATIENCE", 60.0)
    left = 3

    def stumble(step):
        server.refuses = RefusalError(503, 14, "upstream connect error") if step == "tune" else None

    handle = server.handle

    def recovering(*request):
        nonlocal left
        if server.refuses is not None:
            left -= 1
            server.refuses = server.refuses if left else None
        return handle(*request)

    server.handle = recovering
    server.play = Play(outputs=Launchers(), watches=stumble)
    assert millwright("train", "flight-delay").returncode == 0
    assert left == 0


def test_a_refusal_is_in_the_servers_words(millwright, server):
    server.refuses = RefusalError(
        500, 13, "Failed to create a run: InternalServerError: the database is read-only"
    )
    done = millwright("train", "flight-delay")
    assert done.returncode == 1
    assert (
        "the pipelines server refused: Failed to create a run: InternalServerError: the database "
        "is read-only (500)" in done.stderr
    )
    server.refuses = RefusalError(403, 7, "User 'jane' may not")
    done = millwright("runs", "list")
    assert "User 'jane' may not (403)" in done.stderr
    assert "Sign in as somebody who may" in done.stderr


def test_what_is_no_pipelines_server_is_said_so(millwright, outputs):
    import os

    emulator = ServiceOutputs(url=os.environ["AWS_ENDPOINT_URL"] + "/no-such-bucket")
    done = millwright("runs", "list", pipelines=emulator)
    assert done.returncode == 1
    assert "Is this the address of a Kubeflow Pipelines API?" in done.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": {}}, "it has no image"),
        ({"images": {"pipelines": "millwright/pipelines:latest"}}, "without its digest"),
        ({"tracking": None}, "it has no MLflow"),
        (
            {"tracking": ServiceOutputs(url="sqlite:////home/jane/mlflow.db")},
            "sqlite:////home/jane/mlflow.db is a place on this machine",
        ),
        ({"pipelines": None}, "dev has no Kubeflow Pipelines server"),
    ],
)
def test_what_the_environment_lacks_is_said_before_anything_is_sent(
    millwright, server, changes, sentence
):
    done = millwright("train", "flight-delay", **changes)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not [one for one in server.requests if one.startswith("POST")]
    if "image" in sentence:
        assert "Run `millwright images push dev`." in done.stderr


def test_addresses_can_be_given(millwright, server):
    server.play = Play(outputs=Launchers())
    given = ("--kfp", server.url, "--mlflow", "https://mlflow.example")
    done = millwright("train", "flight-delay", "--detach", *given, pipelines=None)
    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    assert run.parameters["tracking_uri"] == "https://mlflow.example"
    assert f"-e dev --kfp {server.url}" in done.stdout


def test_a_run_here_cannot_be_left_to_itself(millwright):
    done = millwright("train", "flight-delay", "--here", "--detach")
    assert (done.returncode, "ends with it" in done.stderr) == (2, True)
