"""Plans and results as people know them from Pulumi: one line a resource, what differs below it, a
summary.

Everything is made of rich ``Text`` by pure functions; the command line decides where it goes.
Secrets are never shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pocket.engine import paths, urns
from pocket.engine.events import (
    UNCOUNTED,
    Diagnostic,
    Event,
    Failed,
    Kind,
    ResourceOutputs,
    ResourcePre,
    Result,
)
from pocket.engine.steps import Op, Step
from pocket.engine.values import Value, has_secrets, is_unknown

SYMBOLS: dict[Op, tuple[str, str]] = {
    Op.SAME: (" ", "dim"),
    Op.CREATE: ("+", "green"),
    Op.UPDATE: ("~", "yellow"),
    Op.DELETE: ("-", "red"),
    Op.REPLACE: ("+-", "magenta"),
    Op.CREATE_REPLACEMENT: ("++", "green"),
    Op.DELETE_REPLACED: ("--", "red"),
    Op.READ: (">", "cyan"),
    Op.READ_REPLACEMENT: (">>", "cyan"),
    Op.REFRESH: ("~", "dim"),
    Op.DISCARD: ("<", "cyan"),
    Op.REMOVE_PENDING: ("-", "dim"),
}
PAST = {
    Op.CREATE: "created",
    Op.UPDATE: "updated",
    Op.DELETE: "deleted",
    Op.REPLACE: "replaced",
    Op.SAME: "unchanged",
    Op.READ: "read",
    Op.REFRESH: "read",
    Op.DISCARD: "let go",
}
FUTURE = {
    Op.CREATE: "to create",
    Op.UPDATE: "to update",
    Op.DELETE: "to delete",
    Op.REPLACE: "to replace",
    Op.SAME: "unchanged",
    Op.READ: "to read",
    Op.REFRESH: "to read",
    Op.DISCARD: "to let go",
}
KIND_SYMBOLS = {"add": ("+", "green"), "delete": ("-", "red"), "update": ("~", "yellow")}
TITLES: dict[Kind, str] = {
    "preview": "Previewing update",
    "up": "Updating",
    "refresh": "Refreshing",
    "destroy": "Destroying",
}
LONGEST = 80
"""Characters of a value that are shown."""


def line(step: Step) -> Text:
    """``+ aws:s3/bucketV2:BucketV2 name create``."""
    symbol, style = SYMBOLS[step.op]
    text = Text(f"{symbol:>2} ", style=style)
    text.append(step.type, style=style).append(f" {step.name} ").append(str(step.op), style=style)
    if step.op in (Op.UPDATE, Op.REPLACE) and step.keys:
        text.append(f" [diff: {', '.join('~' + key for key in step.keys)}]", style="dim")
    if step.duration >= 0.05:
        text.append(f" ({step.duration:.1f}s)", style="dim")
    if step.error:
        text.append(f" failed: {step.error}", style="bold red")
    return text


def differences(step: Step) -> Iterator[Text]:
    """What differs, property by property; for a creation every input."""
    if step.new is None or step.op in (Op.SAME, Op.READ):
        return
    if step.op is Op.CREATE:
        for key, value in sorted(step.new.inputs.items()):
            if key != "__internal":
                yield Text(f"      {key}: {show(value)}", style="dim")
        return
    if step.old is None:
        return
    yield from detailed(step)


def detailed(step: Step) -> Iterator[Text]:
    """The lines of an update or a replacement, from the provider's detailed diff or by
    comparison."""
    assert step.old is not None
    assert step.new is not None
    found = dict(step.diff.detailed) or dict.fromkeys(step.keys, "update")
    found.pop("__internal", None)
    for text, kind in sorted(found.items()):
        path = paths.parse(text)
        base = kind.removesuffix("-replace")
        symbol, style = KIND_SYMBOLS[base]
        before = pick(step.old.inputs, step.old.outputs, path)
        after = pick(step.new.inputs, {}, path)
        shown = {
            "add": show(after),
            "delete": show(before),
            "update": f"{show(before)} => {show(after)}",
        }
        why = " (replaces)" if kind.endswith("-replace") or text in step.diff.replace_keys else ""
        yield Text(f"    {symbol} {text}: {shown[base]}{why}", style=style)


def pick(inputs: Value, outputs: Value, path: paths.Path) -> Value:
    value = paths.get(inputs, path)
    return paths.get(outputs, path) if value is paths.MISSING else value


def show(value: Value) -> str:
    """A value in one line, without secrets."""
    if value is paths.MISSING:
        return "(none)"
    if has_secrets(value):
        return "[secret]"
    if is_unknown(value):
        return "[unknown]"
    text = json.dumps(mask(value), ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def mask(value: Value) -> Value:
    """A value with its unknowns in words."""
    if isinstance(value, dict):
        return {key: mask(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [mask(inner) for inner in value]
    return "[unknown]" if is_unknown(value) else value


def counts(result: Result) -> Iterator[Text]:
    """``Resources: + 12 to create, 3 unchanged``."""
    words = FUTURE if result.kind == "preview" else PAST
    yield Text("Resources:", style="bold")
    if not result.counts:
        yield Text("    none")
    for op, number in sorted(result.counts.items(), key=lambda one: list(SYMBOLS).index(one[0])):
        symbol, style = SYMBOLS[op]
        yield Text(f"   {symbol:>2} {number} {words[op]}", style=style)


def outputs(result: Result) -> Iterator[Text]:
    """The stack's outputs, those that are secret hidden."""
    if not result.outputs:
        return
    yield Text("Outputs:", style="bold")
    width = max(len(key) for key in result.outputs)
    for key, value in sorted(result.outputs.items()):
        shown = "[secret]" if key in result.secret_outputs else show(value)
        yield Text(f"    {key:<{width}} : {shown}")


def report(result: Result, *, diff: bool = False, unchanged: bool = False) -> Iterator[Text]:
    """A whole result.

    Args:
        result: what was planned or done.
        diff: with what differs below each resource.
        unchanged: with the resources that stay as they are.
    """
    yield Text(f"{TITLES[result.kind]} ({result.stack})", style="bold")
    for step in result.steps:
        if (step.op is Op.SAME and not unchanged) or step.op in UNCOUNTED:
            continue
        yield line(step)
        if diff:
            yield from differences(step)
    yield from outputs(result)
    yield from counts(result)
    if result.kind != "preview":
        yield Text(f"Duration: {result.duration:.1f}s", style="dim")


def by_package(steps: Iterable[Step]) -> Mapping[str, int]:
    """How many resources of each module (``aws:s3``) a result is about, for a short table."""
    found: dict[str, int] = {}
    for step in steps:
        if step.op in UNCOUNTED or urns.is_provider(step.type) or step.type == urns.ROOT_TYPE:
            continue
        module = ":".join(step.type.split(":")[:2]).split("/")[0]
        found[module] = found.get(module, 0) + 1
    return dict(sorted(found.items()))


def printer(console: Console, *, debug: bool = False) -> Any:
    """A listener that prints each step as it ends, and what the program says."""

    def on_event(event: Event) -> None:
        match event:
            case ResourceOutputs(step) if step.op is not Op.SAME and step.op not in UNCOUNTED:
                console.print(line(step))
            case Failed(step, _):
                console.print(line(step))
            case Diagnostic(severity, message, urn) if severity != "debug" or debug:
                place = f" {urns.name_of(urn)}:" if urn else ""
                style = {"warning": "yellow", "error": "red"}.get(severity, "dim")
                console.print(Text(f"{severity}:{place} {message}", style=style))
            case ResourcePre() | _:
                return

    return on_event
