"""The demo: everything once, on real flights. Calls only what the other commands call.

Apart from the command, so that a command which is not the demo does not wait for its imports.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread

from cli.app import output
from cli.commands.data import load_tables
from cli.commands.environment import bring_up
from cli.commands.rollout import begin
from cli.commands.serving import curl_line, show_prediction
from cli.commands.training import train_here
from cli.common import by_concern, rollouts_of
from cli.output import pairs
from cli.watching import WatchedRollout, show
from contracts.errors import RejectedError, RolloutError
from contracts.features import FeatureTable
from contracts.model import ModelSpec
from contracts.rollout import Phase, RolloutStatus
from data.model_registry import ModelRegistry
from laptop.examples import broken_model, example_rows
from laptop.replay import replaying
from laptop.report import RolloutStory, TrainingStory, write_report
from laptop.stack import Stack
from pipelines.results import TrainingResult
from pipelines.running import FolderRuns
from pipelines.runs import output as output_of
from project.here import REPORT_FILE

MODEL = "flight-delay"
STEPS = 8
FIRST_SPLIT = {
    "train_until": dt.date(2013, 7, 1),
    "validate_until": dt.date(2013, 8, 1),
    "test_until": dt.date(2013, 9, 1),
}
OCTOBER = (dt.date(2013, 10, 1), dt.date(2013, 11, 1))
RATE = 250.0
"""Requests a second of the replay."""
PACE: dict[str, object] = {
    "interval": "500ms",
    "watch": "3s",
    "deadline": "10m",
    "on_deadline": "rollback",
    "guards": {"errors": {}, "slow": {"over": "250ms"}, "wrong": {"min_feedback": 200}},
}
"""The demo looks twice a second and keeps the old version warm for seconds, not minutes; and
here clients, servers and front door share the cores, so that a response may wait for the load that
asks for it. Nobody is there to decide, so a verdict that does not come in time is a rollback. The
rest of the plan is the document's."""


