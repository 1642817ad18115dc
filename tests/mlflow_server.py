"""An MLflow server, as tests need one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pocket.supervisor import HttpReady, Port, Spec, Supervisor


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its address; what it keeps lies in the folder.

    Without MLflow's command, which takes many seconds more and starts processes for jobs.
    """
    supervisor = Supervisor(folder)
    spec = Spec(
        name="mlflow",
        argv=(sys.executable, "-m", "flask", "--app", "mlflow.server:app", "run", "-p", Port()),
        env={
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
            # Without it the server finds no experiment, as a training asks for one.
            "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder / "artifacts"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        cwd=folder,
        ready=HttpReady(path="/health"),
        ready_within=120,
    )
    try:
        yield supervisor.start(spec).url
    finally:
        supervisor.stop_all()
