"""A setting that says "off" is there: it is no resource that went away."""

from __future__ import annotations

from pocket_testing.provider_cases import CASES
from pocket_testing.provider_world import World

BACKUPS = "aws:efs/backupPolicy:BackupPolicy"


def test_a_file_system_without_backups_says_so(world: World) -> None:
    policy = {"backupPolicy": {"status": "DISABLED"}}
    made = world.create(BACKUPS, {**CASES[BACKUPS].inputs(world), **policy})
    assert made["backupPolicy"] == {"status": "DISABLED"}
    again = world.read(made)
    assert again is not None
    assert again["backupPolicy"] == {"status": "DISABLED"}
