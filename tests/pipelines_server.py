"""A stand-in for the API of a Kubeflow Pipelines server: the paths of its published description
(v2beta1) that a training needs, each request held against Kubeflow's own generated client.

It takes nothing that the real server would not: paths, a query's parameters, keys of a body, fields
and operations of a filter and the uploaded pipeline are checked. What is wrong is refused as the
server refuses. Its runs advance by one change of a step each time somebody asks for one, so that
nothing depends on time.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as published
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Json = dict[str, Any]
BASE = "/apis/v2beta1"
NEVER = "1970-01-01T00:00:00Z"
"""How the server says that a run has not ended."""
NOT_YET = "0001-01-01T00:00:00Z"
"""How it says that a task has not."""
FILTER_FIELDS = {
    "runs": {"run_id", "display_name", "created_at", "storage_state", "state", "experiment_id"},
    "experiments": {"id", "experiment_id", "name", "display_name", "created_at", "storage_state"},
    "pipelines": {"pipeline_id", "name", "display_name", "created_at", "description", "namespace"},
    "pipeline_versions": {"pipeline_version_id", "name", "display_name", "created_at"},
}
LISTING = {"page_token", "page_size", "sort_by", "filter", "namespace"}


class RefusalError(Exception):
    """What the server answers in place of a result."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.body = {
            "error": message,
            "code": code,
            "message": message,
            "details": [{"@type": "type.googleapis.com/google.rpc.Status", "code": code}],
        }
        super().__init__(message)


@dataclass
class Play:
    """What becomes of a run.

    Args:
        fails_at: the step that fails; none, where the run succeeds.
        driver_fails: it is the step's driver that fails, before the step begins.
        outputs: is told of each step that ends, and whether it went well; it writes what the
            step's launcher would.
        watches: is told of each step that starts.
    """

    fails_at: str = ""
    driver_fails: bool = False
    outputs: Callable[[Run, str, bool], None] = lambda run, step, went_well: None
    watches: Callable[[str], None] = lambda step: None


@dataclass
class Run:
    """A run, and how far it is."""

    body: Json
    identity: str
    spec: Any
    steps: list[str]
    parameters: Json
    play: Play
    created: datetime
    state: str = "PENDING"
    history: list[str] = field(default_factory=lambda: ["PENDING"])
    tasks: dict[str, str] = field(default_factory=dict)
    """The states of the tasks that have begun."""
    finished: datetime | None = None
    late: bool = False
    """It has ended, and the server does not know yet that its last task has."""

    @property
    def folder(self) -> str:
        """Where the launcher of each step puts what the step wrote."""
        root = self.body["runtime_config"]["pipeline_root"]
        return f"{root}/{self.spec.pipeline_info.name}/{self.identity}"

    @property
    def over(self) -> bool:
        return self.state in ("SUCCEEDED", "FAILED", "CANCELED")

    def become(self, state: str) -> None:
        self.state = state
        if state != "CANCELING":  # which the server leaves out of the history
            self.history.append(state)
        if self.over:
            self.late = True
            self.finished = self.created + timedelta(seconds=30)

    def advance(self) -> None:
        """By one change."""
        if self.over:
            self.late = False
            return
        if self.state == "CANCELING":
            # A workflow that is cut off has failed.
            self.become("FAILED")
            return
        if self.state == "PENDING":
            self.become("RUNNING")
            return
        running = [step for step, state in self.tasks.items() if state == "RUNNING"]
        if not running:
            step = self.steps[len(self.tasks)]
            self.tasks[step] = "RUNNING"
            self.play.watches(step)
            return
        step, went_well = running[0], running[0] != self.play.fails_at
        self.tasks[step] = "SUCCEEDED" if went_well else "FAILED"
        self.play.outputs(self, step, went_well)
        if not went_well or step == self.steps[-1]:
            self.become("SUCCEEDED" if went_well else "FAILED")

    def answer(self) -> Json:
        """As the API shows it; a task of Kubeflow's own stands beside each step's."""
        details = []
        tasks = dict(self.tasks)
        if self.late and tasks:
            tasks[list(tasks)[-1]] = "RUNNING"
        for number, (step, state) in enumerate(tasks.items()):
            start = self.created + timedelta(seconds=3 * number)
            ended = state != "RUNNING"
            times = {
                "create_time": stamp(self.created),
                "start_time": stamp(start),
                "end_time": stamp(start + timedelta(seconds=2)) if ended else NOT_YET,
            }
            parts = {f"{step}-driver": "SUCCEEDED", step: state, "executor": state}
            if state == "FAILED" and self.play.driver_fails:
                # What never began has no state in the answer.
                parts = {step: "", f"{step}-driver": state}
            for name, shown in parts.items():
                task = {"run_id": self.identity, "task_id": str(uuid.uuid4()), **times}
                task |= {"display_name": name} | ({"state": shown} if shown else {})
                details.append(task)
        return {
            **self.body,
            "run_id": self.identity,
            "storage_state": "AVAILABLE",
            "created_at": stamp(self.created),
            "scheduled_at": stamp(self.created),
            "finished_at": stamp(self.finished) if self.finished else NEVER,
            "state": self.state,
            "state_history": [
                {"update_time": stamp(self.created), "state": state} for state in self.history
            ],
            **({"run_details": {"task_details": details}} if details else {}),
        }


