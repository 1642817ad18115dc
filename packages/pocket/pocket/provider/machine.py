"""The one machine that creates, reads, changes and deletes every type of resource in the table.

Each operation is idempotent where AWS lets it be: creation of what a crash left half done
continues by an update, deletion of what is gone is done, a read of what is gone says so. What a
row says in its vocabulary (``resource.py``) is carried out here and only here.
"""

import time
from functools import partial

import jmespath
from botocore.exceptions import BotoCoreError, ClientError

from pocket.errors import DeploymentError
from pocket.patience import until
from pocket.provider.aws import asked_once, error_code, is_gone, is_in_doubt
from pocket.provider.compare import same
from pocket.provider.ownership import is_ours
from pocket.provider.reading import await_ready, describe, present
from pocket.provider.requests import RefusedError, build, guarded, invoke, perform, place_of
from pocket.provider.resource import Call, Facet, Hook, Subject
from pocket.provider.tagging import creation_tags, wanted_tags, write_tags
from pocket.provider.values import Properties

# The order in which things let go of each other is AWS's own: a network interface outlives its
# owner.
RETRIED_AT_DELETION = ("DependencyViolation", "DeleteConflict", "InvalidGroup.InUse")
PATIENCE = 20.0  # seconds for such a retry
DOUBTS = (0.2, 0.5, 1.0, 2.0)  # seconds before looking for what a lost answer may have made


class PartlyCreatedError(DeploymentError):
    """The resource exists, but a later step of its creation failed: it must be kept in the state.

    ``id`` and ``properties`` (plain outputs) are what exists.
    """

    def __init__(self, cause: DeploymentError, subject_id: str, properties: Properties) -> None:
        super().__init__(cause.what, where=cause.where, fix=cause.fix)
        self.id = subject_id
        self.properties = properties


def create(subject: Subject, timeout: float = 1800.0) -> Properties:
    """Create the resource and return its outputs; sets ``subject.id``.

    Raises:
        PartlyCreatedError: it exists, but is not as wanted.
        DeploymentError: nothing was created.
    """
    try:
        guarded(subject, "create it", lambda: _make_once(subject))
    except DeploymentError as error:
        cause = error.__cause__
        one_call = isinstance(subject.row.create, Call) or subject.row.identity is not None
        if one_call and isinstance(cause, ClientError) and not is_in_doubt(cause):
            raise RefusedError(error.what, where=error.where, fix=error.fix) from cause
        raise
    try:
        guarded(subject, "finish creating it", lambda: _finish(subject, timeout))
        outputs = guarded(subject, "read it", lambda: describe(subject))
    except DeploymentError as error:
        raise PartlyCreatedError(error, subject.id, {**subject.inputs, "id": subject.id}) from error
    if outputs is None:
        raise DeploymentError("it was gone right after its creation", where=place_of(subject))
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
        parameters = {**build(subject, row.create, named), **creation_tags(subject, row.create)}
        response = invoke(subject, row.create, parameters)
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

    return str(guarded(subject, "look for it", look))


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
    return guarded(subject, "read it", lambda: describe(subject))


def update(subject: Subject, timeout: float = 1800.0) -> Properties:
    """Write the changed properties and return the outputs."""
    row = subject.row
    names = {*subject.inputs, *subject.olds}
    changed = {n for n in names if not same(row, n, subject.olds.get(n), subject.inputs.get(n))}
    for facet in row.facets:
        if changed.intersection(facet.properties):
            guarded(subject, "change it", partial(_write, subject, facet))
            guarded(subject, "wait for it", lambda: await_ready(subject, timeout))
    if row.tags is not None and changed & {"tags", "tagsAll"}:
        api = row.tags
        old = subject.olds.get("tagsAll") or subject.olds.get("tags") or {}
        guarded(subject, "tag it", lambda: write_tags(subject, api, old))
    outputs = guarded(subject, "read it", lambda: describe(subject))
    if outputs is None:
        raise DeploymentError(
            "it is gone", where=place_of(subject), fix="Refresh, so that it is created again."
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
        guarded(subject, "empty it", lambda: _unless_gone(subject, row.before_delete))
    if row.delete is not None:
        guarded(subject, "delete it", lambda: _delete_patiently(subject))
    if row.wait is not None and row.delete is not None:
        guarded(subject, "wait for it to be gone", lambda: _await_gone(subject, timeout))


def _unless_gone(subject: Subject, action: Call | Hook | None) -> None:
    try:
        if action is not None:
            perform(subject, action)
    except ClientError as error:
        if not is_gone(error, subject.row.absent):
            raise


def _delete_patiently(subject: Subject) -> None:
    refusal: ClientError | None = None

    def deleted() -> bool:
        nonlocal refusal
        try:
            _unless_gone(subject, subject.row.delete)
        except ClientError as error:
            if error_code(error) not in RETRIED_AT_DELETION:
                raise
            refusal = error
            return False
        return True

    if not until(deleted, within=PATIENCE, pause=0.1, growth=2.0, longest=4.0) and refusal:
        raise refusal


def _still_there(subject: Subject) -> bool:
    """Whether something that is being deleted is there. Its parts are not asked for, where that can
    be; where it went between two questions, the next look tells.
    """
    try:
        return present(subject) is not None
    except ClientError as error:
        if is_gone(error, subject.row.absent):
            return True
        raise


def _await_gone(subject: Subject, timeout: float) -> None:
    if not until(lambda: not _still_there(subject), within=timeout, pause=0.02, growth=1.6):
        raise DeploymentError(f"it is still there after {timeout:.0f} s", where=place_of(subject))
