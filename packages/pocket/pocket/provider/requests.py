"""Requests to AWS from a row's words: which operation, with which members, and what it refused."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel

from pocket.errors import DeploymentError
from pocket.provider.aws import Aws, explain, is_gone
from pocket.provider.resource import Call, Hook, Read, ResourceType, Subject
from pocket.provider.shapes import OMIT, Place, Walk, encode, find_member
from pocket.provider.values import Properties

T = TypeVar("T")
STEERING = frozenset({"tags", "tagsAll", "timeouts", "region", "__defaults"})


class RefusedError(DeploymentError):
    """AWS refused the creation, so that nothing of ours is there: least of all what has the name
    already.
    """


def operation_model(aws: Aws, call: Call | Read, row: ResourceType) -> OperationModel:
    """botocore's model of a call's operation."""
    return aws.operation(call.service or row.service, call.operation)


def encode_properties(
    row: ResourceType,
    call: Call,
    inputs: Properties,
    properties: Iterable[str],
    aws: Aws,
    walk: Walk,
) -> dict[str, Any]:
    """The parameters of a call that properties give by their names."""
    shape = operation_model(aws, call, row).input_shape
    members: Mapping[str, Any] = shape.members if shape else {}
    parameters: dict[str, Any] = {}
    if call.prepare is not None:
        inputs = call.prepare(inputs)
        properties = {*properties, *inputs} if call.properties is None else properties
    for name in properties:
        value = inputs.get(name)
        if value is None or name in STEERING or name in row.local:
            continue
        spot = locate(name, members, call, walk)
        if spot is None:
            continue
        outer, member = spot
        holder = members[outer].members if outer else members
        kind = row.schema.inputs.get(name, "any")
        encoded = encode(kind, value, holder[member], Place(name, name), walk)
        if encoded is not OMIT:
            (parameters.setdefault(outer, {}) if outer else parameters)[member] = encoded
    return parameters


def locate(name: str, members: Mapping[str, Any], call: Call, walk: Walk) -> tuple[str, str] | None:
    """Which parameter takes a property: (structure or empty, member)."""
    if "." in walk.names.get(name, ""):
        outer, member = walk.names[name].split(".", 1)
        return (outer, member) if outer in members and member in members[outer].members else None
    if call.into and call.into in members:
        found = find_member(name, Place(name, name), members[call.into].members, walk.names)
        if found:
            return call.into, found
    found = find_member(name, Place(name, name), members, walk.names)
    return ("", found) if found else None


def perform(subject: Subject, action: Call | Hook, properties: Iterable[str] = ()) -> Any:
    """Carry out a call or a hook; what AWS refuses is raised as botocore's own error."""
    if not isinstance(action, Call):
        return action(subject)
    return invoke(subject, action, build(subject, action, properties))


def build(subject: Subject, call: Call, properties: Iterable[str] = ()) -> dict[str, Any]:
    """All parameters of a call."""
    row = subject.row
    named = call.properties if call.properties is not None else tuple(properties)
    if call.only_changed:
        named = tuple(name for name in named if subject.changed(name))
    parameters = encode_properties(row, call, subject.inputs, named, subject.aws, Walk(row.names))
    for member, source in call.params.items():
        value = source(subject) if callable(source) else source
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(parameters.get(member), dict):
            parameters[member] = {**parameters[member], **value}
        else:
            parameters[member] = value
    return parameters


def invoke(subject: Subject, call: Call | Read, parameters: Mapping[str, Any]) -> Any:
    return getattr(subject.client(call.service), call.operation)(**parameters)


def find_description(subject: Subject, read: Read) -> Any:
    """What a read describes; None when AWS says that it is not there."""
    parameters = {
        member: source(subject) if callable(source) else source
        for member, source in read.params.items()
    }
    parameters = {member: value for member, value in parameters.items() if value is not None}
    try:
        description = read.find(invoke(subject, read, parameters))
    except ClientError as error:
        if is_gone(error, (*read.absent, *subject.row.absent)):
            return None
        raise
    if description and read.extra:
        description = {**description, **(read.extra(subject) or {})}
    return description or None


def guarded(subject: Subject, doing: str, action: Callable[[], T]) -> T:
    try:
        return action()
    except (ClientError, BotoCoreError) as error:
        raise explain(error, place_of(subject), doing) from error


def place_of(subject: Subject) -> str:
    return subject.urn or f"{subject.row.title} {subject.id}"
