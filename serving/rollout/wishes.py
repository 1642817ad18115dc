"""What a person may ask of a rollout as it stands, and when nothing is left to do.

The same on a laptop and in a cluster, where only the place differs in which a wish is written down.
"""

from __future__ import annotations

from contracts.artifact import Version
from contracts.errors import RolloutError
from contracts.rollout import TERMINAL, RolloutStatus, Target
from serving.rollout.core.observations import Command


def check_start(model: str, status: RolloutStatus, target: Target, *, retry: bool) -> None:
    """Refuse to start a version that would not get anywhere.

    Args:
        model: the model's name.
        status: how its rollout stands.
        target: the version that is asked for.
        retry: also if it was rolled back before.

    Raises:
        RolloutError: it was rolled back before, or it is the stable version already.
    """
    if status.stable and status.stable.version == target.version:
        raise RolloutError(
            f"version {target.version} is the stable version already",
            where=model,
            fix=f"`millwright rollout undo {model}` goes back to the one before it.",
        )
    if target.version in status.rejected and not retry:
        raise RolloutError(
            f"version {target.version} was rolled back before: {status.reason}",
            where=model,
            fix="Say --retry to try it again, or train another version.",
        )


def under_way(model: str, status: RolloutStatus) -> Target:
    """The candidate that a command is about.

    Raises:
        RolloutError: no rollout is under way.
    """
    if status.candidate is None:
        serves = f": version {status.stable.version} is stable" if status.stable else ""
        raise RolloutError(
            f"no rollout is under way{serves}",
            where=model,
            fix=f"`millwright rollout start {model}` starts one for another version.",
        )
    return status.candidate


def beginning(*, retry: bool, judge: bool) -> Command | None:
    """The word that goes with a wish. Who was rolled back is judged anew in any case."""
    return "retry" if retry else "judge" if judge else None


def previous(model: str, status: RolloutStatus, version: Version | None = None) -> Target:
    """The version to go back to: the one that had all traffic before the stable one.

    Args:
        model: the model's name.
        status: how its rollout stands.
        version: another one that was judged here, instead.

    Raises:
        RolloutError: a rollout is under way, or no such version was judged here.
    """
    if status.candidate:
        back = f", and version {status.stable.version} serves" if status.stable else ""
        raise RolloutError(
            f"version {status.candidate.version} is being rolled out",
            where=model,
            fix=f"`millwright rollout abort {model}` sends it back{back}.",
        )
    earlier = [each for each in status.judged if each != status.stable and status.returns_to(each)]
    chosen = [each for each in earlier if version in (None, each.version)]
    if not chosen:
        names = ", ".join(each.version for each in earlier)
        asked = f"version {version} was not judged here" if version else "no version was before it"
        raise RolloutError(
            f"there is nothing to go back to: {asked}",
            where=model,
            fix=f"Say one of {names}."
            if names
            else f"`millwright rollout start {model} --version N` has a version judged.",
        )
    return chosen[-1]


def is_over(status: RolloutStatus, wanted: Version | None) -> bool:
    """Whether nothing is left to do: a verdict, confirmed, and no other version wanted."""
    settled = status.phase in TERMINAL and status.confirmed == status.wanted
    served = status.stable is not None and status.stable.version == wanted
    return settled and (wanted is None or served or wanted in status.rejected)
