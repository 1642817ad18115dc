"""The one machine that creates, reads, changes and deletes every type of resource in the table.

Each operation is idempotent where AWS lets it be: creation of what a crash left half done
continues by an update, deletion of what is gone is done, a read of what is gone says so. What a
row says in its vocabulary (``resource.py``) is carried out here and only here.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import jmespath
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel

from pocket.errors import DeploymentError
from pocket.provider.aws import Aws, asked_once, error_code, explain, is_gone, is_in_doubt
from pocket.provider.compare import project, same
from pocket.provider.ownership import is_ours
from pocket.provider.resource import (
    URN_TAG,
    Call,
    Facet,
    Hook,
    Read,
    ResourceType,
    Subject,
    Tags,
)
from pocket.provider.shapes import (
    OMIT,
    Place,
    Walk,
    decode_object,
    encode,
    find_member,
    tags_to_map,
)
from pocket.provider.values import Properties

# The order in which things let go of each other is AWS's own: a network interface outlives its
# owner.
T = TypeVar("T")

RETRIED_AT_DELETION = ("DependencyViolation", "DeleteConflict", "InvalidGroup.InUse")
PATIENCE = 20.0  # seconds for such a retry
DOUBTS = (0.2, 0.5, 1.0, 2.0)  # seconds before looking for what a lost answer may have made
STEERING = frozenset({"tags", "tagsAll", "timeouts", "region", "__defaults"})


class PartlyCreatedError(DeploymentError):
    """The resource exists, but a later step of its creation failed: it must be kept in the state.

    ``id`` and ``properties`` (plain outputs) are what exists.
    """

    def __init__(self, cause: DeploymentError, subject_id: str, properties: Properties) -> None:
        super().__init__(cause.what, where=cause.where, fix=cause.fix)
        self.id = subject_id
        self.properties = properties


class RefusedError(DeploymentError):
    """AWS refused the creation, so that nothing of ours is there: least of all what has the name
    already.
    """


# --- calls --------------------------------------------------------------------------------------


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
        spot = _locate(name, members, call, walk)
        if spot is None:
            continue
        outer, member = spot
        holder = members[outer].members if outer else members
        kind = row.schema.inputs.get(name, "any")
        encoded = encode(kind, value, holder[member], Place(name, name), walk)
        if encoded is not OMIT:
            (parameters.setdefault(outer, {}) if outer else parameters)[member] = encoded
    return parameters


def _locate(
    name: str, members: Mapping[str, Any], call: Call, walk: Walk
) -> tuple[str, str] | None:
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
    return _invoke(subject, action, build(subject, action, properties))


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


def _invoke(subject: Subject, call: Call | Read, parameters: Mapping[str, Any]) -> Any:
    return getattr(subject.client(call.service), call.operation)(**parameters)


def find_description(subject: Subject, read: Read) -> Any:
    """What a read describes; None when AWS says that it is not there."""
    parameters = {
        member: source(subject) if callable(source) else source
        for member, source in read.params.items()
    }
    parameters = {member: value for member, value in parameters.items() if value is not None}
    try:
        description = read.find(_invoke(subject, read, parameters))
    except ClientError as error:
        if is_gone(error, (*read.absent, *subject.row.absent)):
            return None
        raise
    if description and read.extra:
        description = {**description, **(read.extra(subject) or {})}
    return description or None


def _guarded(subject: Subject, doing: str, action: Callable[[], T]) -> T:
    try:
        return action()
    except (ClientError, BotoCoreError) as error:
        raise explain(error, _where(subject), doing) from error


def _where(subject: Subject) -> str:
    return subject.urn or f"{subject.row.title} {subject.id}"


# --- tags ---------------------------------------------------------------------------------------


def wanted_tags(subject: Subject) -> dict[str, str]:
    """The tags to set at AWS: the resource's and the provider's, and the URN where no name
    identifies it.
    """
    tags = dict(subject.inputs.get("tagsAll") or subject.inputs.get("tags") or {})
    if subject.row.identity is None and subject.urn:
        tags[URN_TAG] = subject.urn[-256:]
    return tags


def tag_parameter(shape: Any, tags: Mapping[str, str], kind: str = "") -> Any:
    """Tags in the form that the shape of a parameter asks for."""
    if shape.type_name == "map":
        return dict(tags)
    members = shape.member.members
    if "ResourceType" in members:
        return [{"ResourceType": kind, "Tags": _pairs(tags, members["Tags"].member.members)}]
    return _pairs(tags, members)


def _pairs(tags: Mapping[str, str], members: Iterable[str]) -> list[dict[str, str]]:
    key = next(member for member in members if member.lower() in ("key", "tagkey"))
    value = next(member for member in members if member.lower() in ("value", "tagvalue"))
    return [{key: name, value: text} for name, text in tags.items()]


def _creation_tags(subject: Subject, call: Call) -> dict[str, Any]:
    api, tags = subject.row.tags, wanted_tags(subject)
    if api is None or not api.at_creation or not tags:
        return {}
    shape = operation_model(subject.aws, call, subject.row).input_shape
    return {api.at_creation: tag_parameter(shape.members[api.at_creation], tags, api.kind)}


def write_tags(subject: Subject, api: Tags, existing: Mapping[str, str]) -> None:
    """Make the tags at AWS the wanted ones."""
    if api.write is not None:
        api.write(subject)
        return
    wanted = wanted_tags(subject)
    identity = api.identity(subject)
    client = subject.client()
    gone = [key for key in existing if key not in wanted and not key.startswith("aws:")]
    if gone:
        model = operation_model(subject.aws, Call(operation=api.remove), subject.row).input_shape
        member = model.members[api.remove_member]
        plain_keys = member.type_name != "list" or member.member.type_name == "string"
        keys = gone if plain_keys else [{"Key": key} for key in gone]
        parameters = {api.target: _targeted(model, api, identity), api.remove_member: keys}
        getattr(client, api.remove)(**parameters)
    if wanted:
        model = operation_model(subject.aws, Call(operation=api.put), subject.row).input_shape
        tags = tag_parameter(model.members[api.put_member], wanted)
        getattr(client, api.put)(
            **{api.target: _targeted(model, api, identity), api.put_member: tags}
        )


def _targeted(shape: Any, api: Tags, identity: Any) -> Any:
    return [identity] if shape.members[api.target].type_name == "list" else identity


def _read_tags(subject: Subject, api: Tags, description: Any) -> dict[str, str]:
    if api.read is not None:
        raw = find_description(subject, api.read)
    else:
        raw = jmespath.search(api.path, description)
    tags = raw if isinstance(raw, dict) else tags_to_map(raw or [])
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def _tag_outputs(subject: Subject, found: Mapping[str, str]) -> Properties:
    everything = {key: value for key, value in found.items() if key != URN_TAG}
    defaults, asked = subject.aws.settings.default_tags, subject.get("tags") or {}
    own = {
        key: value
        for key, value in everything.items()
        if key in asked or defaults.get(key) != value
    }
    return {"tags": own or None, "tagsAll": everything}


# --- reading ------------------------------------------------------------------------------------


def _described(subject: Subject) -> Any:
    """What AWS says of a resource; None when it is not there, or what it belongs to."""
    read = subject.row.read
    if isinstance(read, Read):
        return find_description(subject, read)
    try:
        return read(subject)
    except ClientError as error:
        if is_gone(error, subject.row.absent):
            return None
        raise


def _there(subject: Subject) -> Any:
    """As `_described`; None also for what AWS only remembers."""
    description, wait = _described(subject), subject.row.wait
    if description is not None and wait and _state(subject.row, description) in wait.gone:
        return None
    return description


def describe(subject: Subject) -> Properties | None:
    """The outputs of a resource as AWS has it; None when it is gone."""
    row = subject.row
    description = _there(subject)
    if description is None:
        return None
    outputs = decode_object(row.schema.outputs, description, Place(), row.names)
    outputs.update(_outputs_of_hooks(subject, description, outputs))
    known = Subject(
        row,
        subject.aws,
        subject.urn,
        subject.id,
        subject.inputs,
        subject.olds,
        {**subject.outputs, **outputs},
    )
    for facet in row.facets:
        outputs.update(_facet_outputs(known, facet))
    if row.tags is not None:
        outputs.update(_tag_outputs(subject, _read_tags(known, row.tags, description)))
    outputs["region"] = subject.region
    return {**_remembered(subject, outputs), "id": subject.id}


def _outputs_of_hooks(subject: Subject, description: Any, outputs: Properties) -> Properties:
    row = subject.row
    known = Subject(
        row,
        subject.aws,
        subject.urn,
        subject.id,
        subject.inputs,
        subject.olds,
        {**subject.outputs, **outputs},
    )
    found = row.computed(known) if row.computed else {}
    if row.outputs:
        known.outputs.update(found)
        found = {**found, **row.outputs(known, description)}
    return found


def _facet_outputs(subject: Subject, facet: Facet) -> Properties:
    if facet.read is None:
        return {}
    if not isinstance(facet.read, Read):
        found = facet.read(subject)
        return found if found is not None else {}
    description = find_description(subject, facet.read)
    if description is None:
        return {}
    kinds = {name: subject.row.schema.outputs[name] for name in facet.properties}
    return decode_object(kinds, description, Place(), subject.row.names)


def _remembered(subject: Subject, outputs: Properties) -> Properties:
    """The outputs, with what AWS never tells taken from before, and what means the same as the
    inputs written as the inputs write it."""
    row = subject.row
    kept = dict(outputs)
    for name in (*row.hidden, *row.local):
        if name in row.schema.outputs and kept.get(name) is None:
            kept[name] = subject.get(name)
    for name, wanted in subject.inputs.items():
        actual = kept.get(name)
        told = name in row.schema.outputs and actual is not None and wanted is not None
        if told and same(row, name, project(actual, wanted), wanted):
            kept[name] = _merged(actual, wanted)
    for name in row.schema.outputs:
        if name in kept and kept[name] is None:
            del kept[name]
    return kept


def _merged(actual: Any, wanted: Any) -> Any:
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return {**actual, **wanted}
    return wanted


def _state(row: ResourceType, description: Any) -> str:
    return str(jmespath.search(row.wait.path, description)) if row.wait else ""


def await_ready(subject: Subject, timeout: float) -> None:
    """Wait until the resource is in a ready state. Raises DeploymentError when it fails or
    time is up.
    """
    wait, deadline, pause = subject.row.wait, time.monotonic() + timeout, 0.02
    if wait is None or not isinstance(subject.row.read, Read):
        return
    while True:
        description = find_description(subject, subject.row.read)
        state = _state(subject.row, description) if description else "absent"
        if state in wait.ready:
            return
        if state in wait.failed:
            raise DeploymentError(f"it reached the state {state}", where=_where(subject))
        if time.monotonic() > deadline:
            raise DeploymentError(
                f"it is still {state} after {timeout:.0f} s",
                where=_where(subject),
                fix=f"Wait for it to be {' or '.join(wait.ready)}, then run again.",
            )
        time.sleep(pause)
        pause = min(pause * 1.6, 5.0)


# --- the operations -----------------------------------------------------------------------------


def create(subject: Subject, timeout: float = 1800.0) -> Properties:
    """Create the resource and return its outputs; sets ``subject.id``.

    Raises:
        PartlyCreatedError: it exists, but is not as wanted.
        DeploymentError: nothing was created.
    """
    try:
        _guarded(subject, "create it", lambda: _make_once(subject))
    except DeploymentError as error:
        cause = error.__cause__
        one_call = isinstance(subject.row.create, Call) or subject.row.identity is not None
        if one_call and isinstance(cause, ClientError) and not is_in_doubt(cause):
            raise RefusedError(error.what, where=error.where, fix=error.fix) from cause
        raise
    try:
        _guarded(subject, "finish creating it", lambda: _finish(subject, timeout))
        outputs = _guarded(subject, "read it", lambda: describe(subject))
    except DeploymentError as error:
        raise PartlyCreatedError(error, subject.id, {**subject.inputs, "id": subject.id}) from error
    if outputs is None:
        raise DeploymentError("it was gone right after its creation", where=_where(subject))
    return outputs


def _make_once(subject: Subject) -> None:
    """Make it, and not a second one where the first one's answer is lost."""
    doubted = False
    for pause in (*DOUBTS, None):
        try:
            with asked_once():
                _make(subject)
            return
        except (ClientError, BotoCoreError) as error:
            if not is_in_doubt(error):
                if doubted and _is_there(subject):
                    return
                raise
            # Several calls may have ended anywhere: the next run reads how far they came.
            several = not isinstance(subject.row.create, Call) and subject.row.identity is None
            if several or pause is None:
                raise
        doubted = True
        time.sleep(pause)
        if subject.row.identity is None and _is_there(subject):
            return


