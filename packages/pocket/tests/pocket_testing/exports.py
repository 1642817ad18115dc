"""Makes two exported states comparable field by field, and lists where they differ.

Left out is only what must differ between two runs: times (whether one is there still counts), the
provider's serial numbers, generated suffixes and random ids. Secrets are opened first, so that a
lost mark or another value shows, and another nonce does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pocket.engine.secrets import Crypter
from pocket.engine.state import decrypt

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SERIAL = re.compile(r"\b\d{16,}\b|\b\d\.\d+e\+1\d\b")
SUFFIX = re.compile(r"-[0-9a-f]{7}\b")
MOMENTS = ("created", "modified")
OUTSIDE = re.compile(r"^project:///\.\./|/site-packages/")
PROPERTIES = ("inputs", "outputs", "replacementTrigger")


def comparable(document: Mapping[str, Any], passphrase: str) -> dict[str, Any]:
    """The resources of an export by URN (and ``deleted`` where it waits to be), each comparable."""
    deployment = document["deployment"]
    provider = deployment.get("secrets_providers") or {}
    crypter = Crypter(passphrase, (provider.get("state") or {}).get("salt", ""))
    found: dict[str, Any] = {
        "secrets provider": provider.get("type"),
        "operations": len(deployment.get("pending_operations") or ()),
    }
    for resource in deployment.get("resources") or ():
        key = resource["urn"] + (" (deleted)" if resource.get("delete") else "")
        opened = {
            name: decrypt(value, crypter, name) if name in PROPERTIES else value
            for name, value in resource.items()
        }
        opened |= {name: "then" for name in MOMENTS if name in opened}
        at_home(opened)
        # Sets: the SDK gives them in any order.
        if "dependencies" in opened:
            opened["dependencies"] = sorted(opened["dependencies"])
        for name, urns in opened.get("propertyDependencies", {}).items():
            opened["propertyDependencies"][name] = urns and sorted(urns)
        found[key] = json.loads(anonymous(json.dumps(opened)))
    return found


def at_home(resource: dict[str, Any]) -> None:
    """Leave only positions in the project: the CLI also keeps where on this machine the SDK is."""
    if OUTSIDE.search(resource.get("sourcePosition", "")):
        del resource["sourcePosition"]
    frames = [
        frame
        for frame in resource.pop("stackTrace", ())
        if frame and not OUTSIDE.search(frame["sourcePosition"])
    ]
    if frames:
        resource["stackTrace"] = frames


def anonymous(text: str) -> str:
    """Without what is random: UUIDs, generated suffixes, serial numbers."""
    text = SERIAL.sub("0", text)
    return SUFFIX.sub("-*", UUID.sub("*", text))


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Every place where two values differ, with both."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in theirs:
                yield f"{path}/{key}: only ours has {ours[key]!r}"
            elif key not in ours:
                yield f"{path}/{key}: only theirs has {theirs[key]!r}"
            else:
                yield from differences(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{at}]")
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{path}: {ours!r} is ours, {theirs!r} is theirs"
