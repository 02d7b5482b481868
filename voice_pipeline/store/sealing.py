"""The sealed format: AES-256-GCM in chunks, so that long audio is read piece by piece.

Layout: magic `VPS1`, chunk size (4 bytes, big endian), nonce prefix (8 random bytes), then the
chunks, each its ciphertext and 16-byte tag. Chunk n has the nonce prefix + n (4 bytes) and
authenticates the blob's name, n, and whether it is the last one: a chunk cannot be changed,
moved, left out or cut off unseen. Refuses to return a byte that was not authenticated.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voice_pipeline.errors import Permanent

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGIC = b"VPS1"
HEADER = struct.Struct(">4sI8s")
CHUNK = 1 << 20  # plain bytes a chunk
TAG = 16  # bytes, GCM


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Sealer:
    """Seals a stream into a sink; `close` writes the last chunk."""

    def __init__(self, sink: Sink, key: bytes, name: str) -> None:
        self._sink, self._aes, self._name = sink, AESGCM(key), name
        self._prefix, self._chunk, self._rest = os.urandom(8), 0, bytearray()
        sink.write(HEADER.pack(MAGIC, CHUNK, self._prefix))

    def write(self, data: bytes | memoryview) -> int:
        left = memoryview(data)
        # whole chunks are sealed where they lie; the last one is written by close, marked as such
        while len(self._rest) + len(left) > CHUNK:
            missing = CHUNK - len(self._rest)
            if self._rest:
                self._rest += left[:missing]
                self._put(self._rest, last=False)
                self._rest = bytearray()
            else:
                self._put(left[:missing], last=False)
            left = left[missing:]
        self._rest += left
        return len(data)

    def close(self) -> None:
        self._put(self._rest, last=True)

    def _put(self, plain: bytearray | memoryview, *, last: bool) -> None:
        nonce = self._prefix + struct.pack(">I", self._chunk)
        self._sink.write(
            self._aes.encrypt(nonce, plain, _associated(self._name, self._chunk, last))
        )
        self._chunk += 1


class Opened(io.RawIOBase):
    """A sealed blob as a seekable file of its plain bytes; one chunk in memory at a time."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, key: bytes, name: str) -> None:
        """
        Args:
            read: returns `length` bytes from `start` of the sealed blob.
            size: bytes of the sealed blob.
            key: the call's data key.
            name: what the blob was sealed as.
        """
        super().__init__()
        self._read, self._aes, self._name = read, AESGCM(key), name
        if size < HEADER.size + TAG:
            raise _damaged()
        magic, self._size, self._prefix = HEADER.unpack(read(0, HEADER.size))
        if magic != MAGIC or not 0 < self._size <= 1 << 26:
            raise _damaged()
        sealed = self._size + TAG
        self._count = -(-(size - HEADER.size) // sealed)
        self._last = size - HEADER.size - (self._count - 1) * sealed  # sealed bytes, last chunk
        if self._last < TAG:
            raise _damaged()
        self.length = (self._count - 1) * self._size + self._last - TAG  # plain bytes
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        if self._at >= self.length or not len(view):
            return 0
        chunk, within = divmod(self._at, self._size)
        piece = self._plain(chunk)[within : within + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _plain(self, chunk: int) -> bytes:
        if self._held[0] != chunk:
            last = chunk == self._count - 1
            start = HEADER.size + chunk * (self._size + TAG)
            sealed = self._read(start, self._last if last else self._size + TAG)
            nonce = self._prefix + struct.pack(">I", chunk)
            try:
                plain = self._aes.decrypt(nonce, sealed, _associated(self._name, chunk, last))
            except InvalidTag as error:
                raise _damaged() from error
            self._held = (chunk, plain)
        return self._held[1]


def _associated(name: str, chunk: int, last: bool) -> bytes:
    return f"{name}/{chunk}/{int(last)}".encode()


def _damaged() -> Permanent:
    return Permanent(
        "a kept blob was changed or cut after it was written; restore it from a backup",
        code="damaged_blob",
    )