def _is_there(subject: Subject) -> bool:
    """Whether a creation whose answer is lost took place; sets ``subject.id`` if so."""
    if left_behind(subject) is not None:
        return True
    subject.id = ""
    return False


def _make(subject: Subject) -> None:
    row, response = subject.row, None
    if isinstance(row.create, Call):
        named = (
            row.create.properties if row.create.properties is not None else tuple(subject.inputs)
        )
        parameters = {**build(subject, row.create, named), **_creation_tags(subject, row.create)}
        response = _invoke(subject, row.create, parameters)
    else:
        response = row.create(subject)
    if row.identity is not None:
        subject.id = str(row.identity(subject))
    else:
        subject.id = str(jmespath.search(row.id_path, response) if row.id_path else response)


def _finish(subject: Subject, timeout: float) -> None:
    row = subject.row
    await_ready(subject, timeout)
    late = [
        f for f in row.facets if f.at_creation and any(p in subject.inputs for p in f.properties)
    ]
    api = row.tags if row.tags is not None and not row.tags.at_creation else None
    if not late and api is None:
        return
    known = _with_outputs(subject)
    for facet in late:
        perform(known, facet.put, facet.properties)
        await_ready(subject, timeout)
    if api is not None and wanted_tags(subject):
        write_tags(known, api, {})


