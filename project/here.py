"""What of an environment runs on this machine, and where its parts are found.

On tier ``local`` nothing is exported for these: the registry is a file, and the front door comes
and goes with what is served. So their addresses are looked up when somebody asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from contracts.outputs import PlatformOutputs, ServiceOutputs
from pocket.supervisor import Supervisor

FRONT_DOOR: Final = "envoy"
"""The process through which everything that is served here is reached."""
REGISTRY_FILE: Final = "mlflow.db"
REPORT_FILE: Final = "report.html"
MODELS_NAMESPACE: Final = "default"
"""The namespace in which the laptop's models are served."""


def tracking_uri(root: Path) -> str:
    """The model registry's database, in the environment's folder."""
    return f"sqlite:///{root / REGISTRY_FILE}"


def front_door(root: Path) -> str:
    """Where the front door listens; empty where it does not run."""
    running = Supervisor(root).find(FRONT_DOOR)
    return running.url if running else ""


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
