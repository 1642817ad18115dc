"""Secrets at rest, exactly as Pulumi's passphrase provider keeps them.

A key comes from the passphrase by PBKDF2-SHA256 (1,000,000 rounds) and a salt; every value is
sealed by AES-256-GCM under a nonce of its own. The million rounds cost about half a second, so a
key is derived once in a process, in the background from the moment it is likely to be needed. A
secret that did not change keeps its ciphertext, or each run would rewrite the whole state.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets as randomness
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pocket.errors import DeploymentError

ROUNDS = 1_000_000
PROBE = "pulumi"
"""What the salt's third part holds, encrypted: whoever decrypts it to this has the right
passphrase."""

_keys: dict[tuple[str, bytes], Future[bytes]] = {}
_keys_lock = threading.Lock()


def derive(passphrase: str, salt: bytes) -> Future[bytes]:
    """The key of a passphrase, computed once in this process and in the background."""
    with _keys_lock:
        found = _keys.get((passphrase, salt))
        if found is not None:
            return found
        future: Future[bytes] = Future()
        _keys[passphrase, salt] = future

    def compute() -> None:
        future.set_result(hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS))

    threading.Thread(target=compute, name="derive-key", daemon=True).start()
    return future


def seal(plaintext: str, key: bytes) -> str:
    """``v1:<nonce>:<ciphertext>``, both in base64."""
    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, plaintext.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def unseal(text: str, key: bytes) -> str:
    """The inverse of `seal`.

    Raises:
        DeploymentError: the text has another form, or the key is not the one it was sealed
        with.
    """
    try:
        version, nonce, sealed = text.split(":")
        if version != "v1":
            raise ValueError(version)
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
    except (ValueError, InvalidTag):
        raise DeploymentError(
            "a secret cannot be decrypted",
            fix="Set PULUMI_CONFIG_PASSPHRASE to the passphrase it was encrypted with.",
        ) from None


class Crypter:
    """Encrypts and decrypts the secrets of one stack.

    Args:
        passphrase: what the key is derived from; None where there is none, which fails at the first
            secret.
        state: the salt as Pulumi keeps it (``v1:<salt>:<encrypted probe>``); made on first need
            when empty.
        proposed: nothing is encrypted with this salt yet. It is the settings file's, which may be
            there for a backend with another passphrase; then a new one is made.
    """

    def __init__(self, passphrase: str | None, state: str = "", *, proposed: bool = False) -> None:
        self._passphrase = passphrase
        self._state = state
        self._proposed = proposed
        self._lock = threading.Lock()
        self._key: bytes | None = None
        self._known: dict[tuple[str, str], str] = {}

    @property
    def salt(self) -> str:
        """The salt in Pulumi's form, or an empty text before the first secret."""
        return self._state

    def warm(self) -> None:
        """Begin to derive the key, for a caller that has something else to do meanwhile."""
        if self._state and self._passphrase is not None:
            derive(self._passphrase, salt_bytes(self._state))

    def describe(self) -> dict[str, Any] | None:
        """The ``secrets_providers`` part of a deployment, or None before the first secret."""
        if self._proposed and self._state and self._passphrase is not None:
            self.key()
        return {"type": "passphrase", "state": {"salt": self._state}} if self._state else None

    def encrypt(self, plaintext: str, place: str) -> str:
        """The ciphertext of a secret at a place; what was decrypted there before comes back
        unchanged."""
        with self._lock:
            known = self._known.get((place, plaintext))
        if known is None:
            known = seal(plaintext, self.key())
            with self._lock:
                self._known[place, plaintext] = known
        return known

    def decrypt(self, ciphertext: str, place: str) -> str:
        plaintext = unseal(ciphertext, self.key())
        with self._lock:
            self._known[place, plaintext] = ciphertext
        return plaintext

    def key(self) -> bytes:
        """The key, made with a new salt where the stack has none.

        Raises:
            DeploymentError: there is no passphrase, or it is not the one the salt was made
            with.
        """
        with self._lock:
            if self._key is None:
                self._key = self._open() if self._state else self._start()
            return self._key

    def _open(self) -> bytes:
        key = derive(self._require(), salt_bytes(self._state)).result()
        probe = self._state.split(":", 2)[2]
        try:
            right = unseal(probe, key) == PROBE
        except DeploymentError:
            right = False
        if not right and self._proposed:
            return self._start()
        if not right:
            raise DeploymentError(
                "the passphrase is not this stack's",
                fix="Set PULUMI_CONFIG_PASSPHRASE to the one the stack was made with.",
            )
        return key

    def _start(self) -> bytes:
        salt = os.urandom(8)
        key = derive(self._require(), salt).result()
        self._state = f"v1:{base64.b64encode(salt).decode()}:{seal(PROBE, key)}"
        return key

    def _require(self) -> str:
        if self._passphrase is None:
            raise DeploymentError(
                "the stack has secrets, and there is no passphrase to read them with",
                fix="Set PULUMI_CONFIG_PASSPHRASE.",
            )
        return self._passphrase


def salt_bytes(state: str) -> bytes:
    """The salt inside its Pulumi form.

    Raises:
        DeploymentError: the text has another form.
    """
    parts = state.split(":", 2)
    if len(parts) != 3 or parts[0] != "v1":
        raise DeploymentError(f"{state[:12]!r}… is not a salt of the passphrase provider")
    return base64.b64decode(parts[1])


def read_salt(provider: Mapping[str, Any] | None, *, where: str) -> str:
    """The salt of a state's ``secrets_providers``, or an empty text where it names none.

    Raises:
        DeploymentError: another kind of provider keeps the secrets.
    """
    if not provider:
        return ""
    if provider.get("type") != "passphrase":
        raise DeploymentError(
            f"the {provider.get('type')!r} provider keeps the secrets; passphrase is read here",
            where=where,
            fix="Run `pulumi stack change-secrets-provider passphrase`, or use the CLI.",
        )
    return str(provider["state"]["salt"])


def find_passphrase(file: Path | None, *, create: bool) -> str | None:
    """The passphrase: the environment's, the file's, or a new one written to the file (mode 0600).

    ``PULUMI_CONFIG_PASSPHRASE`` and ``PULUMI_CONFIG_PASSPHRASE_FILE`` come first, as with the CLI.
    """
    if (given := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return given
    if named := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return Path(named).read_text(encoding="utf-8").strip()
    if file is None:
        return None
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    return write_passphrase(file) if create else None


def write_passphrase(file: Path) -> str:
    """A new random passphrase, readable by its owner only. The first of two writers wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text(encoding="utf-8").strip()
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        text = randomness.token_urlsafe(32)
        stream.write(text)
    return text
