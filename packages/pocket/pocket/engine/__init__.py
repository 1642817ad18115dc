"""The embedded deployment engine: runs an unmodified Pulumi program in this process, without the
Pulumi CLI.

It speaks Pulumi's own messages to the program (ResourceMonitor) and to providers (ResourceProvider)
and keeps its state in Pulumi's own form, so a stack can move to the CLI and back. What it does not
do it refuses by name: the ``import_`` option, remote components, policy packs, ``--target`` and
cloud backends.
"""

from pocket.engine.events import (
    Diagnostic,
    Event,
    Failed,
    Plan,
    ResourceOutputs,
    ResourcePre,
    Result,
    Summary,
)
from pocket.engine.providers import ProviderFactory
from pocket.engine.state import ResourceState
from pocket.engine.steps import Op, Step
from pocket.engine.workspace import (
    Workspace,
    destroy,
    export_state,
    import_state,
    outputs,
    preview,
    refresh,
    refuse,
    resources,
    secret_outputs,
    up,
)

__all__ = [
    "Diagnostic",
    "Event",
    "Failed",
    "Op",
    "Plan",
    "ProviderFactory",
    "ResourceOutputs",
    "ResourcePre",
    "ResourceState",
    "Result",
    "Step",
    "Summary",
    "Workspace",
    "destroy",
    "export_state",
    "import_state",
    "outputs",
    "preview",
    "refresh",
    "refuse",
    "resources",
    "secret_outputs",
    "up",
]
