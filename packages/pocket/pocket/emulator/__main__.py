"""`python -m pocket.emulator --port N --data DIR`: the AWS server, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="pocket.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()

    # What moto and botocore read are objects by the million that all stay.
    gc.set_threshold(50_000, 20, 20)
    # moto reads its settings while it is imported.
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    os.environ["MOTO_PORT"] = str(options.port)

    from pocket.emulator.server import serve

    try:
        serve(port=options.port, data=options.data)
    except SystemExit as ended:
        # All is kept. Taking apart what moto holds would take longer than starting it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 0)


if __name__ == "__main__":
    main()
