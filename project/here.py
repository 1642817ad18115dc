"""What of an environment runs on this machine, and where its parts are found.

On tier ``local`` nothing is exported for these: the registry is a file, and the front door comes
and goes with what is served. So their addresses are looked up when somebody asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from contracts.outputs import PlatformOutputs, ServiceOutputs
from pocket.supervisor import Supervisor

FRONT_DOOR: Final = "envoy"
"""The process through which everything that is served here is reached."""
REGISTRY_FILE: Final = "mlflow.db"
REPORT_FILE: Final = "report.html"
ESCAPED: Final = frozenset("%?")
"""What a database's address cannot hold as it is."""
MODELS_NAMESPACE: Final = "default"
"""The namespace in which the laptop's models are served."""


def tracking_uri(root: Path) -> str:
    """The model registry's database, in the environment's folder.

    SQLAlchemy unescapes a path, and cuts it at a question mark. MLflow makes the folder above it
    and does not unescape; with the slashes escaped as well there is none to make.
    """
    path = str(root / REGISTRY_FILE)
    return f"sqlite:///{quote(path, safe='') if set(path) & ESCAPED else path}"


def front_door(root: Path) -> str:
    """Where the front door listens; empty where it does not run."""
    running = Supervisor(root).find(FRONT_DOOR)
    return running.url if running else ""


def was_served(root: Path) -> bool:
    """Whether anything is to be served here, running or not."""
    return any((root / "serving" / "documents").glob("*.json"))


def completed(outputs: PlatformOutputs, root: Path) -> PlatformOutputs:
    """An environment's outputs with what runs here, where they do not say."""
    url = front_door(root)
    here: dict[str, object] = {
        "tracking": ServiceOutputs(url=tracking_uri(root)),
        "gateway": ServiceOutputs(url=url) if url else None,
        "namespaces": {"models": MODELS_NAMESPACE},
    }
    return outputs.model_copy(
        update={name: value for name, value in here.items() if not getattr(outputs, name)}
    )
