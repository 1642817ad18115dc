"""What a new concern costs: its settings, its outputs, its class, and its place in the list.

A queue is added to the program as its author would add it, and its resources, key, alarm, rights
and outputs are there, with no other module changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from pulumi_aws import sqs

from contracts.document import Document
from contracts.environment import Environment, PlatformOutputs
from contracts.environment.fields import Section, TierDefaults
from contracts.errors import InfrastructureError
from infra.alarm import Alarm
from infra.concern import AwsConcern, Concern, DataClass, Grants, Outputs, Platform
from infra.identity import Identity
from infra.keys import Keys
from infra.policies import allow
from infra.stack import CONCERNS

HERE = {"name": "test", "tier": "dev", "account": "123456789012", "region": "eu-central-1"}


class QueueSettings(Section):
    """SQS."""

    tiers: ClassVar[TierDefaults] = {"dev": {"kept": 60}}
    enabled: bool = True
    kept: int = 3600


class QueueOutputs(Document):
    """SQS."""

    url: str


class WithQueue(Environment):
    """Environments that may have a queue."""

    queue: QueueSettings = QueueSettings()


class WithQueueOutputs(PlatformOutputs):
    """What they give."""

    queue: QueueOutputs | None = None


class Queue(AwsConcern):
    """The queue."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("queue", platform)
        settings = platform.environment.queue
        self.key_arn = platform[Keys].arns["queue"]
        self.queue = sqs.Queue(
            "work",
            name=self.names.name("work"),
            kms_master_key_id=self.key_arn,
            message_retention_seconds=settings.kept,
            tags=self.tags("work"),
            opts=self.child(holds_data=True),
        )
        self.register_outputs({})

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        return environment.queue.enabled

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        return {"queue": DataClass(services=("sqs",))}

    def alarms(self) -> list[Alarm]:
        return [
            Alarm(
                name="queue-late",
                description="Work waits",
                namespace="AWS/SQS",
                metric="ApproximateAgeOfOldestMessage",
                dimensions={"QueueName": self.queue.name},
                threshold=600,
            )
        ]

    def grants(self) -> Grants:
        send = allow("SendWork", ["sqs:SendMessage"], [self.queue.arn])
        return {"serving": [send]}

    def outputs(self) -> Outputs:
        return {"queue": {"url": self.queue.id}}


def listed(*more: type[Concern]) -> tuple[type[Concern], ...]:
    """The list with concerns before those that gather."""
    place = CONCERNS.index(Identity)
    return (*CONCERNS[:place], *more, *CONCERNS[place:])


def environment(**changed: object) -> WithQueue:
    return WithQueue.parse({**HERE, "on_cluster": {"enabled": False}, **changed})


def test_a_concern_that_is_listed_is_there_in_every_way(run_with: Callable[..., Any]) -> None:
    plan = run_with(environment(), listed(Queue))
    (queue,) = plan.of("sqs/queue:Queue")
    assert queue.urn.split("::")[2] == "millwright:aws:Queue$aws:sqs/queue:Queue"
    assert queue.inputs["messageRetentionSeconds"] == 60
    assert queue.inputs["tags"]["millwright:concern"] == "queue"
    (key,) = (one for one in plan.of("kms/key:Key") if one.name == "queue")
    assert "sqs.eu-central-1.amazonaws.com" in key.inputs["policy"]
    (alarm,) = (one for one in plan.of("MetricAlarm") if one.name == "queue-late")
    assert alarm.inputs["dimensions"] == {"QueueName": "millwright-test-work"}
    (board,) = plan.of("cloudwatch/dashboard:Dashboard")
    assert "ApproximateAgeOfOldestMessage" in board.inputs["dashboardBody"]
    (policy,) = (one for one in plan.of("iam/rolePolicy:RolePolicy") if one.name == "serving")
    assert {"SendWork", "ReadLake", "Publish"} <= {one["Sid"] for one in policy.policy()}
    outputs = WithQueueOutputs.parse(plan.outputs)
    assert outputs.queue == QueueOutputs(url="work-id")
    assert "queue" in outputs.key_arns


def test_a_concern_that_is_off_is_nowhere(run_with: Callable[..., Any]) -> None:
    plan = run_with(environment(queue={"enabled": False}), listed(Queue))
    assert not [one for one in plan.resources if "queue" in one.urn.lower()]
    assert WithQueueOutputs.parse(plan.outputs).queue is None


class Stranger(Queue):
    """Grants to a workload that there is not."""

    def grants(self) -> Grants:
        return {"trainign": [allow("SendWork", ["sqs:SendMessage"], [self.queue.arn])]}


class Twice(Queue):
    """Tells an output that is another's."""

    def outputs(self) -> Outputs:
        return {"lake": {}}


class Copy(Queue):
    """Has a class of data that is another's."""

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        return {"queue": DataClass(), "lake": DataClass()}


@pytest.mark.parametrize(
    ("concerns", "message"),
    [
        (listed(Stranger), "'trainign', which is no workload"),
        (listed(Twice), "the output 'lake' is another concern's"),
        (listed(Copy), "the class of data 'lake' is another concern's"),
        ((Queue, *CONCERNS), "Keys is used before it is made"),
    ],
)
def test_what_does_not_fit_is_refused(
    concerns: tuple[type[Concern], ...], message: str, run_with: Callable[..., Any]
) -> None:
    with pytest.raises(InfrastructureError, match=message):
        run_with(environment(), concerns)


def test_every_workload_has_rights_and_every_grant_a_workload(planned: Callable[..., Any]) -> None:
    plan = planned("dev")
    policies = {one.name for one in plan.of("iam/rolePolicy:RolePolicy") if "Identity" in one.urn}
    assert policies == plan.outputs["roles"].keys()


def test_a_store_without_tables_grants_nothing(planned_from: Callable[..., Any]) -> None:
    plan = planned_from(online_store={"tables": {}}, registry={"repositories": []})
    assert "feature_server" not in plan.outputs["roles"]
    assert "operator" in plan.outputs["roles"]
