"""Many models in one server: which there are, which of them are loaded, and which have to go.

For teams with hundreds of small models, of which few are asked at a time: a server for each would
cost more than the models do. A model is loaded when somebody asks for it, beside the event loop, so
that requests to the others do not notice; when the memory is used up, those that were not asked for
the longest go, and come back when they are asked for.

What a model costs is measured while it is loaded and answers its first row: by how many bytes the
allocator has more in use, and no less than its file has. One model is built at a time, so that what
is measured is that one; what requests to other models hold at that moment is measured with it. What
runs in processes of its own costs what they share with nobody.

Only what the listing of the repository names is ever read. A client's text is looked up among those
names and goes no further.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from contracts.addresses import Address
from contracts.artifact import DOCUMENT_FILE, Artifact
from contracts.errors import MillwrightError, ServingError
from serving.runtime import memory
from serving.runtime.model import Model
from serving.runtime.predictor.workers import PredictorModel
from serving.runtime.refusal import Refusal, shown
from serving.runtime.slots import LOADING, READY, UNLOADED, Slot
from serving.runtime.store import UnreachableError, fetch, s3_client
from serving.runtime.turns import can_share

_PLACE = re.compile(
    rf"([a-z][a-z0-9-]{{0,38}}[a-z0-9])/([0-9]{{1,9}})/{re.escape(DOCUMENT_FILE)}", re.ASCII
)
"""A model's name, its version, and the document that a whole artifact has."""
_log = structlog.get_logger("serving.runtime")

Listing = Mapping[str, Mapping[str, str]]
"""Model → version → the artifact's folder."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What bounds a repository's models.

    Args:
        memory: bytes that the loaded models may take together; None for any.
        waiting: requests that wait for one model to be loaded.
        patience: seconds that each of them waits; loading goes on after that.
        again: seconds after which a model that could not be loaded is tried again.
        threads: of one call of a model.
        slow_over: seconds; a response that takes longer is slow.
    """

    memory: int | None = None
    waiting: int = 64
    patience: float = 10.0
    again: float = 10.0
    threads: int = 1
    slow_over: float = 0.05


def listing(uri: str) -> Listing:
    """What a repository holds: ``<model>/<version>/artifact.json``, as the registry lays it out.

    Args:
        uri: a folder's path, a ``file://`` URL, or ``s3://bucket/prefix``.

    Raises:
        UnreachableError: it cannot be listed.
    """
    address = Address.of(uri)
    if address.scheme == "s3":
        places = _s3_places(uri, address.place, address.path.strip("/"))
    elif address.scheme in ("", "file"):
        uri = address.path
        places = _folder_places(Path(uri))
    else:
        raise UnreachableError(
            f"models cannot be listed at {address.scheme}://",
            where=uri,
            fix="Give a folder's path or s3://bucket/prefix.",
        )
    models: dict[str, dict[str, str]] = {}
    for place in places:
        if match := _PLACE.fullmatch(place):
            name, version = match.groups()
            models.setdefault(name, {})[version] = f"{uri.rstrip('/')}/{name}/{version}"
    return models


def _folder_places(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        raise UnreachableError(
            "there is no such folder",
            where=repr(str(folder)),
            fix="A repository is a folder with <model>/<version>/ in it, each an artifact.",
        )
    for path in folder.glob(f"*/*/{DOCUMENT_FILE}"):
        yield path.relative_to(folder).as_posix()


def _s3_places(uri: str, bucket: str, prefix: str) -> Iterator[str]:
    from botocore.exceptions import (  # type: ignore[import-untyped,unused-ignore]
        BotoCoreError,
        ClientError,
    )

    start = f"{prefix}/" if prefix else ""
    try:
        pages = s3_client(uri).get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=start):
            for each in page.get("Contents", ()):
                yield each["Key"].removeprefix(start)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise UnreachableError(
            f"the repository cannot be listed: {error}",
            where=uri,
            fix="Check the URI, the credentials and AWS_ENDPOINT_URL.",
        ) from None


