"""An environment that stands, is disturbed, and is compared with what its state says.

Shared by the tests of this folder and by `benchmarks.faults`. The compared sides know nothing of
each other: the inventory asks AWS's own calls, service by service, for everything in the account,
whatever its tags; the state is the engine's file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from botocore.httpsession import URLLib3Session

from account.inventory import Leftover, inventory
from pocket import emulator as cloud
from pocket.emulator.core.faults import READING
from pocket.engine import Op, ResourceState, Result, Workspace, destroy, refresh, resources, up
from pocket.errors import DeploymentError
from pocket.provider.aws import Clients, session_of
from pocket.provider.provider import AwsProvider
from pocket.supervisor import Supervisor

PROJECT = Path(__file__).resolve().parents[3]
STACK = "local"


@dataclass
class Standing:
    """A copy of the project in a folder of its own, with its own cloud.

    Args:
        project: the copy's folder.
        program: the folder of the program to copy, as ``infra``.
        parallel: how many resources are worked on at once.
    """

    project: Path
    program: Path = PROJECT / "infra"
    parallel: int = 16
    endpoints: cloud.CloudEndpoints = field(init=False)

    def __post_init__(self) -> None:
        self.copy()
        self.endpoints = cloud.start(self.root, region="eu-central-1")

    def copy(self) -> None:
        """Put the project's documents and the program into the folder."""
        self.project.mkdir(parents=True, exist_ok=True)
        for name in ("Pulumi.yaml", *(path.name for path in PROJECT.glob("Pulumi.*.yaml"))):
            shutil.copy(PROJECT / name, self.project / name)
        bare = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self.program, self.project / "infra", ignore=bare)

    @classmethod
    def found(cls, project: Path) -> Standing:
        """One whose copy of the project is there already, and whose cloud runs."""
        made = cls.__new__(cls)
        made.project, made.parallel = project, 16
        running = cloud.find(made.root, region="eu-central-1")
        assert running, f"no cloud runs in {made.root}"
        made.endpoints = running
        return made

    @property
    def root(self) -> Path:
        """Where the environment's processes are kept."""
        return self.project / ".millwright" / STACK

    @property
    def workspace(self) -> Workspace:
        return Workspace(
            root=self.project,
            stack=STACK,
            program=self.project / "infra",
            providers={"aws": AwsProvider},
            parallel=self.parallel,
            state_folder=".millwright",
        )

    @contextmanager
    def connected(self) -> Iterator[Standing]:
        """Until the end of the block, this process's AWS clients speak to its cloud."""
        with patch.dict(os.environ, cloud.environment(self.endpoints)):
            yield self

    def close(self) -> None:
        Supervisor(self.root).stop_all()

    # -- the document --------------------------------------------------------------------------

    @contextmanager
    def changed(self, **settings: Any) -> Iterator[None]:
        """The environment's document with some settings added, until the end of the block."""
        path = self.project / f"Pulumi.{STACK}.yaml"
        before = path.read_text()
        document = yaml.safe_load(before)
        document["config"]["millwright:environment"].update(settings)
        path.write_text(yaml.safe_dump(document))
        try:
            yield
        finally:
            path.write_text(before)

    # -- the cloud -----------------------------------------------------------------------------

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Let calls fail by these rules; without any, none."""
        self._ask("POST" if rules else "DELETE", rules)

    def struck(self) -> Counter[str]:
        """Which calls have failed since the rules were set."""
        counted: Counter[str] = Counter()
        for rule in self._ask("GET"):
            counted.update(rule["calls"])
        return counted

    def _ask(self, method: str, rules: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            f"{self.endpoints.endpoint_url}/_pocket/faults",
            method=method,
            data=json.dumps(list(rules)).encode() if rules else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            found: list[dict[str, Any]] = json.load(answer)["rules"]
            return found

    def there(self, environment: str | None = None) -> list[Leftover]:
        """Everything that exists in the account."""
        return inventory(self.clients, environment)

    @cached_property
    def clients(self) -> Clients:
        """Made once: the survey has thirty of them."""
        return Clients(session_of(self.endpoints.region))

    # -- the state -----------------------------------------------------------------------------

    def managed(self) -> list[ResourceState]:
        """The resources of AWS that the state holds."""
        return [one for one in resources(self.workspace) if one.type.startswith("aws:")]

    def wrong(self) -> list[str]:
        """What differs between the program, its state and AWS; empty when all agree."""
        states = self.managed()
        names = [_names(state) for state in states]
        tagged = {one.arn for one in self.there(STACK)}
        problems = [
            f"an orphan or a duplicate: {one}"
            for one in self.there()
            if not any(_called(one) & each for each in names)
            and (one.arn in tagged or (one.service, one.kind) not in MADE_BY_AWS)
        ]
        twice = Counter(state.urn for state in states)
        problems += [f"twice in the state: {urn}" for urn, count in twice.items() if count > 1]
        problems += [
            f"gone, but in the state: {step.urn}"
            for step in refresh(self.workspace).changes
            if step.op is Op.DELETE
        ]
        again = up(self.workspace)
        return problems + [f"not settled: {step.op} {step.urn}" for step in again.changes]

    def destroy(self) -> list[Leftover]:
        """Remove everything; what is there nevertheless."""
        self.faults()
        destroy(self.workspace)
        return self.there()


def _names(state: ResourceState) -> set[str]:
    """What AWS may call a resource of the state."""
    given = (state.outputs.get(key) for key in ("arn", "name", "allocationId"))
    return {state.id, *(value for value in given if isinstance(value, str))}


def _called(one: Leftover) -> set[str]:
    return {one.id, one.arn, one.id.rsplit("/", 1)[-1]}


MADE_BY_AWS = {
    ("ec2", "network-interface"),
    ("ec2", "network-acl"),
    ("ec2", "route-table"),
    ("ec2", "security-group"),
    ("elasticache", "cluster"),
    ("secretsmanager", "secret"),
}
"""What services make beside what was asked of them (a cache's nodes, a gateway's interface, the
parts that each VPC comes with, a database's secret), without our tags.
"""


# --- interruptions --------------------------------------------------------------------------------


def run_until_settled(
    run: Callable[[], Result], tries: int, told: Callable[[str], None] = lambda text: None
) -> Result:
    """Run `up` again as long as it fails, as a person would.

    Raises:
        DeploymentError: it still fails after so many tries.
    """
    for attempt in range(1, tries + 1):
        try:
            return run()
        except DeploymentError as failure:
            told(f"{attempt}: {failure.where.rpartition('::')[2]}: {failure.what}")
            if attempt == tries:
                raise
    raise AssertionError("unreachable")


def killed_at(number: int, *, after: bool) -> None:
    """Let this process kill itself at its number-th call that may change something, before it is
    sent or after it is answered.
    """
    send = URLLib3Session.send
    count = 0

    def counted(self: URLLib3Session, request: Any) -> Any:
        nonlocal count
        if not _changes(request):
            return send(self, request)
        count += 1
        here = count == number
        if here and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = send(self, request)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    URLLib3Session.send = counted


def _changes(request: Any) -> bool:
    target = _text(request.headers.get("X-Amz-Target"))
    body = _text(request.body)
    action = body.removeprefix("Action=").split("&")[0] if body.startswith("Action=") else ""
    named = target.rpartition(".")[2] or action
    return request.method not in ("GET", "HEAD") and not (named and READING.match(named))


def _text(value: Any) -> str:
    """A header or a body, which botocore has as text or as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def in_child(action: Callable[[], object]) -> int:
    """Do something in a forked process; its exit status, negative for a signal."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except DeploymentError as failure:
            print(failure, file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_in_turn(standing: Standing, every: int, limit: int) -> list[int]:
    """Run `up` until it ends by itself, killing each at its so many-th call that may change
    something; after ``limit`` of them, none is killed.

    Returns:
        the exit status of each run; the last is 0 when the chain came to its end.
    """
    statuses: list[int] = []

    def doomed() -> None:
        if len(statuses) < limit:
            killed_at(every, after=len(statuses) % 2 == 0)
        up(standing.workspace)

    while not statuses or (statuses[-1] == -signal.SIGKILL and len(statuses) <= limit):
        statuses.append(in_child(doomed))
    return statuses