def _with_outputs(subject: Subject) -> Subject:
    """The subject with what a facet may need to address it (its ARN and the like)."""
    outputs = describe(subject) or {}
    return Subject(
        subject.row,
        subject.aws,
        subject.urn,
        subject.id,
        subject.inputs,
        subject.olds,
        {**subject.outputs, **outputs},
    )


def find(subject: Subject) -> str:
    """The id of the resource that a lost creation may have left behind, or an empty text."""
    row = subject.row

    def look() -> str:
        if row.find is not None:
            return str(row.find(subject) or "")
        return str(row.identity(subject)) if row.identity is not None else ""

    return str(_guarded(subject, "look for it", look))


def left_behind(subject: Subject) -> Properties | None:
    """The outputs of what a creation left whose end nobody saw; sets ``subject.id``.

    Raises:
        ForeignError: there is something, and it is not ours.
    """
    subject.id = find(subject)
    outputs = read(subject) if subject.id else None
    if outputs is None or not is_ours(subject, outputs):
        return None
    return outputs


def read(subject: Subject) -> Properties | None:
    """The outputs as AWS has them now, or None when the resource is gone."""
    return _guarded(subject, "read it", lambda: describe(subject))


def update(subject: Subject, timeout: float = 1800.0) -> Properties:
    """Write the changed properties and return the outputs."""
    row = subject.row
    names = {*subject.inputs, *subject.olds}
    changed = {n for n in names if not same(row, n, subject.olds.get(n), subject.inputs.get(n))}
    for facet in row.facets:
        if changed.intersection(facet.properties):
            _guarded(subject, "change it", partial(_write, subject, facet))
            _guarded(subject, "wait for it", lambda: await_ready(subject, timeout))
    if row.tags is not None and changed & {"tags", "tagsAll"}:
        api = row.tags
        old = subject.olds.get("tagsAll") or subject.olds.get("tags") or {}
        _guarded(subject, "tag it", lambda: write_tags(subject, api, old))
    outputs = _guarded(subject, "read it", lambda: describe(subject))
    if outputs is None:
        raise DeploymentError(
            "it is gone", where=_where(subject), fix="Refresh, so that it is created again."
        )
    return outputs


