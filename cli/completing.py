"""Names that a shell completes: environments, models and datasets of the project around here.

Whatever goes wrong here is no completion: who presses a key wants no error.
"""

from __future__ import annotations

import os
from pathlib import Path

from contracts.errors import MillwrightError
from project.folder import PROJECT_VARIABLE, environment_names, find_project


def _project() -> Path | None:
    try:
        return find_project(Path(os.environ.get(PROJECT_VARIABLE) or Path.cwd()).resolve())
    except (MillwrightError, OSError):
        return None


def environments(incomplete: str) -> list[str]:
    """The environments that there are documents of."""
    folder = _project()
    names = environment_names(folder) if folder else []
    return [name for name in names if name.startswith(incomplete)]


def _folders(kind: str, document: str, incomplete: str) -> list[str]:
    folder = _project()
    names = (path.parent.name for path in (folder / kind).glob(f"*/{document}")) if folder else ()
    return sorted(name for name in names if name.startswith(incomplete))


def models(incomplete: str) -> list[str]:
    """The models that there are documents of."""
    return _folders("models", "model.yaml", incomplete)


def datasets(incomplete: str) -> list[str]:
    """The datasets that there are documents of."""
    return _folders("datasets", "dataset.yaml", incomplete)
