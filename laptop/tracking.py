"""MLflow's pages on an environment's model registry, as a process of the environment."""

from __future__ import annotations

import sys

from laptop.supervisor import HttpReady, Port, Running, Spec, Supervisor
from project import here
from project.handle import Project


def start_pages(project: Project) -> Running:
    """Make sure that they run.

    Raises:
        LocalError: the environment is not up, or they do not start.
    """
    command = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1")
    return Supervisor(project.root).start(
        Spec(
            name="mlflow",
            argv=(
                *(*command, "--port", Port(), "--workers", "1"),
                *("--backend-store-uri", here.tracking_uri(project.root)),
            ),
            env=project.process_environment(),
            ready=HttpReady(path="/health"),
        )
    )
