"""A small honest provider for tests: its "cloud" is a directory, one JSON file a thing.

Things outlive the process, so a killed run leaves behind what a real one would; names are unique,
so a
duplicate cannot hide. Every call is written to a log in its order.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from pocket.engine.values import UNKNOWN, from_struct, is_unknown, reveal, to_struct

REPLACING = ("kind", "name")
"""Inputs whose change replaces a thing; ``kind`` deletes the old one first."""


class Shelf:
    """The cloud: a directory of things."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def things(self) -> dict[str, dict[str, Any]]:
        things = {}
        for path in sorted(self.directory.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # another deletes it meanwhile
                thing = json.loads(path.read_text())
                things[thing["id"]] = thing
        return things

    def put(self, thing: dict[str, Any]) -> None:
        path = self.directory / f"{thing['id']}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(thing))
        temporary.replace(path)

    def get(self, identity: str) -> dict[str, Any] | None:
        path = self.directory / f"{identity}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def remove(self, identity: str) -> None:
        (self.directory / f"{identity}.json").unlink(missing_ok=True)

    def log(self, line: str) -> None:
        with (self.directory / "log").open("a") as stream:
            stream.write(line + "\n")

    def calls(self) -> list[str]:
        path = self.directory / "log"
        return path.read_text().splitlines() if path.exists() else []


class ShelfProvider(ResourceProviderServicer):
    """Serves ``shelf:index:Thing``: name, size, kind, tags, password, links; fails when told to."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        takes_secrets: bool = True,
        previews: bool = True,
        reachable: bool = True,
    ) -> None:
        self.shelf = shelf
        self.reachable = reachable
        self.takes_secrets = takes_secrets
        self.previews = previews
        self.config: dict[str, Any] = {}

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        old = reveal(from_struct(request.old_inputs)).get("region")
        new = reveal(from_struct(request.news)).get("region")
        foreign = {"__internal"} & (from_struct(request.news).keys() | request.olds.keys())
        if foreign:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not the provider's: {foreign}")
        if old == new:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME, replaces=["region"], diffs=["region"]
        )

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.config = reveal(from_struct(request.args))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self.takes_secrets, supportsPreview=self.previews
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        news, olds = from_struct(request.news), from_struct(request.olds)
        failures = []
        size = reveal(news.get("size"))
        if not is_unknown(size) and size is not None and size < 0:
            failures.append(provider_pb2.CheckFailure(property="size", reason="is negative"))
        if "name" not in news:
            random = request.randomSeed.hex()[:7]
            news["name"] = olds.get("name") or f"{request.urn.rsplit('::', 1)[1]}-{random}"
        return provider_pb2.CheckResponse(inputs=to_struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        old = reveal(from_struct(request.old_inputs))
        new = reveal(from_struct(request.news))
        changed = [
            key
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key not in request.ignoreChanges
        ]
        if not changed:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        replaces = [key for key in changed if key in REPLACING]
        kind = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            diffs=changed,
            replaces=replaces,
            detailedDiff={
                key: kind(kind=kind.UPDATE_REPLACE if key in replaces else kind.UPDATE)
                for key in changed
            },
            hasDetailedDiff=True,
            deleteBeforeReplace="kind" in replaces,
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = from_struct(request.properties)
        if request.preview:
            outputs = inputs | {"serial": UNKNOWN, "label": inputs.get("name", UNKNOWN)}
            return provider_pb2.CreateResponse(properties=to_struct(outputs))
        plain = reveal(inputs)
        self._obey(plain, context, "refuse-create")
        name = plain["name"]
        if any(one["inputs"]["name"] == name for one in self.shelf.things().values()):
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{name} exists")
        thing = {
            "id": f"id-{name}",
            "urn": request.urn,
            "inputs": plain,
            "serial": time.time_ns(),
            "config": self.config,
        }
        self.shelf.log(f"create {name}")
        self.shelf.put(thing)
        self._obey(plain, context, "lose-create")
        return provider_pb2.CreateResponse(
            id=thing["id"], properties=to_struct(self._outputs(inputs, thing))
        )

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = from_struct(request.inputs)
        if not self.reachable:
            context.abort(grpc.StatusCode.UNAVAILABLE, "nobody answers")
        if request.id:
            thing = self.shelf.get(request.id)
        else:
            name = reveal(inputs)["name"]
            things = self.shelf.things().values()
            thing = next((one for one in things if one["inputs"]["name"] == name), None)
            if thing is not None and thing["urn"] != request.urn:
                context.abort(
                    grpc.StatusCode.ALREADY_EXISTS, f"{name} is another's\n  Rename this one."
                )
        if thing is None:
            return provider_pb2.ReadResponse()
        merged = thing["inputs"] if not inputs else self._marked(inputs, thing["inputs"])
        return provider_pb2.ReadResponse(
            id=thing["id"],
            properties=to_struct(self._outputs(merged, thing)),
            inputs=to_struct(merged),
        )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = from_struct(request.news)
        if request.preview:
            outputs = from_struct(request.olds) | inputs
            return provider_pb2.UpdateResponse(properties=to_struct(outputs))
        plain = reveal(inputs)
        self._obey(plain, context, "refuse-update")
        thing = self.shelf.get(request.id)
        if thing is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.id} is gone")
            raise AssertionError("abort raises")
        thing["inputs"] = plain
        self.shelf.log(f"update {plain['name']}")
        self.shelf.put(thing)
        self._obey(plain, context, "lose-update")
        return provider_pb2.UpdateResponse(properties=to_struct(self._outputs(inputs, thing)))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        plain = reveal(from_struct(request.old_inputs))
        if not self.reachable:
            context.abort(grpc.StatusCode.UNAVAILABLE, "nobody answers")
        self._obey(plain, context, "refuse-delete")
        thing = self.shelf.get(request.id)
        if thing and thing["config"].get("region") != self.config.get("region"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.id} is in another region")
        self.shelf.log(f"delete {plain['name']}")
        self.shelf.remove(request.id)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        args = from_struct(request.args)
        if request.tok != "shelf:index:find":
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"no function {request.tok}")
        things = self.shelf.things().values()
        found = [one["id"] for one in things if one["inputs"].get("size") == args["size"]]
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(to_struct({"ids": found}))
        return response

    @staticmethod
    def _obey(inputs: dict[str, Any], context: Any, order: str) -> None:
        if inputs.get("fault") == order:
            context.abort(grpc.StatusCode.UNKNOWN, f"was told to {order}")

    @staticmethod
    def _outputs(inputs: dict[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
        return inputs | {"serial": thing["serial"], "label": thing["inputs"]["name"]}

    @staticmethod
    def _marked(inputs: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
        """What is there, with the marks of the inputs where nothing has changed."""
        return {
            key: inputs[key] if key in inputs and reveal(inputs[key]) == value else value
            for key, value in plain.items()
        }


class Slow(ShelfProvider):
    """Counts how many creations go on at once."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self.lock = threading.Lock()
        self.running = 0
        self.most = 0
        self.together = threading.Event()

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            if self.running >= 2:
                self.together.set()
        if not request.preview:
            self.together.wait(5)
        try:
            return super().Create(request, context)
        finally:
            with self.lock:
                self.running -= 1


class Served(ShelfProvider):
    """The same as a plugin of the CLI."""

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.2.3")


if __name__ == "__main__":
    from pocket.provider.serving import run

    run(Served(Shelf(Path(sys.argv[1]))))
