"""A guard that nobody has written yet, added as a row: refused responses (4xx), of the servers'.

Run as a program by test_signals.py: a row is added before anything is made from the table, which
can be done once in a process. Counts nothing new, so it is one row and its reading; prints what
came of it everywhere as one JSON object.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from contracts import signals
from serving import metrics

signals.TALLIES.append(
    signals.Tally(name="refused", source="servers", meaning="Of the timed, refused requests.")
)
signals.SIGNALS.append(
    signals.Signal(name="refusals", title="refused requests", total="timed", bad="refused")
)
metrics.READINGS["refused"] = (
    metrics.Series(metric=metrics.REQUESTS, labels={metrics.CODE: "4.."}),
)

# ruff: noqa: E402  What follows is made from the table when it is imported.
from rich.console import Console

from cli.rollout_tables import decision_table
from contracts.custom_resource import ModelRolloutSpec, crd
from contracts.errors import DocumentError
from contracts.rollout import WHOLE, Counters, RolloutSpec, RolloutStatus, Target
from laptop.ports import counters
from laptop.report import RolloutStory, write_report
from laptop.serving.telemetry import PredictorCounters, parse_metrics
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import Observation, Observed
from serving.runtime.counters import Counters as ServerCounters
from tests.unit.rollout.test_prometheus import own, telemetry

PLAN = RolloutSpec.parse({"interval": "10s", "guards": {"refusals": {"tolerate": 2}}})


def target(version: str) -> Target:
    return Target(version=version, uri=f"file:///{version}")


def judged(bad: float) -> RolloutStatus:
    """A candidate that refuses this share of its requests, looked at until the verdict."""
    status = RolloutStatus(model="m", stable=target("1"), wanted={"v1": WHOLE})
    weights, served, now = {"v1": WHOLE}, {"v1": [0, 0]}, 1.7e9
    for _ in range(60):
        observed = {name: Observed(ready=True, weight=weight) for name, weight in weights.items()}
        counted = {
            name: Counters(
                epoch="e",
                requests=total,
                errors=0,
                servers="s",
                timed=total,
                refused=refused,
            )
            for name, (total, refused) in served.items()
        }
        seen = Observation(wanted=target("2"), predictors=observed, counters=counted)
        status, _ = decide(PLAN, status, seen, now)
        if status.phase in ("RollingBack", "Promoting"):
            return status
        weights = dict(status.wanted)
        for name, weight in weights.items():
            before = served.setdefault(name, [0, 0])
            total = 5_000 * weight // WHOLE
            refused = round(total * (bad if name == "v2" else 0.01))
            served[name] = [before[0] + total, before[1] + refused]
        now += PLAN.interval
    return status


def read_on_the_laptop() -> int | None:
    server = ServerCounters({metrics.MODEL: "m"}, 0.05, [0.5])
    for code in (200, 200, 400, 422, 500):
        server.request(code, 0.01)
    replica = parse_metrics(server.text().decode(), process="p", slow_over="50ms")
    whole = PredictorCounters(
        name="v1",
        version="1",
        source="envoy",
        gateway={"requests": 5, "errors": 1},
        replicas=(replica,),
        silent=0,
    )
    return counters(whole).count("refused")


def read_in_a_cluster() -> int | None:
    samples = [
        own(metrics.REQUESTS, "v1", 90, code="200"),
        own(metrics.REQUESTS, "v1", 7, code="404"),
        own("millwright_request_seconds_count", "v1", 97),
    ]
    known = telemetry({"__name__": samples}).read()
    assert known is not None
    return known["v1"].count("refused")


def misspelt() -> str:
    try:
        RolloutSpec.parse({"guards": {"refusal": {}}})
    except DocumentError as error:
        return str(error)
    return ""


def main() -> None:
    worse, alike = judged(0.5), judged(0.01)
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(decision_table(worse.decisions, PLAN))
    story = RolloutStory(title="t", spec=PLAN, status=worse, decisions=worse.decisions)
    with TemporaryDirectory() as folder:
        page = write_report(
            Path(folder) / "report.html",
            environment="local",
            resources=(),
            trainings=(),
            rollouts=[story],
            written=datetime.now(UTC),
        ).read_text()
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]  # type: ignore[index]
    guards = schema["properties"]["spec"]["properties"]["plan"]["properties"]["guards"]
    cluster = {
        "artifact": {"version": "2", "uri": "s3://a/2"},
        "plan": {"guards": {"refusals": {}}},
    }
    came = {
        "plan": PLAN.guards.compared()["refusals"].tolerate,
        "cluster": list(ModelRolloutSpec.parse(cluster).plan.guards.compared()),
        "misspelt": misspelt(),
        "worse": [worse.phase, worse.reason],
        "alike": [alike.phase, alike.reason],
        "crd": guards["properties"]["refusals"]["description"],
        "rule": guards["x-kubernetes-validations"][0]["rule"],
        "counters": "refused"
        in RolloutStatus.model_json_schema()["$defs"]["Counters"]["properties"],
        "table": console.export_text(),
        "report": page,
        "laptop": read_on_the_laptop(),
        "prometheus": read_in_a_cluster(),
    }
    print(json.dumps(came))


if __name__ == "__main__":
    main()
