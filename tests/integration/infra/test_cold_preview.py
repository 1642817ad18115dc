"""A preview in a process of its own: what it loads, and whom it asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.content import ROOT

PREVIEW = """
    import json, socket, sys
    from cli.main import main
    sys.argv = ["millwright", "--json", "preview", "local"]
    sys.stdout, kept = sys.stderr, sys.stdout
    asked = []
    sys.addaudithook(
        lambda event, given: asked.append(given[0]) if event == "socket.getaddrinfo" else None
    )
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 0, ended.code
    print(json.dumps({"modules": sorted(sys.modules), "asked": sorted(map(str, asked))}), file=kept)
"""


def previewed(**environment: str) -> dict[str, list[str]]:
    """The modules that a preview of the laptop's environment loads, and the hosts it asks for."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREVIEW)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


HEAVY = {"moto", "mlflow", "kfp", "sklearn", "pandas", "numpy", "duckdb", "ibis", "onnx", "feast"}


def test_it_loads_what_it_uses_and_asks_no_account(tmp_path: Path) -> None:
    """Nothing of the other rooms' libraries, and of the SDK a part; and the account whose keys the
    person has at hand is not the laptop's.
    """
    keys = tmp_path / "credentials"
    keys.write_text(
        "[own]\naws_access_key_id = AKIA\naws_secret_access_key = s\n", encoding="utf-8"
    )
    project = {"MILLWRIGHT_PROJECT": str(tmp_path)}
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    found = previewed(AWS_PROFILE="own", AWS_SHARED_CREDENTIALS_FILE=str(keys), **project)
    names = set(found["modules"])
    assert not HEAVY & names
    files = [name for name in names if name.startswith("pulumi_aws.") and name.count(".") == 2]
    assert len(files) < 150, len(files)
    assert "pulumi_kubernetes" not in names, "the laptop's environment has no cluster"
    assert not [host for host in found["asked"] if "amazonaws" in host], found["asked"]
