"""A model's rollout as a process of its own: what `millwright rollout start` leaves running."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.document import suggest
from contracts.errors import MillwrightError, RolloutError
from contracts.model import ModelSpec
from data.model_registry import ModelRegistry
from laptop.rollout import LocalRollout
from laptop.twin import Twin, find_project


def main(argv: Sequence[str] | None = None) -> int:
    """Run a model's rollout until it is over; 0 when its version serves, 3 when it was rejected."""
    parser = argparse.ArgumentParser(prog="python -m laptop.loop", description=main.__doc__)
    parser.add_argument("model")
    parser.add_argument("--env", default="local", help="the environment's name")
    parser.add_argument("--project", type=Path, default=None, help="the checkout's folder")
    options = parser.parse_args(argv)
    try:
        twin = Twin(options.project or find_project(Path.cwd()), options.env)
        names = [one.parent.name for one in twin.models.glob("*/model.yaml")]
        if options.model not in names:
            raise RolloutError(
                f"there is no model {options.model!r}", fix=suggest(options.model, names)
            )
        rollout = LocalRollout(
            twin.root,
            ModelSpec.find(twin.models, options.model),
            twin.serving(),
            registry=ModelRegistry(twin.tracking_uri),
        )
        wanted = rollout.run()
    except MillwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0 if wanted.phase == "Promoted" else 3


if __name__ == "__main__":
    sys.exit(main())
