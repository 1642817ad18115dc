"""The resources outlive the server's process: a restart finds what was there.

All of moto's backends are written as one pickle, so that objects that point at each other still
do afterwards, some moments after a change and when the server ends; the file is replaced in one
step, so a kill leaves the former one whole. The bodies of S3's objects lie in files of their own,
written once, for a snapshot must not cost what the lake weighs. A snapshot waits until no request
is running, and requests wait for it: nothing is written half-changed.

What a kill within the moments after a change may lose is that change; what ends in order loses
nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import moto
import structlog
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.common_models import BaseModel
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.s3.models import FakeKey, S3Backend, s3_backends

from pocket.files import write_whole

_log = structlog.get_logger()
_BODY = "pocket_body"
_FORM = f"{moto.__version__} 2"  # what a snapshot holds changes with moto, and with our own names
# Holds generators of its answers' pages, and nothing that is a resource.
_NO_RESOURCES = ("moto.resourcegroupstaggingapi", "moto.moto_api", "moto.instance_metadata")
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_PRIVATE_KEYS: tuple[type, ...] = get_args(PrivateKeyTypes)
_PAUSE = 1.0
_SHARE = 10.0  # a snapshot takes at most a tenth of the time

_Place = tuple[str, str, str, str]  # module, class, account, region


class Gate:
    """Many requests at a time, or one snapshot."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._closed)
            self._closed = True
            self._change.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._change:
                self._closed = False
                self._change.notify_all()


class Persistence:
    """Snapshots of all backends in `folder`.

    Args:
        folder: its own; `state.pickle` and `objects/`.
        gate: which every request that may change something passes.
    """

    def __init__(self, folder: Path, gate: Gate) -> None:
        self._state = folder / "state.pickle"
        self._objects = folder / "objects"
        self._gate = gate
        self._dirty = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="snapshots", daemon=True)

    def start(self) -> None:
        """Write a snapshot some moments after each change from now on."""
        self._thread.start()

    def changed(self) -> None:
        """Something may have changed."""
        self._dirty.set()

    def close(self) -> None:
        """Write what is not yet written, and stop."""
        self._ending.set()
        self._dirty.set()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Write a snapshot now."""
        self._objects.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._gate.alone():
            content, bodies = self._pickled()
        write_whole(self._state, content)
        for path in self._objects.iterdir():
            if path.name not in bodies:
                path.unlink()

    def restore(self) -> set[str]:
        """Put the last snapshot, if it has this form, into its backends; names the services."""
        if not self._state.exists():
            return set()
        with self._state.open("rb") as file:
            version = pickle.load(file)
            if version != _FORM:
                _log.warning("cloud.snapshot_of_another_version", found=version)
                return set()
            states: dict[_Place, dict[str, Any]] = _Unpickler(file, self._objects).load()
        for place, state in states.items():
            _backend(*place).__dict__.update(state)
        _name_buckets()
        return {_service(module) for module, *_ in states}

    def _keep_writing(self) -> None:
        while not self._ending.is_set():
            self._dirty.wait()
            if self._ending.wait(_PAUSE):
                return
            self._dirty.clear()
            started = time.monotonic()
            try:
                self.write()
            except (OSError, pickle.PicklingError, TypeError, AttributeError) as failure:
                _log.error("cloud.snapshot_failed", reason=repr(failure))
            self._ending.wait(_SHARE * (time.monotonic() - started))

    def _pickled(self) -> tuple[bytes, set[str]]:
        output = io.BytesIO()
        pickle.dump(_FORM, output)
        pickler = _Pickler(output, self._objects)
        states = {place: backend.__dict__ for place, backend in backends()}
        pickler.dump(states)
        return output.getvalue(), pickler.bodies


class _Pickler(pickle.Pickler):
    """Backends by their place, S3's bodies by their file, locks as new ones."""

    def __init__(self, output: io.BytesIO, objects: Path) -> None:
        super().__init__(output, protocol=pickle.HIGHEST_PROTOCOL)
        self._objects = objects
        self.bodies: set[str] = set()

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, BaseBackend):
            return _backend, _place(thing)
        if isinstance(thing, FakeKey):
            return _new_key, (), self._without_body(thing)
        if isinstance(thing, AWSManagedPolicy):  # megabytes that every backend has by itself
            return (
                _managed_policy,
                (thing.account_id, thing.arn),
                {"attachment_count": thing.attachment_count},
            )
        if isinstance(thing, _PRIVATE_KEYS):
            key: Any = thing
            form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            return _private_key, (key.private_bytes(*form),)
        if isinstance(thing, _LOCKS):
            return threading.RLock if isinstance(thing, _LOCKS[1]) else threading.Lock, ()
        return NotImplemented

    def _without_body(self, key: FakeKey) -> dict[str, Any]:
        name = key.__dict__.get(_BODY)
        if name is None or not (self._objects / name).exists():
            name = uuid.uuid4().hex
            try:
                body = key.value
            except ValueError:  # deleted, and only remembered
                body = b""
            (self._objects / name).write_bytes(body)
            key.__dict__[_BODY] = name
        self.bodies.add(name)
        state = dict(key.__dict__)
        for field in ("_value_buffer", "lock"):
            state.pop(field, None)
        return state


