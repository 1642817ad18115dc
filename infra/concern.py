"""What the concerns share: what each tells of itself, their place in the stack and their names.

A concern is one class in one module: its resources, the keys of its data, its alarms, who may use
it and what users are given. Whoever gathers these (the keys, the roles, the alarms, the outputs)
asks every concern and names none, so that a new concern is a module and a line in the list.

Those that make AWS resources are ComponentResources, so that a plan reads like the architecture:
the type of a resource's parent says what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pulumi

from contracts.environment import Environment
from contracts.errors import InfrastructureError
from contracts.images import PushedImages
from infra.alarm import Alarm
from infra.naming import Names, own_tags
from infra.policies import Statement

Outputs = Mapping[str, pulumi.Input[object]]
"""Fields of ``PlatformOutputs``."""
Grants = Mapping[str, Sequence[Statement]]
"""Rights by workload."""


@dataclass(frozen=True, kw_only=True)
class DataClass:
    """A class of data, which has a KMS key of its own."""

    services: tuple[str, ...] = ()
    """The AWS services through which the account's people and roles use the key; none: any."""
    statements: Callable[[Names], Sequence[Statement]] | None = None
    """What the key's policy allows to others: to AWS's own services, say."""
    by_account: bool = True
    """Whether the account's people and roles may use it at all."""


class Concern:
    """One part of an environment, as those who gather know it."""

    def __init__(self, platform: Platform) -> None:
        self.environment = platform.environment
        self.names = Names.of(platform.environment)

    @classmethod
    def enabled(cls, environment: Environment) -> bool:
        """Whether an environment has it."""
        return True

    @classmethod
    def data(cls, environment: Environment) -> Mapping[str, DataClass]:
        """The classes of data that it keeps, each with a key of its own."""
        return {}

    def alarms(self) -> Iterable[Alarm]:
        """When someone has to act."""
        return ()

    def grants(self) -> Grants:
        """Which workloads may use it, and how."""
        return {}

    def outputs(self) -> Outputs:
        """What users of the environment are given."""
        return {}


AnyConcern = TypeVar("AnyConcern", bound=Concern)


class Platform:
    """The concerns of one environment, in the order in which they are made.

    Args:
        environment: the document.
        kinds: every concern that there is; each uses only those before it.
        opts: what all of them share: the provider.
        pushed: the images in the environment's registry, where that is known.
    """

    def __init__(
        self,
        environment: Environment,
        kinds: Sequence[type[Concern]],
        opts: pulumi.ResourceOptions,
        pushed: PushedImages | None = None,
    ) -> None:
        self.environment = environment
        self.kinds = tuple(kind for kind in kinds if kind.enabled(environment))
        self.opts = opts
        self.pushed = pushed
        self._made: dict[type[Concern], Concern] = {}
        for kind in self.kinds:
            self._made[kind] = kind(self)

    def __getitem__(self, kind: type[AnyConcern]) -> AnyConcern:
        """A concern that is there.

        Raises:
            InfrastructureError: it is not, or not yet.
        """
        concern = self.get(kind)
        if concern is None:
            raise InfrastructureError(
                f"{kind.__name__} is used before it is made, or where it is not enabled",
                where="infra/stack.py: CONCERNS",
                fix="Put it further up in the list, or ask for it with `get`.",
            )
        return concern

    def get(self, kind: type[AnyConcern]) -> AnyConcern | None:
        """A concern that not every environment has."""
        concern = self._made.get(kind)
        return concern if isinstance(concern, kind) else None

    def __iter__(self) -> Iterator[Concern]:
        """The concerns that are made, in their order."""
        return iter(self._made.values())

    def data(self) -> dict[str, DataClass]:
        """Every class of data of the environment."""
        classes: dict[str, DataClass] = {}
        for kind in self.kinds:
            merge(classes, kind.data(self.environment), kind, "the class of data")
        return classes

    def alarms(self) -> list[Alarm]:
        """The alarms of every concern that is made."""
        return [alarm for concern in self for alarm in concern.alarms()]

    def grants(self) -> dict[str, list[Statement]]:
        """Every workload's rights, in the order of the concerns that grant them."""
        rights: dict[str, list[Statement]] = {}
        for concern in self:
            for workload, statements in concern.grants().items():
                rights.setdefault(workload, []).extend(statements)
        return rights

    def outputs(self) -> dict[str, pulumi.Input[object]]:
        """What the environment gives its users: the fields of ``PlatformOutputs``."""
        outputs: dict[str, pulumi.Input[object]] = {
            "environment": self.environment.name,
            "region": self.environment.region,
            "account_id": self.environment.account,
        }
        for concern in self:
            merge(outputs, concern.outputs(), type(concern), "the output")
        return outputs


AnyValue = TypeVar("AnyValue")


def merge(
    into: dict[str, AnyValue], more: Mapping[str, AnyValue], kind: type[Concern], what: str
) -> None:
    """Add what a concern tells; two concerns that tell the same thing are a mistake.

    Raises:
        InfrastructureError: a name is taken.
    """
    if taken := sorted(into.keys() & more.keys()):
        raise InfrastructureError(
            f"{what} {taken[0]!r} is another concern's already", where=f"infra: {kind.__name__}"
        )
    into.update(more)


class AwsConcern(Concern, pulumi.ComponentResource):
    """A concern that makes AWS resources.

    Args:
        name: the concern's name: of the component, and in the tag ``millwright:concern``.
        platform: the environment, and the concerns made before.
    """

    def __init__(self, name: str, platform: Platform) -> None:
        Concern.__init__(self, platform)
        pulumi.ComponentResource.__init__(
            self, f"millwright:aws:{type(self).__name__}", name, {}, platform.opts
        )
        self.concern = name

    def tags(self, name: str) -> dict[str, str]:
        """A resource's own tags."""
        return own_tags(self.concern, name)

    def child(
        self, *, holds_data: bool = False, after: Sequence[pulumi.Resource] = ()
    ) -> pulumi.ResourceOptions:
        """Options of a resource here; what holds data is protected where the tier says so."""
        return pulumi.ResourceOptions(
            parent=self,
            protect=True if holds_data and self.environment.retention.protect else None,
            depends_on=list(after) or None,
        )


def days(seconds: float) -> int:
    """Durations of the document are seconds; AWS counts in days."""
    return round(seconds / 86400)
