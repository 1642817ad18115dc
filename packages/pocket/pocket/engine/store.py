"""A stack's files: a folder of its name with the state, its journal, its lock and its last states.

The state is only ever replaced as a whole, by an atomic rename, after the journal has been folded
into it; a reader finds either the old state with a journal or the new state. One process at a time
may change a stack.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pocket.engine import state as states
from pocket.engine.journal import JournalFile, Snapshot, read_journal, writing
from pocket.engine.secrets import Crypter, read_salt
from pocket.engine.state import Deployment
from pocket.errors import DeploymentError
from pocket.files import HeldError, locked, write_whole

HISTORY = 20
"""How many former states are kept."""


@dataclass(frozen=True)
class Loaded:
    """What the files hold: the state with its journal folded in, and the digest of the
    checkpoint."""

    deployment: Deployment
    crypter: Crypter
    base: str
    resumed: bool
    """Whether a journal was found: the last run did not end by itself."""


class Store:
    """The files of one stack.

    Args:
        folder: what holds the folders of stacks.
        stack: the stack's name.
        passphrase: what secrets are encrypted with, or None.
        salt: the stack's salt where its configuration file has one.
    """

    def __init__(self, folder: Path, stack: str, passphrase: str | None, salt: str = "") -> None:
        self.directory = folder / stack
        self.stack = stack
        self._passphrase = passphrase
        self._salt = salt

    @property
    def state_path(self) -> Path:
        return self.directory / "state.json"

    @property
    def journal_path(self) -> Path:
        return self.directory / "journal.jsonl"

    @contextmanager
    def locked(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Hold the stack's lock; a lock left by a process that died is taken over, and that is
        told.

        The lock is the operating system's, so it cannot outlive its process; the process id inside
        is for people.

        Raises:
            DeploymentError: another process holds it.
        """
        path = self.directory / "lock"
        with ExitStack() as stack:
            try:
                with writing(path):
                    self.directory.mkdir(parents=True, exist_ok=True)
                    died = stack.enter_context(locked(path, wait=False))
            except HeldError as held:
                raise DeploymentError(
                    f"another run holds the stack (process {held.holder or 'unknown'})",
                    where=str(path),
                    fix="Wait until it ends.",
                ) from None
            if died:
                tell(f"process {died} died while it held the stack {self.stack}; taking over")
            yield

    def warm(self) -> None:
        """Begin to derive the key that the state's secrets need, if it has any."""
        self.crypter().warm()

    def load(self) -> Loaded:
        """The state, with what an interrupted run left in the journal."""
        text = self._text()
        base = digest(text)
        document = parse(text, self.state_path)
        crypter = self.crypter(document)
        deployment = (
            states.load(document, crypter, where=str(self.state_path)) if text else Deployment()
        )
        records = read_journal(self.journal_path, base)
        if not records:
            return Loaded(deployment, crypter, base, resumed=False)
        if salt := next((one["salt"] for one in records if "salt" in one), ""):
            crypter = Crypter(self._passphrase, salt)
        snapshot = Snapshot(deployment, None, crypter)
        snapshot.replay(record for record in records if "salt" not in record)
        return Loaded(snapshot.deployment(), crypter, base, resumed=True)

    def crypter(self, document: Mapping[str, Any] | None = None) -> Crypter:
        """What encrypts and decrypts the state's secrets."""
        if document is None:
            document = parse(self._text(), self.state_path)
        provider = (document.get("deployment") or {}).get("secrets_providers")
        salt = read_salt(provider, where=str(self.state_path))
        return Crypter(self._passphrase, salt or self._salt, proposed=not salt)

    def journal(self, base: str) -> JournalFile:
        return JournalFile(self.journal_path, base)

    def save(self, deployment: Deployment, crypter: Crypter) -> bool:
        """Replace the state, keep the former one in the history, and retire the journal.

        Nothing is written where nothing has changed.

        Returns:
            whether anything was written.
        """
        new = json.dumps(states.dump(deployment, crypter), indent=4, ensure_ascii=False) + "\n"
        text = self._text()
        changed = not text or content(parse(text, self.state_path)) != content(json.loads(new))
        if changed:
            if text:
                self._remember(text)
            self._replace(new)
        self.journal_path.unlink(missing_ok=True)
        return changed

    def export(self) -> dict[str, Any]:
        """The document as ``pulumi stack export`` gives it, a journal folded in."""
        loaded = self.load()
        if not loaded.resumed and self.state_path.exists():
            return parse(self._text(), self.state_path)
        return states.dump(loaded.deployment, loaded.crypter)

    def _remember(self, text: str) -> None:
        history = self.directory / "history"
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        with writing(history):
            history.mkdir(exist_ok=True)
            write_whole(history / f"{stamp}.json", text)
        for old in sorted(history.glob("*.json"))[:-HISTORY]:
            old.unlink()

    def _replace(self, text: str) -> None:
        with writing(self.state_path):
            self.directory.mkdir(parents=True, exist_ok=True)
            write_whole(self.state_path, text)

    def _text(self) -> str:
        try:
            # What is no UTF-8 is no JSON either, which is said where it is parsed.
            return self.state_path.read_text(encoding="utf-8", errors="backslashreplace")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise DeploymentError(
                f"the state cannot be read: {getattr(error, 'strerror', None) or error}",
                where=str(self.state_path),
                fix=f"Let this user read it, or copy the last one from {self.directory}/history.",
            ) from None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, path: Path) -> dict[str, Any]:
    """The document in a state file.

    Raises:
        DeploymentError: it is not JSON.
    """
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeploymentError(
            f"the state is not JSON: {error}",
            where=str(path),
            fix=f"Copy the last whole one from {path.parent / 'history'}.",
        ) from None
    if not isinstance(found, dict):
        raise DeploymentError("the state is not a document", where=str(path))
    return found


def content(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a document that say something about the stack.

    Left out are when it was written and in which of the possible orders its resources stand: with
    several at once, that differs from run to run.
    """
    deployment = document.get("deployment") or {}
    found = {key: value for key, value in deployment.items() if key != "manifest"}
    resources = found.get("resources", ())
    found["resources"] = sorted(resources, key=lambda one: (one["urn"], one.get("id", "")))
    return found