@dataclass
class PipelinesServer:
    """The server; ``play`` is what becomes of the next run.

    Use it as a context.
    """

    play: Play = field(default_factory=Play)
    runs: dict[str, Run] = field(default_factory=dict)
    experiments: dict[str, Json] = field(default_factory=dict)
    pipelines: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, Json] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    """The uploaded pipelines, by version."""
    refuses: RefusalError | None = None
    """What every request is answered with, where it is set."""
    requests: list[str] = field(default_factory=list)
    dead: bool = False

    def __enter__(self) -> PipelinesServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: object) -> None:
                pass

            def do_GET(self) -> None:
                self.reply()

            def do_POST(self) -> None:
                self.reply()

            def reply(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if server.dead:
                    self.close_connection = True
                    return
                status, answer = server.handle(
                    self.command, self.path, content, self.headers.get("Content-Type", "")
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """The server dies: connections are refused from now on."""
        self.dead = True
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle(self, method: str, target: str, content: bytes, kind: str) -> tuple[int, Json]:
        """One request; see ROUTES."""
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.requests.append(f"{method} {split.path}")
        try:
            if self.refuses is not None:
                raise self.refuses
            for way, pattern, allowed, respond in ROUTES:
                matched = re.fullmatch(BASE + pattern, split.path)
                if way == method and matched:
                    unknown = query.keys() - allowed
                    if unknown:
                        raise invalid(f"unknown parameters {sorted(unknown)}")
                    return 200, respond(self, query, content, kind, *matched.groups())
            raise RefusalError(404, 5, "Not Found")
        except RefusalError as error:
            return error.status, error.body

    # -- what the paths do -----------------------------------------------------------------------

    def health(self, query: Json, content: bytes, kind: str) -> Json:
        return {"multi_user": False, "pipeline_store": "database"}

    def list_experiments(self, query: Json, content: bytes, kind: str) -> Json:
        return page("experiments", list(self.experiments.values()), query)

    def create_experiment(self, query: Json, content: bytes, kind: str) -> Json:
        body = checked(content, published.V2beta1Experiment)
        return keep(self.experiments, "experiment_id", body)

    def list_pipelines(self, query: Json, content: bytes, kind: str) -> Json:
        return page("pipelines", list(self.pipelines.values()), query)

    def create_pipeline(self, query: Json, content: bytes, kind: str) -> Json:
        body = checked(content, published.V2beta1Pipeline)
        return keep(self.pipelines, "pipeline_id", body)

    def list_versions(self, query: Json, content: bytes, kind: str, pipeline: str) -> Json:
        own = [one for one in self.versions.values() if one["pipeline_id"] == pipeline]
        return page("pipeline_versions", own, query)

    def upload_version(self, query: Json, content: bytes, kind: str) -> Json:
        if query.get("pipelineid") not in self.pipelines:
            raise upload_refused("Failed to create a pipeline version")
        text = form_file(content, kind)
        body = {"pipeline_id": query["pipelineid"], "display_name": query["name"]}
        names = {
            one["display_name"]
            for one in self.versions.values()
            if one["pipeline_id"] == body["pipeline_id"]
        }
        if body["display_name"] in names:
            raise upload_refused("Failed to create a pipeline version", status=409)
        parse(text)
        made = keep(self.versions, "pipeline_version_id", body)
        self.uploads[made["pipeline_version_id"]] = text
        return made

    def list_runs(self, query: Json, content: bytes, kind: str) -> Json:
        return page("runs", [run.answer() for run in self.runs.values()], query)

    def create_run(self, query: Json, content: bytes, kind: str) -> Json:
        body = checked(content, published.V2beta1Run)
        for key, model in (
            ("pipeline_version_reference", published.V2beta1PipelineVersionReference),
            ("runtime_config", published.V2beta1RuntimeConfig),
        ):
            known(body[key], model)
        version = body["pipeline_version_reference"]["pipeline_version_id"]
        if version not in self.uploads:
            raise RefusalError(500, 13, f"PipelineVersion {version} not found")
        if body["experiment_id"] not in self.experiments:
            raise RefusalError(404, 5, f"Experiment {body['experiment_id']} not found")
        spec = parse(self.uploads[version])
        run = Run(
            body=body,
            identity=str(uuid.uuid4()),
            spec=spec,
            steps=in_order(spec),
            parameters=filled(spec, body["runtime_config"].get("parameters") or {}),
            play=self.play,
            created=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=len(self.runs)),
        )
        self.runs[run.identity] = run
        return run.answer()

    def get_run(self, query: Json, content: bytes, kind: str, identity: str) -> Json:
        run = self._run(identity)
        answer = run.answer()
        run.advance()
        return answer

    def terminate_run(self, query: Json, content: bytes, kind: str, identity: str) -> Json:
        run = self._run(identity)
        if run.over:
            raise RefusalError(400, 3, f"Failed to terminate the run {identity}: it has ended")
        run.become("CANCELING")
        return {}

    def _run(self, identity: str) -> Run:
        if identity not in self.runs:
            raise RefusalError(
                404, 5, f"Failed to get a run: ResourceNotFoundError: Run {identity} not found"
            )
        return self.runs[identity]


Route = tuple[str, str, set[str], Callable[..., Json]]
ROUTES: tuple[Route, ...] = (
    ("GET", "/healthz", set(), PipelinesServer.health),
    ("GET", "/experiments", LISTING, PipelinesServer.list_experiments),
    ("POST", "/experiments", set(), PipelinesServer.create_experiment),
    ("GET", "/pipelines", LISTING, PipelinesServer.list_pipelines),
    ("POST", "/pipelines", set(), PipelinesServer.create_pipeline),
    ("GET", "/pipelines/([^/]+)/versions", LISTING - {"namespace"}, PipelinesServer.list_versions),
    (
        "POST",
        "/pipelines/upload_version",
        {"name", "display_name", "pipelineid", "description", "tags"},
        PipelinesServer.upload_version,
    ),
    ("GET", "/runs", LISTING | {"experiment_id"}, PipelinesServer.list_runs),
    ("POST", "/runs", {"experiment_id"}, PipelinesServer.create_run),
    ("GET", "/runs/([^/:]+)", {"experiment_id"}, PipelinesServer.get_run),
    ("POST", "/runs/([^/:]+):terminate", {"experiment_id"}, PipelinesServer.terminate_run),
)
"""Method, path, the parameters that its query may have, and what is done."""


def invalid(message: str) -> RefusalError:
    return RefusalError(400, 3, f"Invalid input error: {message}")


def upload_refused(message: str, status: int = 400) -> RefusalError:
    """Uploads are refused in words of their own."""
    refusal = RefusalError(status, 3, message)
    refusal.body = {"error_message": message, "error_details": message}
    return refusal


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def known(body: Json, model: Any) -> Json:
    """A body's keys are those of the published model."""
    unknown = body.keys() - set(model.attribute_map.values())
    if unknown:
        raise invalid(f"{model.__name__} has no {sorted(unknown)}")
    return body


def checked(content: bytes, model: Any) -> Json:
    body = known(json.loads(content), model)
    if not body.get("display_name"):
        raise invalid("the name is empty")
    return body


def keep(shelf: dict[str, Json], key: str, body: Json) -> Json:
    identity = str(uuid.uuid4())
    created = datetime.now(UTC) + timedelta(seconds=len(shelf))
    shelf[identity] = {**body, key: identity, "created_at": stamp(created)}
    return shelf[identity]


def page(what: str, entries: list[Json], query: Mapping[str, str]) -> Json:
    """A page of a listing: filtered, sorted, cut; an empty one has no list in it, as in proto3."""
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        if predicate.keys() != {"operation", "key", "stringValue"}:
            raise invalid(f"filter: {predicate}")
        if predicate["key"] not in FILTER_FIELDS[what]:
            raise invalid(f"filter: {what} have no {predicate['key']!r}")
        same = {"EQUALS": True, "NOT_EQUALS": False}[predicate["operation"]]
        entries = [
            one
            for one in entries
            if (one.get(predicate["key"]) == predicate["stringValue"]) is same
        ]
    name, _, order = (query.get("sort_by") or "created_at").partition(" ")
    if name not in FILTER_FIELDS[what] or order not in ("", "asc", "desc"):
        raise invalid(f"sort_by: {query['sort_by']}")
    entries = sorted(entries, key=lambda one: str(one[name]), reverse=order == "desc")
    size = int(query.get("page_size") or 20)
    if size > 200:
        raise invalid("page_size is above 200")
    return {what: entries[:size], "total_size": len(entries)} if entries else {}


def form_file(content: bytes, kind: str) -> str:
    """The file of a form; the server wants it under the name ``uploadfile``."""
    form = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    for part in form.get_payload():
        if part.get_param("name", header="content-disposition") == "uploadfile":  # type: ignore[union-attr]
            return bytes(part.get_payload(decode=True)).decode()  # type: ignore[union-attr]
    raise upload_refused("Failed to read pipeline from file")


def parse(text: str) -> Any:
    """The pipeline; every key must be one of the published form's."""
    try:
        return json_format.ParseDict(yaml.safe_load(text), pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise upload_refused(f"Failed to parse the pipeline: {error}") from None


def in_order(spec: Any) -> list[str]:
    """The tasks, each after those that it depends on."""
    left = dict(spec.root.dag.tasks)
    order: list[str] = []
    while left:
        ready = sorted(
            name for name, task in left.items() if set(task.dependent_tasks) <= set(order)
        )
        order += ready[:1]
        del left[ready[0]]
    return order


def filled(spec: Any, given: Json) -> Json:
    """The run's parameters, with the defaults; the server refuses unknown and missing ones."""
    inputs = spec.root.input_definitions.parameters
    unknown, missing = given.keys() - set(inputs), []
    values = dict(given)
    for name, described in inputs.items():
        if name in values:
            continue
        if described.is_optional:
            values[name] = json_format.MessageToDict(described.default_value)
        else:
            missing.append(name)
    if unknown or missing:
        raise invalid(f"parameters: unknown {sorted(unknown)}, missing {missing}")
    return values
