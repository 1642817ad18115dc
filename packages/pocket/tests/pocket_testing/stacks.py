"""Small stacks for tests of the engine: a program's text, its files, and the shelf that it
fills."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from pocket.engine import Workspace
from pocket_testing.shelf import Shelf, ShelfProvider

SALT = "v1:FUuZYWUHK7A=:v1:xGi3jx+IoBZn96ul:zE6on7hl7mHY8duYbDpmBkWUHMpGLg=="
PASSPHRASE = "correct horse battery staple"

PRELUDE = """
import pulumi
from pulumi import Output, ResourceOptions as Opts, export

class Thing(pulumi.CustomResource):
    serial: Output[int]
    label: Output[str]
    size: Output[int]
    password: Output[str]
    def __init__(self, called, opts=None, **props):
        given = {"serial": None, "label": None, "size": None, "password": None, **props}
        opts = Opts.merge(Opts(version="1.2.3"), opts)
        super().__init__("shelf:index:Thing", called, given, opts)

class Group(pulumi.ComponentResource):
    def __init__(self, name, opts=None, kind="demo:index:Group"):
        super().__init__(kind, name, None, opts)

class Provider(pulumi.ProviderResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("shelf", name, props, opts)
"""


@dataclass
class Stack:
    """A stack on disk.

    Args:
        root: where everything is.
        name: the stack's name.
    """

    root: Path
    name: str = "dev"
    parallel: int = 4
    takes_secrets: bool = True
    previews: bool = True
    reachable: bool = True

    def write(self, program: str, *, prelude: str = PRELUDE, config: str = "{}") -> Workspace:
        """Write the program and give a workspace for it."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
        text = f"encryptionsalt: {SALT}\nconfig: {config}\n"
        (self.root / f"Pulumi.{self.name}.yaml").write_text(text)
        (self.root / "__main__.py").write_text(prelude + textwrap.dedent(program))
        return self.workspace

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.root / "shelf")

    @property
    def workspace(self) -> Workspace:
        return Workspace(
            root=self.root,
            stack=self.name,
            program=self.root,
            providers={"shelf": self.provider},
            parallel=self.parallel,
        )

    def provider(self) -> ShelfProvider:
        return ShelfProvider(
            self.shelf,
            takes_secrets=self.takes_secrets,
            previews=self.previews,
            reachable=self.reachable,
        )
