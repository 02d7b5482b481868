"""Master keys: what seals the data key of each call. One wraps, all that are still here open.

A wrapped key says which master key sealed it, so that keys can change while calls stay as they
are. Refuses to guess: a key that is missing is named by its id, never made anew over old calls.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voice_pipeline.errors import Misconfigured, Permanent

MASTER_KEY = "master.key"
SIGNING_KEY = "signing.key"  # Ed25519 seed of the redaction logs
FORMER = "master-{}.key"  # by id: keys of before a rotation

KEY = 32  # bytes
MAGIC, ID, NONCE = b"VPK1", 8, 12
PREFIX = len(MAGIC) + ID  # what stands before the nonce: which key, in which form
UNNAMED = NONCE + KEY + 16  # bytes of a wrapped key of before keys had ids


class MasterKey(Protocol):
    """Wraps data keys; a key service would be one more class with these three."""

    @property
    def id(self) -> bytes:
        """Eight bytes that name the key and say nothing about it."""

    def wrap(self, call: str, key: bytes) -> bytes:
        """Seal a call's data key."""

    def unwrap(self, call: str, wrapped: bytes) -> bytes:
        """Open what `wrap` made; raises InvalidTag where another key or call did."""


class HeldKey:
    """A master key whose 32 bytes this process holds."""

    def __init__(self, key: bytes) -> None:
        self._aes = AESGCM(key)
        self.id = hashlib.sha256(b"voice-pipeline master key id" + key).digest()[:ID]

    def wrap(self, call: str, key: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        named = MAGIC + self.id
        return named + nonce + self._aes.encrypt(nonce, key, named + call.encode())

    def unwrap(self, call: str, wrapped: bytes) -> bytes:
        if len(wrapped) == UNNAMED:
            return self._aes.decrypt(wrapped[:NONCE], wrapped[NONCE:], call.encode())
        named, nonce = wrapped[:PREFIX], wrapped[PREFIX : PREFIX + NONCE]
        return self._aes.decrypt(nonce, wrapped[PREFIX + NONCE :], named + call.encode())


class KeySource(Protocol):
    """Where master keys come from."""

    def stamp(self) -> object:
        """Return something that changes when the keys do; cheap."""

    def load(self) -> Sequence[MasterKey]:
        """Return the key that wraps, then the others that open."""


class GivenKeys:
    """Keys that the settings point at: they change when the process starts anew."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [HeldKey(key) for key in keys]

    def stamp(self) -> object:
        return None

    def load(self) -> Sequence[MasterKey]:
        return self._keys


class FolderKeys:
    """Keys in the data folder: every process of the folder sees a new one at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def stamp(self) -> object:
        found = (self._root / MASTER_KEY).stat()
        return found.st_ino, found.st_mtime_ns

    def load(self) -> Sequence[MasterKey]:
        first = HeldKey(read_key(self._root / MASTER_KEY))
        others = [HeldKey(read_key(path)) for path in sorted(self._root.glob(FORMER.format("*")))]
        return [first, *(key for key in others if key.id != first.id)]

    def renew(self) -> None:
        """Make a new master key and keep the one before; killed in between, nothing is lost.

        The caller holds the set-up lock.
        """
        path = self._root / MASTER_KEY
        before = read_key(path)
        write_key(self._root / FORMER.format(HeldKey(before).id.hex()), before)
        write_key(path, new_key())

    def forget(self, key: MasterKey) -> None:
        (self._root / FORMER.format(key.id.hex())).unlink(missing_ok=True)


class KeyRing:
    """The master keys of a store, read again when they changed. Threads share one."""

    def __init__(self, source: KeySource) -> None:
        self._source, self._lock = source, threading.Lock()
        self._stamp: object = object()  # unlike any
        self._keys: Sequence[MasterKey] = ()
        self.refresh()

    @property
    def source(self) -> KeySource:
        return self._source

    def refresh(self, *, former: bool = False) -> Sequence[MasterKey]:
        """Return the keys as they are now, the one that wraps first.

        Args:
            former: look for former keys that came or went as well, at the cost of reading all.
        """
        with self._lock:
            stamp = self._source.stamp()
            if former or stamp != self._stamp:
                self._keys, self._stamp = self._source.load(), stamp
            return self._keys

    def wrap(self, call: str, key: bytes) -> bytes:
        return self.refresh()[0].wrap(call, key)

    def unwrap(self, call: str, wrapped: bytes) -> bytes:
        """Open a call's data key.

        Raises:
            Permanent: none of the master keys sealed it (code `wrong_master_key`).
        """
        for keys in self._looks():
            for key in keys:
                if len(wrapped) == UNNAMED or wrapped[:PREFIX] == MAGIC + key.id:
                    try:
                        return key.unwrap(call, wrapped)
                    except InvalidTag:
                        continue
        name = "" if len(wrapped) == UNNAMED else f" {key_id(wrapped).hex()}"
        raise Permanent(
            f"the call was sealed with another master key{name}; restore that key",
            code="wrong_master_key",
        )

    def _looks(self) -> Iterator[Sequence[MasterKey]]:
        """Yield the keys that are known, then what is there once more is looked for."""
        yield self._keys
        yield self.refresh(former=True)


def key_id(wrapped: bytes) -> bytes:
    """Return the id of the master key that sealed this; empty: of before keys had ids."""
    return b"" if len(wrapped) == UNNAMED else wrapped[len(MAGIC) : PREFIX]


def new_key() -> bytes:
    return AESGCM.generate_key(bit_length=8 * KEY)


def parse_key(text: str, name: str) -> bytes:
    """Read a key as people keep it in a secret store: 32 bytes in hex or base64.

    Raises:
        Misconfigured: it is neither (code `key_form`).
    """
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY else base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY:
        raise Misconfigured(
            f"`{name}` must be 32 bytes in hex or base64, for example from `openssl rand -hex 32`",
            code="key_form",
        )
    return key


def read_key(path: Path) -> bytes:
    """Read one of the folder's keys.

    Raises:
        Misconfigured: the file is no key (code `key_file`).
    """
    key = path.read_bytes()
    if len(key) != KEY:
        raise Misconfigured(
            f"{path}: not a key; restore the file that belongs to this data folder",
            code="key_file",
        )
    return key


def write_key(path: Path, key: bytes) -> None:
    """Write a key that only its owner can read; it is on the disk before it has its name."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
