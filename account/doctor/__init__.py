"""What an environment needs of this machine and of its AWS account, checked before it is needed.

Each check is one row: what was looked at, what was found, and what to do where something is
missing. Nothing is changed, and a check that cannot be made (no right to ask, say) says so instead
of passing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from account.doctor import account, machine
from account.doctor.check import Check
from contracts.environment import Environment

if TYPE_CHECKING:
    import boto3

__all__ = ["Check", "examine"]


def examine(project: Path, environment: Environment, session: boto3.Session) -> list[Check]:
    """Every check that an environment has.

    Args:
        project: the checkout's folder.
        environment: its document.
        session: the credentials to look with; not used where the environment is a local one.
    """
    rows = list(machine.checks(project, environment))
    if environment.tier != "local":
        rows += account.checks(environment, session)
    return rows
