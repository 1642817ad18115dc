"""A Pulumi program under test: brought up on the emulator, looked at, and taken down with a proof.

A test of a program needs four things that none of the parts gives alone: its state apart from the
checkout's, an account in which nothing stands yet, clients that cannot reach anything else, and the
certainty that what it made is gone afterwards. They are put together here; the fixture `pocket`
(`pytest_plugin`) opens and closes them.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pocket import emulator
from pocket.errors import DeploymentError
from pocket.supervisor import Supervisor

if TYPE_CHECKING:
    import boto3

    from pocket.engine import Plan, ProviderFactory, ResourceState, Result, Workspace

STACK = "test"
"""The stack's name unless a test says otherwise."""
PRIVATE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")
"""Settings of the person's own that would lead clients elsewhere."""
NOWHERE = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class LeftoverError(DeploymentError):
    """A stack is destroyed, and something that it made is still there."""


@dataclass
class Stack:
    """One stack of a program.

    Args:
        workspace: the program, its settings and where its state lies.
        cloud: the emulator that it is brought up on.
    """

    workspace: Workspace
    cloud: Emulator
    _made: set[str] = field(default_factory=set)

    def preview(self) -> Plan:
        """What `up` would change.

        Raises:
            DeploymentError: the program, its settings or one of its resources is wrong.
        """
        from pocket import engine

        return engine.preview(self.workspace)

    def up(self, config: Mapping[str, object] | None = None) -> Result:
        """Bring the stack to what the program says.

        Args:
            config: settings over those that it has had so far.

        Raises:
            DeploymentError: the first thing that failed; what was done until then is kept.
        """
        from pocket import engine

        if config:
            self.workspace = _configured(self.workspace, config)
        with self._counted():
            return engine.up(self.workspace)

    def refresh(self) -> Result:
        """Take what is really there into the state: drift shows as updates and deletions."""
        from pocket import engine

        return engine.refresh(self.workspace)

    def destroy(self) -> Result:
        """Delete every resource of the stack, and prove that nothing that it made is left.

        Raises:
            DeploymentError: a deletion failed.
            LeftoverError: something is still there, whether the state knows it or not.
        """
        from pocket import engine

        result = engine.destroy(self.workspace)
        left = sorted(self._made & set(self.cloud.census()))
        if left:
            raise LeftoverError(
                f"{len(left)} thing(s) that it made are still there: {', '.join(left)}",
                where=f"stack {self.workspace.stack}",
                fix="Let the program delete them (`force_destroy`, `skip_final_snapshot`).",
            )
        self._made.clear()
        return result

    @property
    def outputs(self) -> dict[str, Any]:
        """What the program exports, secrets in the clear."""
        from pocket import engine

        return engine.outputs(self.workspace)

    @property
    def resources(self) -> tuple[ResourceState, ...]:
        """What the stack's state holds."""
        from pocket import engine

        return engine.resources(self.workspace)

    def resource(self, type: str, name: str = "") -> ResourceState:
        """The one resource of a type (``aws:s3/bucket:Bucket``), or the one of that name.

        Raises:
            LookupError: there is none, or there are several.
        """
        fitting = [
            each
            for each in self.resources
            if each.type == type and name in ("", each.urn.rpartition("::")[2])
        ]
        if len(fitting) != 1:
            known = sorted({each.type for each in self.resources})
            raise LookupError(f"{len(fitting)} resources are {type} {name}; there are {known}")
        return fitting[0]

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Note what comes to be in the account meanwhile, whoever makes it."""
        before = set(self.cloud.census())
        try:
            yield
        finally:
            self._made |= set(self.cloud.census()) - before


class Emulator:
    """The AWS APIs that tests speak to.

    Args:
        folder: where it keeps its data.
        region: the region of clients and programs that name none.
    """

    def __init__(self, folder: Path, region: str = "us-east-1") -> None:
        self.folder = folder
        with _apart():
            self.endpoints = emulator.start(folder, region=region)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.endpoints.endpoint_url

    @property
    def region(self) -> str:
        """The region of clients and programs that name none."""
        return self.endpoints.region

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Until the end of the block this process's AWS clients can reach nothing else."""
        with _apart(), patch.dict(os.environ, emulator.environment(self.endpoints)):
            yield

    def census(self) -> list[str]:
        """Everything that there is, by name, whoever made it."""
        names: list[str] = self._ask("census")["there"]
        return names

    def reset(self) -> None:
        """Forget everything, as if it had just been started for the first time."""
        self._ask("reset", method="POST")

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Let calls fail by these rules (see `pocket.emulator.core.faults.Rule`); none: no more."""
        self._ask("faults", method="POST" if rules else "DELETE", body=list(rules) or None)

    def close(self) -> None:
        """End it, and all that it started."""
        Supervisor(self.folder).stop_all()

    def _ask(self, what: str, *, method: str = "GET", body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_pocket/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            return json.load(answer)


class Pocket:
    """What a test gets: programs are brought up, and real boto3 clients see what they made.

    Args:
        cloud: the emulator, reset for this test.
        folder: the test's own, for states.
    """

    def __init__(self, cloud: Emulator, folder: Path) -> None:
        self.cloud = cloud
        self._folder = folder
        self._stacks: list[Stack] = []

    @property
    def url(self) -> str:
        """Where the AWS APIs answer."""
        return self.cloud.url

    @property
    def region(self) -> str:
        """The region of clients and programs that name none."""
        return self.cloud.region

    def stack(
        self,
        program: str | os.PathLike[str],
        *,
        config: Mapping[str, object] | None = None,
        name: str = STACK,
        providers: Mapping[str, ProviderFactory] | None = None,
    ) -> Stack:
        """A stack of a program; nothing is made yet.

        Args:
            program: its folder or main file; ``Pulumi.yaml`` is at or above it.
            config: settings by ``project:key`` or plain key, over those of ``Pulumi.<name>.yaml``.
                What is no text is given as JSON, as Pulumi keeps it.
            name: the stack's name, as in ``Pulumi.<name>.yaml``.
            providers: what serves other packages than ``aws``.
        """
        from pocket.engine import Workspace
        from pocket.provider.provider import AwsProvider

        served: dict[str, ProviderFactory] = {"aws": AwsProvider, **(providers or {})}
        workspace = Workspace(
            root=self._folder / str(len(self._stacks)),
            stack=name,
            program=Path(program).resolve(),
            providers=served,
        )
        workspace.root.mkdir(parents=True)
        stack = Stack(_configured(workspace, config or {}), self.cloud)
        self._stacks.append(stack)
        return stack

    def up(
        self,
        program: str | os.PathLike[str],
        *,
        config: Mapping[str, object] | None = None,
        name: str = STACK,
        providers: Mapping[str, ProviderFactory] | None = None,
    ) -> Stack:
        """A stack of a program, brought up; arguments as for `stack`.

        Raises:
            DeploymentError: something failed; what was made until then goes at the test's end.
        """
        stack = self.stack(program, config=config, name=name, providers=providers)
        stack.up()
        return stack

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client: ``pocket.client("s3")``."""
        return self.session().client(service, **options)

    def session(self, region: str = "") -> boto3.Session:
        """A boto3 session whose clients and resources see what the programs made."""
        import boto3

        return boto3.Session(
            aws_access_key_id=self.cloud.endpoints.access_key_id,
            aws_secret_access_key=self.cloud.endpoints.secret_access_key,
            region_name=region or self.region,
        )

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Let AWS fail: ``{"kind": "throttle", "service": "dynamodb", "operation": "Create*"}``."""
        self.cloud.faults(*rules)

    def close(self) -> None:
        """Destroy every stack, last made first.

        Raises:
            DeploymentError: a deletion failed, or something is left; the others are destroyed
            nevertheless.
        """
        self.cloud.faults()
        failure: DeploymentError | None = None
        while self._stacks:
            stack = self._stacks.pop()
            if not stack.workspace.store().directory.exists():
                continue  # never brought up
            try:
                stack.destroy()
            except DeploymentError as error:
                failure = failure or error
        if failure:
            raise failure


@contextmanager
def _apart() -> Iterator[None]:
    """Without the person's own settings of AWS."""
    kept = {name: value for name, value in os.environ.items() if name not in PRIVATE}
    with patch.dict(os.environ, {**kept, **NOWHERE}, clear=True):
        yield


def _configured(workspace: Workspace, config: Mapping[str, object]) -> Workspace:
    from dataclasses import replace

    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    return replace(workspace, config={**workspace.config, **texts})
