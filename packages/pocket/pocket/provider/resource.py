"""The vocabulary in which a resource type is written down: which calls, which properties, which
exceptions.

A provider for sixty types is sixty rows in a table, not sixty programs. A row (``ResourceType``)
names the calls that create, read, change and delete; a ``Facet`` is a set of properties that one
call of its own writes. What a change comes to is not said here but in ``changes.json`` and
``conditions.py``, from the real plugin's source; where that changes in place what no facet writes,
an update refuses. What a row cannot say in these words it says with a function.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jmespath

from pocket.provider.aws import Aws
from pocket.provider.schema import TypeSchema, schema_of
from pocket.provider.shapes import Names, Problem
from pocket.provider.values import Properties

URN_TAG = "pocket:urn"


@dataclass
class Subject:
    """One resource in one operation.

    ``inputs`` are the wanted ones, ``olds`` the inputs before (empty at creation), ``outputs`` the
    state before; all plain, without secret marks or unknowns.
    """

    row: "ResourceType"
    aws: Aws
    urn: str = ""
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    olds: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        """A property as wanted, else as it was."""
        for source in (self.inputs, self.outputs):
            if source.get(name) is not None:
                return source[name]
        return default

    def changed(self, name: str) -> bool:
        return bool(self.inputs.get(name) != self.olds.get(name))

    @property
    def region(self) -> str:
        return str(self.get("region") or self.aws.region)

    def client(self, service: str = "") -> Any:
        return self.aws.client(service or self.row.service, self.region)

    def arn(self, resource: str, service: str = "") -> str:
        return self.aws.arn(service or self.row.service, resource, region=self.region)


Source = Callable[[Subject], Any]
Hook = Callable[[Subject], Any]


def the_id(subject: Subject) -> str:
    return subject.id


def prop(name: str, default: Any = None) -> Source:
    """The value of a property, as wanted or as it was."""
    return lambda subject: subject.get(name, default)


def the_arn(subject: Subject) -> Any:
    return subject.get("arn")


def id_part(index: int, separator: str) -> Source:
    """A part of a compound id."""
    return lambda subject: subject.id.split(separator)[index]


def joined(separator: str, *names: str) -> Source:
    """Properties joined to an id."""
    return lambda subject: separator.join(str(subject.get(name)) for name in names)


@dataclass(frozen=True, kw_only=True)
class Call:
    """An AWS call: its operation (boto3's method), fixed or computed parameters, and properties by
    name.

    ``properties`` None takes those of the facet, or at creation all. ``into`` is the structure
    among the parameters in which properties are put that no parameter carries.
    """

    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    properties: tuple[str, ...] | None = None
    into: str = ""
    service: str = ""
    only_changed: bool = False  # an update that names what it leaves alone would change it
    # From the inputs to the inputs in AWS's arrangement.
    prepare: Callable[[Properties], Properties] | None = None


@dataclass(frozen=True, kw_only=True)
class Read:
    """An AWS call that describes the resource, or a part of it; ``path`` (JMESPath) leads to the
    description.

    ``absent`` are error codes that mean "not there" besides those whose name says so.
    """

    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    path: str = "@"
    absent: tuple[str, ...] = ()
    service: str = ""
    extra: Hook | None = None  # more of the description, merged in

    def find(self, response: Mapping[str, Any]) -> Any:
        return jmespath.search(self.path, response)


@dataclass(frozen=True, kw_only=True)
class Facet:
    """Properties that calls of their own write.

    ``put`` writes them, ``clear`` resets them when none is wanted any more (without it, ``put``
    runs then too). ``at_creation``: written after the creating call as well, when any is set.
    ``read`` describes them; what it finds is None or properties.
    """

    properties: tuple[str, ...]
    put: Call | Hook
    clear: Call | Hook | None = None
    read: Read | Hook | None = None
    at_creation: bool = True


@dataclass(frozen=True, kw_only=True)
class Tags:
    """How a service tags: a member of the creating call (empty: tagged right after it), calls to
    add and remove (or a hook that writes them all), where they are read."""

    at_creation: str = "Tags"
    put: str = "tag_resource"
    remove: str = "untag_resource"
    target: str = "ResourceArn"
    put_member: str = "Tags"
    remove_member: str = "TagKeys"
    identity: Source = the_arn
    read: Read | None = None
    path: str = "Tags"
    write: Hook | None = None
    kind: str = ""  # EC2: the resource type in a tag specification


@dataclass(frozen=True, kw_only=True)
class Name:
    """A property that Pulumi names when the program does not: ``<logical name>-<7 hex digits>``."""

    property: str = "name"
    longest: int = 255
    lower: bool = False
    prefix: str = ""  # the property that gives a prefix instead
    separator: str = "-"
    start: str = ""  # what every such name begins with (``alias/``)


@dataclass(frozen=True, kw_only=True)
class Wait:
    """States on the way: ``path`` in the description; until ``ready``, never through ``failed``."""

    path: str
    ready: tuple[str, ...]
    failed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


Rule = Callable[[Properties], Iterable[Problem]]


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One row of the table.

    Identity: ``identity`` computes the id from the inputs alone (a known name: adoption after a
    crash is a read of it); otherwise ``id_path`` finds it in the creating call's response, and
    ``find`` (a read that lists) looks for the one tagged with the URN.
    """

    token: str
    service: str
    create: Call | Hook
    read: Read | Hook
    delete: Call | Hook | None
    identity: Source | None = None
    id_path: str = ""
    find: Hook | None = None
    name: Name | None = None
    facets: tuple[Facet, ...] = ()
    names: Names = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    local: tuple[str, ...] = ()  # properties that steer the provider and reach no call
    secrets: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()  # AWS never tells: kept from the inputs
    filled: tuple[str, ...] = ()  # AWS chooses when not given: leaving it out changes nothing
    normal: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # before comparing
    tags: Tags | None = None
    wait: Wait | None = None
    before_delete: Hook | None = None
    outputs: Callable[[Subject, Any], Properties] | None = None
    computed: Callable[[Subject], Properties] | None = None  # outputs known before creation
    volatile: tuple[str, ...] = ()  # outputs that any update may change
    rules: tuple[Rule, ...] = ()
    absent: tuple[str, ...] = ()
    adopted: bool = False  # AWS made it; "creation" takes it over, deletion lets it go
    setting: bool = False  # of another resource, which has one in any case: nobody else's
    # Tagged after its creation: whether it is as the creating call leaves it, before any tag.
    untouched: Callable[[Subject], bool] | None = None

    @cached_property
    def schema(self) -> TypeSchema:
        return schema_of(self.token)

    @cached_property
    def changeable(self) -> frozenset[str]:
        """The properties that an update can write here."""
        written = {name for facet in self.facets for name in facet.properties}
        always = {"tags", "tagsAll", "timeouts", *self.local}
        return frozenset(written | always)

    @property
    def title(self) -> str:
        """The type as people say it: ``ec2.Vpc``."""
        module = self.token.split(":")[1].split("/")[0]
        return f"{module}.{self.token.rsplit(':', 1)[1]}"
