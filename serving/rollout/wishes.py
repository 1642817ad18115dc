"""What a person may ask of a rollout as it stands, and when nothing is left to do.

The same on a laptop and in a cluster, where only the place differs in which a wish is written down.
"""

from __future__ import annotations

from contracts.artifact import Version
from contracts.errors import RolloutError
from contracts.rollout import TERMINAL, RolloutStatus, Target


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
        raise RolloutError(f"version {target.version} is the stable version already", where=model)
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
        raise RolloutError(
            "no rollout is under way",
            where=model,
            fix=f"Start one with `millwright rollout start {model}`.",
        )
    return status.candidate


def is_over(status: RolloutStatus, wanted: Version | None) -> bool:
    """Whether nothing is left to do: a verdict, confirmed, and no other version wanted."""
    settled = status.phase in TERMINAL and status.confirmed == status.wanted
    served = status.stable is not None and status.stable.version == wanted
    return settled and (wanted is None or served or wanted in status.rejected)
