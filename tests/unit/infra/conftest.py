"""The program's plan, without an engine: every registration that it sends, in Pulumi's own
messages.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
from filelock import FileLock
from pulumi.runtime import mocks
from pulumi.runtime.stack import run_pulumi_func

from contracts.environment import Environment
from contracts.images import PushedImages
from infra.concern import Concern
from infra.stack import CONCERNS, build

PROJECT = Path(__file__).resolve().parents[3]
STACK = "pulumi:pulumi:Stack"


@dataclass
class Planned:
    """One resource as the program declares it."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool
    provider: str
    ignored: tuple[str, ...]
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """URNs of the resources that each input's value comes from."""

    def policy(self, key: str = "policy") -> list[dict[str, Any]]:
        """The statements of a policy among the inputs."""
        statements: list[dict[str, Any]] = json.loads(self.inputs[key])["Statement"]
        return statements


@dataclass
class Plan:
    """Everything that the program declares, and what it exports."""

    resources: list[Planned] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, type_: str) -> list[Planned]:
        """Resources whose type ends so, such as ``s3/bucket:Bucket``."""
        return [resource for resource in self.resources if resource.type.endswith(type_)]


ANSWERS: dict[str, dict[str, Any]] = {
    "aws:eks/cluster:Cluster": {
        "endpoint": "https://cluster",
        "certificateAuthority": {"data": "Y2VydGlmaWNhdGU="},
        "identities": [{"oidcs": [{"issuer": "https://issuer"}]}],
    },
    "aws:redshift/cluster:Cluster": {
        "masterPasswordSecretArn": "arn:aws:secret",
        "endpoint": "warehouse:5439",
    },
    "aws:redshiftserverless/namespace:Namespace": {"adminPasswordSecretArn": "arn:aws:secret"},
    "aws:redshiftserverless/workgroup:Workgroup": {"endpoints": [{"address": "warehouse"}]},
    "aws:elasticache/replicationGroup:ReplicationGroup": {"primaryEndpointAddress": "cache"},
    "aws:rds/instance:Instance": {
        "address": "database",
        "masterUserSecrets": [{"secretArn": "arn:aws:secret"}],
    },
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
}
"""What AWS adds to the inputs of a type."""

DESCRIBED = (
    "aws:eks/getCluster:getCluster",
    "aws:rds/getInstance:getInstance",
    "aws:elasticache/getCluster:getCluster",
)
LISTS = ("aws:eks/getClusters:getClusters", "aws:dynamodb/getTables:getTables")
"""What the program asks AWS about what stands."""


class Answers(mocks.Mocks):
    """What AWS would answer, as far as the program reads it."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made = {"arn": f"arn:aws:made:::{args.typ.split(':')[-1]}/{args.name}", **args.inputs}
        if args.typ == "aws:ecr/repository:Repository":
            made |= {"repositoryUrl": f"registry/{args.inputs['name']}"}
        return f"{args.name}-id", {**made, **ANSWERS.get(args.typ, {})}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[Any]]:
        """Nothing stands yet; and nothing else may be asked, by a preview without credentials."""
        if args.token in DESCRIBED:
            return {}, [("", "there is none")]
        assert args.token in LISTS, f"{args.token}: a preview without credentials cannot ask AWS"
        return {"names": []}, []


class Monitor(mocks.MockMonitor):
    """Keeps what each registration says beside its inputs, under the URN the engine gives it."""

    def __init__(self) -> None:
        super().__init__(Answers())
        self.planned: list[Planned] = []

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        parents = parent.split("::")[2] if parent else STACK
        qualified = type_ if parents == STACK else f"{parents}${type_}"
        return f"urn:pulumi:{pulumi.get_stack()}::millwright::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != STACK:
            self.planned.append(
                Planned(
                    urn=answer.urn,
                    type=request.type,
                    name=request.name,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object),
                    protect=request.protect,
                    provider=request.provider,
                    ignored=tuple(request.ignoreChanges),
                    dependencies={
                        key: tuple(one.urns) for key, one in request.propertyDependencies.items()
                    },
                )
            )
        return answer


def run_program(
    environment: Environment,
    concerns: Sequence[type[Concern]] = CONCERNS,
    pushed: PushedImages | None = None,
) -> Plan:
    """Run the program once, in a context and an event loop of its own."""
    plan = Plan()

    def go() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        monitor = Monitor()
        mocks.set_mocks(monitor.mocks, "millwright", environment.name, monitor=monitor)

        def program() -> None:
            exported = pulumi.Output.from_input(
                build(environment, pushed, concerns=concerns).outputs()
            )
            exported.apply(lambda values: plan.outputs.update(values))

        loop.run_until_complete(run_pulumi_func(program))
        plan.resources = sorted(monitor.planned, key=lambda planned: planned.urn)
        loop.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(contextvars.Context().run, go).result()
    return plan


@cache
def plan_of(name: str) -> Plan:
    """The plan of one of the project's environments."""
    return run_program(Environment.read(PROJECT / f"Pulumi.{name}.yaml"))


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Plan]:
    """Plans by environment, each made once, by whichever worker asks first."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    @cache
    def plan(name: str) -> Plan:
        file = shared / f"plan.{name}"
        with FileLock(f"{file}.lock"):
            if not file.exists():
                file.write_bytes(pickle.dumps(plan_of(name)))
        made = pickle.loads(file.read_bytes())
        assert isinstance(made, Plan)
        return made

    return plan


@pytest.fixture(scope="session")
def run_with() -> Callable[..., Plan]:
    """The plan of a document with other concerns, or with images that were pushed."""
    return run_program


@pytest.fixture(scope="session")
def planned_from() -> Callable[..., Plan]:
    """The plan of a small environment with some settings changed."""

    def plan(**changed: object) -> Plan:
        document = {
            "name": "test",
            "tier": "dev",
            "account": "123456789012",
            "region": "eu-central-1",
            # Half of the objects, and of the time, where a test is about AWS.
            "on_cluster": {"enabled": False},
            **changed,
        }
        return run_program(Environment.parse(document))

    return plan
