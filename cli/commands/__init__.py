"""The commands, by what they are about. Importing this registers them all."""

from cli.commands import (
    data,
    demo,
    doctor,
    environment,
    images,
    outputs,
    registering,
    rollout,
    runs,
    servers,
    serving,
    state,
    status,
    training,
    tuning,
)

__all__ = [
    "data",
    "demo",
    "doctor",
    "environment",
    "images",
    "outputs",
    "registering",
    "rollout",
    "runs",
    "servers",
    "serving",
    "state",
    "status",
    "training",
    "tuning",
]
