"""A prefix of an S3 bucket as a place that recordings turn up in.

Looks at the objects directly below the prefix; ended ones go to `done/` and `failed/` below it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from voice_pipeline.errors import BadInput, Retryable
from voice_pipeline.ways_in.facts import LARGEST_SIDECAR
from voice_pipeline.ways_in.watching import SIDECAR, End, counts, numbered, sidecars

REASON = ".reason.txt"
AHEAD = 1 << 20  # bytes that are read at once


class BucketPlace:
    """Recordings below a prefix."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        """
        Args:
            store: opened at the prefix.
            name: as people wrote it, for messages.
        """
        self._store, self.label = store, f"watch {name}"
        self._sizes: dict[str, int] = {}
        self._sidecars: set[str] = set()

    def look(self) -> Mapping[str, str]:
        with faults():
            found = obstore.list_with_delimiter(self._store)["objects"]
        marks = {str(one["path"]): _mark(one) for one in found}
        self._sizes = {str(one["path"]): int(one["size"]) for one in found}
        self._sidecars = {name for name in marks if name.lower().endswith(SIDECAR)}
        return {
            name: " ".join([mark, *(marks.get(beside, "-") for beside in sidecars(name))])
            for name, mark in marks.items()
            if counts(name)
        }

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with opened(self._store, name, self._sizes[name]) as file:
            yield file

    def sidecar(self, name: str) -> bytes | None:
        for beside in sidecars(name):
            if beside in self._sidecars:
                if self._sizes[beside] > LARGEST_SIDECAR:
                    raise BadInput("its metadata is larger than 64 KiB", code="meta")
                with faults():
                    return bytes(obstore.get(self._store, beside).bytes())
        return None

    def settle(self, name: str, end: End, reason: str | None) -> None:
        with faults():
            number = 1
            while self._taken(f"{end}/{numbered(name, number)}"):
                number += 1
            target = f"{end}/{numbered(name, number)}"
            if reason is not None:
                obstore.put(self._store, f"{target}{REASON}", f"{reason}\n".encode())
            obstore.rename(self._store, name, target)
            for beside in sidecars(name):
                if beside in self._sidecars:
                    obstore.rename(self._store, beside, f"{target}{SIDECAR}")
                    break

    def _taken(self, path: str) -> bool:
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True


@contextmanager
def opened(store: ObjectStore, path: str, size: int) -> Iterator[BinaryIO]:
    """Open an object to be read in pieces, from any place in it."""
    with io.BufferedReader(_Object(store, path, size), AHEAD) as file:
        yield cast(BinaryIO, file)


@contextmanager
def faults() -> Iterator[None]:
    """Turn what a bucket's server says into ours.

    Raises:
        Retryable: it does not answer, or does not let us (code `bucket`).
    """
    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError) as error:
        raise Retryable(
            f"the bucket does not answer as it should ({type(error).__name__}); is it there, and "
            "may we read and write it?",
            code="bucket",
        ) from None  # the library's message names keys


class _Object(io.RawIOBase):
    """Reads by ranges."""

    def __init__(self, store: ObjectStore, path: str, size: int) -> None:
        self._store, self._path, self._size, self._at = store, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        with faults():
            data = obstore.get_range(self._store, self._path, start=self._at, length=length)
        count = len(data)
        memoryview(buffer)[:count] = memoryview(data)
        self._at += count
        return count


def _mark(told: Any) -> str:
    return f"{told['e_tag']} {told['size']}"
