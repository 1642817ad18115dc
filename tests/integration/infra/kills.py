"""`python -m tests.integration.infra.kills PROJECT`: brings an environment up through kills.

A process of its own, which imports everything once and forks for each run: a test's process has
threads, and must not fork. By turns a run dies before a call is sent and after it is answered.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pocket.engine import preview
from tests.integration.infra.standing import Standing, kill_in_turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--times", type=int, default=2000, help="so many runs are killed")
    parser.add_argument("--every", type=int, default=1, help="each at its so many-th change")
    parser.add_argument("--parallel", type=int, default=16, help="resources worked on at once")
    options = parser.parse_args()
    standing = Standing.found(options.project)
    standing.parallel = options.parallel
    # What a preview imports and reads is there for every fork; it leaves no thread behind.
    preview(standing.workspace)
    print(json.dumps(kill_in_turn(standing, options.every, limit=options.times)))


if __name__ == "__main__":
    main()
