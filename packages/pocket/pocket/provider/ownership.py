"""Whether what has the name of a resource that was being created is what that creation made.

A run that is killed beside its creating call does not know whether the call was sent. What it finds
afterwards by a name may be its own, half made or whole, or may have stood there long before: taking
that for its own would change it now and delete it at the next ``destroy``. So it must show whose it
is: by the tags that the creating call sends, or, where a type has none, by being exactly what was
asked for.
"""

from collections.abc import Mapping

from pocket.errors import DeploymentError
from pocket.provider.aws import RENAME
from pocket.provider.compare import differences, inputs_from
from pocket.provider.resource import Subject
from pocket.provider.values import Properties


class ForeignError(DeploymentError):
    """Something has the name of a resource to be created, and this stack did not make it."""


def is_ours(subject: Subject, outputs: Properties) -> bool:
    """Whether a resource that was found is the one that an interrupted creation was to make.

    Args:
        subject: with the inputs of that creation, and the id of what was found.
        outputs: what was found.

    Returns:
        False for a setting that others left as it is: there always is one, and it is not ours yet.

    Raises:
        ForeignError: it is somebody else's.
    """
    row, wanted = subject.row, tags_of(subject.inputs)
    if row.adopted:
        return True
    if row.tags is not None and wanted:
        found = tags_of(outputs)
        unfinished = not found and row.untouched is not None and row.untouched(subject)
        if wanted.items() <= found.items() or unfinished:
            return True
    elif not differences(row, inputs_from(row, subject.inputs, outputs), subject.inputs):
        return True
    elif row.setting:
        return False
    raise ForeignError(
        f"{row.title} {subject.id} is there already, and this stack did not make it",
        where=subject.urn,
        fix=RENAME,
    )


def tags_of(properties: Properties) -> Mapping[str, str]:
    """A resource's tags, the provider's among them."""
    return properties.get("tagsAll") or properties.get("tags") or {}