class Demo:
    """The eight steps, and what the report needs of them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        where = self.where = stack.project
        self.spec = ModelSpec.find(where.models, MODEL)
        self.path = where.models / MODEL / "model.yaml"
        self.runs = FolderRuns(where.root / "runs")
        self.trainings: list[TrainingStory] = []
        self.stories: list[RolloutStory] = []

    def run(self) -> None:
        """All of it; a demo that is run again goes on from what is there."""
        began = time.monotonic()
        where = self.where
        self.runs.prepare()  # It imports what trainings need while the environment comes up.
        with output.step(1, STEPS, "Local cloud up"):
            endpoints = self.stack.start_cloud()
            output.say(f"    AWS API server: {endpoints.endpoint_url}")
        with output.step(2, STEPS, "Environment up"):
            bring_up(self.stack)
            cache = where.outputs().cache
            output.say(f"    Redis, as ElastiCache's endpoint: {cache.host}:{cache.port}")
        with output.step(3, STEPS, "Data: real flights into the lake"):
            load_tables(where, "flights")
        # What serving takes seconds to import, while this process waits for the training.
        Thread(target=import_module, args=("mlflow",), daemon=True).start()
        with output.step(4, STEPS, "Model 1, trained on January to June"):
            first = self.train(self.path, FIRST_SPLIT)
        with output.step(5, STEPS, "Serving"):
            self.serve(first)
        with output.step(6, STEPS, "A good canary, trained on January to August"):
            second = self.train(self.path, {})
            self.roll_out(second, "A good canary", expected=Phase.PROMOTED)
        with output.step(7, STEPS, "A bad canary: it fails where the plane is unknown"):
            third = self.train(broken_model(self.path.parent, where.root / "examples"), {})
            self.roll_out(third, "A bad canary", expected=Phase.ROLLED_BACK)
        with output.step(8, STEPS, "Report"):
            self.report()
        output.say(
            f"\n[bold green]done[/] in {time.monotonic() - began:.0f} s; all of it still runs"
        )
        output.say("    millwright status | predict | ui | destroy")

    def train(self, path: Path, days: dict[str, dt.date]) -> TrainingResult:
        """Train, and keep it for the report."""
        result = train_here(self.where, path, dict(days), self.runs)
        steps = {step.step: step.seconds for step in result.steps}
        story = TrainingStory(version=result.version, evaluation=result.evaluation, steps=steps)
        self.trainings.append(story)
        return result

    def serve(self, result: TrainingResult) -> None:
        """The first version takes all traffic; one prediction shows it."""
        status = show(begin(self.where, self.spec, result.version, PACE))
        if status.stable is None or status.stable.version != result.version:
            raise RolloutError(f"version {result.version} does not serve", where=MODEL)
        tested = result.evaluation.start.date(), result.evaluation.end.date()
        row = example_rows(*feature_table(result), *tested, count=1)[0]
        with self.where.client(MODEL) as client:
            show_prediction(client.infer([row.features]))
        output.console.print("    the same, without Millwright:", style="dim")
        output.console.print(
            curl_line(self.where, MODEL, row.features), soft_wrap=True, markup=False
        )

    def roll_out(self, result: TrainingResult, title: str, *, expected: Phase) -> None:
        """One canary under October's traffic, with the true outcomes coming back."""
        rollout = rollouts_of(self.where).rollout(self.spec)
        with self.traffic(result):
            status = self.verdict(begin(self.where, self.spec, result.version, PACE, retry=True))
        began = status.started or 0.0
        self.stories.append(
            RolloutStory(
                title=f"{title}: version {result.version}",
                spec=rollout.plan(),
                status=status,
                decisions=[decision for decision in rollout.history() if decision.at >= began],
            )
        )
        if status.phase is not expected:
            raise RolloutError(
                f"the demo expected {expected}, but it is {status.phase}: {status.reason}",
                where=f"{MODEL} version {result.version}",
            )

    def verdict(self, begun: WatchedRollout) -> RolloutStatus:
        """Watch until it is over; here a rollback is not a failure."""
        try:
            return show(begun)
        except RejectedError:
            return rollouts_of(self.where).rollout(self.spec).status()

    @contextmanager
    def traffic(self, result: TrainingResult) -> Iterator[None]:
        """October's flights as requests, while it lasts; says what the clients saw."""
        table, document = feature_table(result)
        start, until = OCTOBER
        with self.where.client(MODEL) as client:
            url = client.url.split("/v2/")[0]
        with self.where.tracking() as tracking_uri:
            artifact, _ = ModelRegistry(tracking_uri).get(MODEL, result.version)
        with replaying(
            self.where.root,
            url=url,
            artifact=artifact,
            table=table,
            document=document,
            start=start,
            until=until,
            rate=RATE,
        ) as tallied:
            yield
        tally = tallied()
        output.say("    [dim]as the clients saw it:[/]")
        output.say("")
        if not output.as_json:
            output.console.print(
                pairs(
                    {
                        "requests": dict(tally.requests),
                        "failed": dict(tally.failures) or "none",
                        "unreachable": tally.unreachable,
                        "outcomes reported": tally.feedback,
                    }
                )
            )

    def report(self) -> None:
        """The page."""
        resources = by_concern((resource.urn, resource.type) for resource in self.stack.resources())
        page = write_report(
            self.where.root / REPORT_FILE,
            environment=self.where.name,
            resources=resources,
            trainings=self.trainings,
            rollouts=self.stories,
            written=dt.datetime.now().astimezone(),
        )
        output.say(f"    {page}")


def feature_table(result: TrainingResult) -> tuple[Path, FeatureTable]:
    """The engineered table of a run, and its document."""
    folder = Path(result.location)
    table = output_of(folder, "engineer", "features")
    document = output_of(folder, "engineer", "table")
    if table is None or document is None:
        raise RolloutError("the run's feature table is gone", where=result.location)
    return table, FeatureTable.load(document)