def _write(subject: Subject, facet: Facet) -> None:
    unset = all(subject.inputs.get(name) is None for name in facet.properties)
    action = facet.clear if unset and facet.clear is not None else facet.put
    perform(subject, action, facet.properties)


def delete(subject: Subject, timeout: float = 1800.0) -> None:
    """Delete the resource and wait until it is gone; what is gone already is no error."""
    row = subject.row
    if row.before_delete is not None:
        _guarded(subject, "empty it", lambda: _unless_gone(subject, row.before_delete))
    if row.delete is not None:
        _guarded(subject, "delete it", lambda: _delete_patiently(subject))
    if row.wait is not None and row.delete is not None:
        _guarded(subject, "wait for it to be gone", lambda: _await_gone(subject, timeout))


def _unless_gone(subject: Subject, action: Call | Hook | None) -> None:
    try:
        if action is not None:
            perform(subject, action)
    except ClientError as error:
        if not is_gone(error, subject.row.absent):
            raise


def _delete_patiently(subject: Subject) -> None:
    deadline, pause = time.monotonic() + PATIENCE, 0.1
    while True:
        try:
            _unless_gone(subject, subject.row.delete)
        except ClientError as error:
            if error_code(error) not in RETRIED_AT_DELETION or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, 4.0)


def _still_there(subject: Subject) -> bool:
    """Whether something that is being deleted is there. Its parts are not asked for, where that can
    be; where it went between two questions, the next look tells.
    """
    try:
        return _there(subject) is not None
    except ClientError as error:
        if is_gone(error, subject.row.absent):
            return True
        raise


def _await_gone(subject: Subject, timeout: float) -> None:
    deadline, pause = time.monotonic() + timeout, 0.02
    while _still_there(subject):
        if time.monotonic() > deadline:
            raise DeploymentError(f"it is still there after {timeout:.0f} s", where=_where(subject))
        time.sleep(pause)
        pause = min(pause * 1.6, 5.0)