class _Unpickler(pickle.Unpickler):
    """Gives each of S3's objects its body back."""

    def __init__(self, file: Any, objects: Path) -> None:
        super().__init__(file)
        _restoring.objects = objects


class _Restoring(threading.local):
    objects: Path


_restoring = _Restoring()


def install() -> None:
    """Let S3's objects find their bodies, and let what is deleted go."""

    def put_back(key: FakeKey, state: dict[str, Any]) -> None:
        if "value" in state:  # a copy that moto makes in memory, not one from a snapshot
            _original_setstate(key, state)
            return
        name = state[_BODY]
        body = (_restoring.objects / name).read_bytes()
        _original_setstate(key, {**state, "value": body})
        key.__dict__[_BODY] = name

    def put_value(key: FakeKey, value: bytes) -> None:
        _original_value.fset(key, value)  # type: ignore[misc]
        key.__dict__.pop(_BODY, None)

    s3_object: Any = FakeKey
    s3_object.__setstate__ = put_back
    s3_object.value = property(_original_value.fget, put_value)
    # moto remembers every object ever made, for its own tests: here that keeps each deleted body,
    # and its file, open for as long as the server runs.
    model: Any = BaseModel
    model.__new__ = staticmethod(_untracked)


_original_setstate: Callable[[FakeKey, dict[str, Any]], None] = FakeKey.__setstate__
_original_value: property = FakeKey.__dict__["value"]


def _untracked(cls: type, *given: Any, **asked: Any) -> Any:
    return object.__new__(cls)


def in_use() -> list[BackendDict[Any]]:
    """Each service that was used, with its accounts."""
    instances: list[BackendDict[Any]] = BackendDict._instances  # type: ignore[misc]
    return instances


def backends() -> Iterator[tuple[_Place, BaseBackend]]:
    """Every backend that was used, with its place."""
    for each in list(in_use()):
        if each.backend.__module__.startswith(_NO_RESOURCES):
            continue
        for _, region, backend in each.iter_backends():
            if region.startswith("aws-"):  # the partitions of China and governments
                continue
            yield _place(backend), backend


def _service(module: str) -> str:
    """The service of a backend, by its module: ``moto.s3.models``, or one of ours."""
    ours = f"{__package__.rpartition('.')[0]}."
    return module.removeprefix(ours).removeprefix("moto.").split(".")[0]


def _name_buckets() -> None:
    """The names of buckets are kept beside S3's backends, too, for they are global."""
    for account, partition, backend in s3_backends.iter_backends():
        assert isinstance(backend, S3Backend)
        for name in backend.buckets:
            s3_backends.bucket_accounts[name] = (partition, account)


def _new_key() -> FakeKey:
    """One of S3's objects without anything: its state follows."""
    made: FakeKey = object.__new__(FakeKey)
    return made


def _managed_policy(account: str, arn: str) -> AWSManagedPolicy:
    """The living policy of AWS's own."""
    policy = iam_backends[account][arn.split(":")[1]].managed_policies[arn]
    assert isinstance(policy, AWSManagedPolicy)
    return policy


def _private_key(content: bytes) -> Any:
    return load_der_private_key(content, password=None)


def _place(backend: BaseBackend) -> _Place:
    kind = type(backend)
    return kind.__module__, kind.__qualname__, backend.account_id, backend.region_name


def _backend(module: str, kind: str, account: str, region: str) -> BaseBackend:
    """The living backend of a place."""
    loaded = importlib.import_module(module)
    for value in vars(loaded).values():
        if isinstance(value, BackendDict) and value.backend.__qualname__ == kind:
            found: BaseBackend = value[account][region]
            return found
    raise pickle.UnpicklingError(f"{module} has no backends of {kind}")
