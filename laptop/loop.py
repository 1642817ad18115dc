"""A model's rollout as a process of its own: what `millwright rollout start` leaves running."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from contracts.errors import MillwrightError
from contracts.model import find_model
from contracts.rollout import Phase
from data.model_registry import ModelRegistry
from laptop.host import RolloutHost
from laptop.rollout import LocalRollout


def main(argv: Sequence[str] | None = None) -> int:
    """Run a model's rollout until it is over; 0 when its version serves, 3 when it was rejected."""
    parser = argparse.ArgumentParser(prog="python -m laptop.loop", description=main.__doc__)
    parser.add_argument("model")
    host, given = RolloutHost.from_arguments(parser, argv)
    try:
        rollout = LocalRollout(
            host.root,
            find_model(host.models, given.model),
            host.serving(),
            registry=ModelRegistry(host.tracking_uri),
        )
        status = rollout.run()
    except MillwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0 if status.phase is Phase.PROMOTED else 3


if __name__ == "__main__":
    sys.exit(main())
