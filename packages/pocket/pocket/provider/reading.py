"""What AWS says of a resource, as its outputs; and waiting until it is ready."""

from typing import Any

import jmespath
from botocore.exceptions import ClientError

from pocket.errors import DeploymentError
from pocket.patience import until
from pocket.provider.aws import is_gone
from pocket.provider.compare import project, same
from pocket.provider.requests import find_description, place_of
from pocket.provider.resource import Facet, Read, ResourceType, Subject
from pocket.provider.shapes import Place, decode_object
from pocket.provider.tagging import read_tags, tag_outputs
from pocket.provider.values import Properties


def described(subject: Subject) -> Any:
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


def present(subject: Subject) -> Any:
    """As `described`; None also for what AWS only remembers."""
    description, wait = described(subject), subject.row.wait
    if description is not None and wait and state_of(subject.row, description) in wait.gone:
        return None
    return description


def describe(subject: Subject) -> Properties | None:
    """The outputs of a resource as AWS has it; None when it is gone."""
    row = subject.row
    description = present(subject)
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
        outputs.update(tag_outputs(subject, read_tags(known, row.tags, description)))
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


def state_of(row: ResourceType, description: Any) -> str:
    return str(jmespath.search(row.wait.path, description)) if row.wait else ""


def await_ready(subject: Subject, timeout: float) -> None:
    """Wait until the resource is in a ready state. Raises DeploymentError when it fails or
    time is up.
    """
    row, state = subject.row, "absent"
    wait, read = row.wait, row.read
    if wait is None or not isinstance(read, Read):
        return

    def ready() -> bool:
        nonlocal state
        description = find_description(subject, read)
        state = state_of(row, description) if description else "absent"
        if state in wait.failed:
            raise DeploymentError(f"it reached the state {state}", where=place_of(subject))
        return state in wait.ready

    if not until(ready, within=timeout, pause=0.02, growth=1.6):
        raise DeploymentError(
            f"it is still {state} after {timeout:.0f} s",
            where=place_of(subject),
            fix=f"Wait for it to be {' or '.join(wait.ready)}, then run again.",
        )
