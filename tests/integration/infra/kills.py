"""`python -m tests.integration.infra.kills PROJECT TIMES`: brings an environment up through kills.

A process of its own, which imports everything once and forks for each run: a test's process has
threads, and must not fork. The kills are spread over the run's calls, and fall by turns before a
call is sent and after it is answered.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.integration.infra.standing import Standing, kill_in_turn

SPREAD = 20
"""Calls that may change something between two kills; an `up` of everything makes about 250."""


def main(project: Path, times: int) -> None:
    standing = Standing.found(project)
    print(json.dumps(kill_in_turn(standing, SPREAD, limit=times)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