class Repository:
    """The models of a server.

    Args:
        uri: where they are, as `listing` takes it.
        rules: what bounds them.
        predictor: the name under which traffic is sent to this server.

    Raises:
        UnreachableError: it cannot be listed.
    """

    def __init__(self, uri: str, *, rules: Rules | None = None, predictor: str = "") -> None:
        self.uri = uri
        self.rules = rules or Rules()
        self._predictor = predictor
        self.server = Slot("", "", uri, predictor=predictor)
        """Stands for the server where a request is of no model."""
        self._slots: dict[tuple[str, str], Slot] = {}
        self.current: dict[str, Slot] = {}
        """The version of each model that answers where no version is named."""
        self.changed: Callable[[], None] = lambda: None
        """Called when there are other slots, or others are current."""
        self._building = ThreadPoolExecutor(1, thread_name_prefix="building")
        self._fetching = ThreadPoolExecutor(4, thread_name_prefix="fetching")
        self._one = asyncio.Lock()
        self._renew(listing(uri))

    @property
    def slots(self) -> list[Slot]:
        """All versions, by name and number."""
        return sorted(self._slots.values(), key=lambda slot: (slot.name, int(slot.version)))

    @property
    def versions(self) -> dict[str, list[str]]:
        """The versions of each model."""
        versions: dict[str, list[str]] = {}
        for slot in self.slots:
            versions.setdefault(slot.name, []).append(slot.version)
        return versions

    @property
    def used(self) -> int:
        """Bytes that the loaded models take."""
        return sum(slot.cost for slot in self._slots.values() if slot.loaded)

    async def refresh(self) -> None:
        """Look what there is now. A model that is new can be asked for; a new version of one that
        is known can be asked for by its number, and stands for the model when that is loaded.

        Raises:
            UnreachableError: it cannot be listed.
        """
        loop = asyncio.get_running_loop()
        self._renew(await loop.run_in_executor(self._fetching, listing, self.uri))

    def _renew(self, found: Listing) -> None:
        there = {(name, version) for name, versions in found.items() for version in versions}
        gone = [key for key, slot in self._slots.items() if key not in there and not slot.loading]
        new = there - self._slots.keys()
        for key in gone:
            slot = self._slots.pop(key)
            slot.drop("it is gone from the repository")
            if self.current[slot.name] is slot:
                del self.current[slot.name]
        for name, version in new:
            self._slots[name, version] = Slot(
                name,
                version,
                found[name][version],
                predictor=self._predictor,
                slow_over=self.rules.slow_over,
            )
        for name in {name for name, _ in self._slots} - self.current.keys():
            self.current[name] = self._newest(name)
        if gone or new:
            self.changed()

    def _newest(self, name: str) -> Slot:
        own = [slot for slot in self._slots.values() if slot.name == name]
        return max(own, key=lambda slot: int(slot.version))

    # -- asked for -------------------------------------------------------------------------------

    async def loaded(self, slot: Slot) -> None:
        """Wait until a model is loaded, for a request to it.

        Raises:
            Refusal: it was unloaded (404), it cannot be loaded (500), or not soon enough (503).
        """
        if slot.loaded:
            return
        if slot.closed:
            raise Refusal(
                404,
                f"model {slot.name!r} was unloaded here",
                fix=f"post to /v2/repository/models/{slot.name}/load",
            )
        loop = asyncio.get_running_loop()
        if slot.failure and loop.time() < slot.again:
            raise slot.failure
        if slot.waiting >= self.rules.waiting:
            what = f"{slot.waiting} requests wait for {slot.name!r} to be loaded"
            raise Refusal(503, what, fix="try again in 1 s")
        slot.waiting += 1
        try:
            await asyncio.wait_for(asyncio.shield(self._started(slot)), self.rules.patience)
        except TimeoutError:
            what = f"model {slot.name!r} is still being loaded"
            raise Refusal(503, what, fix="try again in 1 s") from None
        finally:
            slot.waiting -= 1
        if not slot.loaded:
            raise slot.failure or Refusal(
                503, f"model {slot.name!r} has just been unloaded", fix="try again in 1 s"
            )

    async def load(self, name: str) -> None:
        """Load the newest version of a model, and let it stand for the model.

        Raises:
            Refusal: there is none of that name (404), or it cannot be loaded (500, 503).
        """
        try:
            await self.refresh()
        except MillwrightError as error:
            raise _refusal(error, name) from None
        if name not in self.current:
            raise self.unknown(name)
        slot = self._newest(name)
        for own in self._slots.values():
            if own.name == name:
                own.closed = False
        if not slot.loaded:
            await asyncio.shield(self._started(slot))
        if not slot.loaded:
            raise slot.failure or Refusal(503, f"model {name!r} has just been unloaded")
        if self.current[name] is not slot:
            self.current[name] = slot
            self.changed()

    async def unload(self, name: str) -> None:
        """Let all versions of a model go, until it is loaded again; it is not by being asked for.

        Raises:
            Refusal: there is none of that name (404).
        """
        if name not in self.current:
            raise self.unknown(name)
        for slot in self._slots.values():
            if slot.name == name:
                slot.closed = True
                slot.drop(UNLOADED)
                _log.info("unloaded", model=slot.name, version=slot.version)

    def index(self, *, ready: bool | None) -> list[dict[str, str]]:
        """What there is, and whether it is loaded; only what is, or is not, where `ready` says."""
        return [
            {
                "name": slot.name,
                "version": slot.version,
                "state": slot.state,
                "reason": slot.reason,
            }
            for slot in self.slots
            if not ready or slot.state == READY
        ]

    def unknown(self, name: str) -> Refusal:
        """There is no model of that name."""
        return Refusal(
            404,
            f"there is no model {shown(name)} in the repository",
            fix="post to /v2/repository/index for those that there are",
        )

    # -- loading ---------------------------------------------------------------------------------

    def _started(self, slot: Slot) -> asyncio.Task[None]:
        if slot.loading is None:
            slot.state, slot.reason = LOADING, ""
            slot.loading = asyncio.get_running_loop().create_task(self._load(slot))
        return slot.loading

    async def _load(self, slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            artifact, content = await loop.run_in_executor(self._fetching, fetch, slot.uri)
            _check(slot, artifact)
            async with self._one:
                self._make_room(slot, max(slot.cost, len(content)))
                build = partial(_built, slot.name, artifact, content, self.rules.threads)
                model, shared, cost = await loop.run_in_executor(self._building, build)
                if isinstance(model, PredictorModel):
                    await model.workers.start()
                    cost = max(model.workers.cost, len(content))
                slot.cost = max(slot.cost, cost)
                try:
                    self._make_room(slot, slot.cost)
                except Refusal:
                    _release(model)
                    raise
                if slot.closed:
                    _release(model)
                    slot.drop(UNLOADED)
                    return
                slot.fill(model, shared=shared)
        except Refusal as refusal:
            slot.failed(refusal, again=0.0 if refusal.status == 503 else self.rules.again)
        except MillwrightError as error:
            slot.failed(_refusal(error, slot.name), again=self.rules.again)
        except Exception as error:  # noqa: BLE001  whatever it is, somebody waits
            _log.error("failed", model=slot.name, version=slot.version, exc_info=error)
            what = f"model {slot.name!r} cannot be loaded: the server has a fault; see its log"
            slot.failed(Refusal(500, what), again=self.rules.again)
        finally:
            slot.loading = None
        _log.info(
            "loaded" if slot.loaded else "not loaded",
            model=slot.name,
            version=slot.version,
            why=slot.reason,
            bytes=slot.cost,
            seconds=round(loop.time() - began, 3),
        )

    def _make_room(self, wanted: Slot, cost: int) -> None:
        """Let models go until there is room for another: those first that were not asked for the
        longest, and none that is answering.

        Raises:
            Refusal: there is no room for it, now (503) or ever (500).
        """
        most = self.rules.memory
        if most is None:
            return
        if cost > most:
            raise Refusal(
                500,
                f"model {wanted.name!r} takes {cost} bytes, and all models together may take "
                f"{most}",
                fix="start the server with more --memory",
            )
        idle = [
            slot
            for slot in self._slots.values()
            if slot.loaded and not slot.active and not slot.waiting
        ]
        idle.sort(key=lambda slot: slot.used, reverse=True)
        while self.used + cost > most:
            if not idle:
                what = f"there is no memory for model {wanted.name!r}: the others are all in use"
                raise Refusal(503, what, fix="try again in 1 s")
            slot = idle.pop()
            slot.drop("it went to make room for others; it is loaded when it is asked for")
            _log.info("made room", model=slot.name, version=slot.version, bytes=slot.cost)


def _built(name: str, artifact: Artifact, content: bytes, threads: int) -> tuple[Model, bool, int]:
    """A model, whether requests may share calls of it, and what it costs."""
    if artifact.format == "predictor":
        return PredictorModel(name, artifact, content), False, 0
    before = memory.in_use()
    model = Model(name, artifact, content, threads)
    model.warm_up()
    cost = max(memory.in_use() - before, len(content))
    return model, can_share(content, model), cost


def _release(model: Model) -> None:
    if isinstance(model, PredictorModel):
        model.workers.release()


def _check(slot: Slot, artifact: Artifact) -> None:
    if (artifact.name, artifact.version) != (slot.name, slot.version):
        raise ServingError(
            f"its document is of {artifact.name} {artifact.version}",
            where=slot.uri,
            fix="An artifact's folder is <its model>/<its version>.",
        )
    if slot.digest and artifact.digest != slot.digest:
        raise ServingError(
            "it is another model than before; a version never changes",
            where=slot.uri,
            fix="Register the model again: it is another version.",
        )


def _refusal(error: MillwrightError, name: str) -> Refusal:
    sentence = " ".join(str(error).split())
    status = 503 if isinstance(error, UnreachableError) else 500
    return Refusal(status, f"model {name!r} cannot be loaded: {sentence}")
