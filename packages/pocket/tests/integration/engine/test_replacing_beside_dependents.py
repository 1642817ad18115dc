"""A resource that is deleted before it is replaced, and dependents that let go of it meanwhile.

The program registers them all at once, so that each of them may come before, while and after the
first decides what must go with it. Whatever the order, each is deleted once at most, nothing is
left over, and a second run has nothing to do.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from pocket.engine import Workspace, resources, up
from pocket_testing.shelf import Shelf, ShelfProvider
from pocket_testing.stacks import Stack

COUNT = 6
BEFORE = f"""
    a = Thing("a", kind="one")
    for number in range({COUNT}):
        Thing(f"b{{number}}", kind=a.label.apply(lambda label: "x"), size=number)
"""
AFTER = f"""
    a = Thing("a", kind="two")
    for number in range({COUNT}):
        Thing(f"b{{number}}", kind="{{kind}}", size=number)
"""


class Meeting(ShelfProvider):
    """Holds the question about the first dependent until so many others are under way."""

    def __init__(self, shelf: Shelf, others: int) -> None:
        super().__init__(shelf)
        self._others = others
        self._lock = threading.Lock()
        self._checked: set[str] = set()
        self._enough = threading.Event()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = request.urn.rpartition("::")[2]
        if name != "a":
            with self._lock:
                self._checked.add(name)
                if len(self._checked) >= self._others:
                    self._enough.set()
        return super().Check(request, context)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.urn.endswith("::b0") and threading.current_thread().name.startswith("register"):
            self._enough.wait(2)
        return super().Diff(request, context)


@pytest.fixture
def stack(tmp_path: Any) -> Stack:
    return Stack(tmp_path / "stack", parallel=COUNT + 2)


def run(workspace: Workspace, provider: ShelfProvider) -> None:
    up(
        Workspace(
            workspace.root,
            workspace.stack,
            workspace.program,
            {"shelf": lambda: provider},
            parallel=workspace.parallel,
        )
    )


@pytest.mark.parametrize("kind", ["x", "y"], ids=["kept", "replaced"])
@pytest.mark.parametrize("others", [0, 1, 3, COUNT])
@pytest.mark.parametrize("turn", range(2))
def test_each_is_deleted_once_at_most(stack: Stack, kind: str, others: int, turn: int) -> None:
    up(stack.write(BEFORE))
    lines = len(stack.shelf.calls())
    workspace = stack.write(AFTER.replace("{kind}", kind))
    run(workspace, Meeting(stack.shelf, others))
    deleted = Counter(
        line.rsplit("-", 1)[0] for line in stack.shelf.calls()[lines:] if line.startswith("delete")
    )
    assert max(deleted.values()) == 1, deleted
    assert deleted["delete a"] == 1
    states = [each for each in resources(workspace) if each.type == "shelf:index:Thing"]
    assert sorted(each.id for each in states) == sorted(stack.shelf.things())
    assert len(states) == COUNT + 1
    assert not up(workspace).changed
