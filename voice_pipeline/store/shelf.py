"""Sealed blobs of calls on obstore: write once, named by what they hold, gone with their key."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from voice_pipeline.domain import Ref
from voice_pipeline.errors import Permanent, Retryable
from voice_pipeline.store.sealing import Opened, Sealer


class Writer:
    """A blob being written; `ref` exists once the block has ended."""

    def __init__(self, sealer: Sealer, call: str, kind: str) -> None:
        self._sealer, self._call, self._kind = sealer, call, kind
        self._hash = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self._hash.update(data)
        return self._sealer.write(data)

    @property
    def ref(self) -> Ref[Any]:
        return Ref(self._call, self._kind, self._hash.hexdigest())


class _Part:
    """A blob under its working name; storage faults become `Retryable`."""

    def __init__(self, blobs: ObjectStore, path: str, call: str) -> None:
        self._blobs, self._path, self._call = blobs, path, call
        with self._faults():
            self._file = obstore.open_writer(blobs, path, max_concurrency=1)

    def write(self, data: bytes, /) -> None:
        with self._faults():
            self._file.write(data)

    def close(self) -> None:
        with self._faults():
            self._file.close()

    def rename(self, path: str) -> None:
        with self._faults():
            obstore.rename(self._blobs, self._path, path, overwrite=True)

    def discard(self) -> None:
        with suppress(BaseError, OSError):  # the disk may be full: what is left is purged later
            if not self._file.closed():
                self._file.close()
            obstore.delete(self._blobs, self._path)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise Retryable(
                f"a blob of call {self._call} could not be written ({type(error).__name__}); "
                "is the data folder's disk full or read-only?",
                code="storage",
            ) from error


class BlobShelf:
    """Keeps blobs; what they mean is no concern of this class."""

    def __init__(self, blobs: ObjectStore, key_of: Callable[[str], bytes]) -> None:
        """
        Args:
            blobs: a local folder or a bucket.
            key_of: returns a call's data key; raises Permanent (code `erased`) when it is gone.
        """
        self._blobs, self._key_of = blobs, key_of

    @contextmanager
    def open(self, ref: Ref[Any]) -> Iterator[BinaryIO]:
        key, path = self._key_of(ref.call), _path(ref)
        try:
            size = obstore.head(self._blobs, path)["size"]
        except FileNotFoundError as error:
            raise Permanent(
                f"the {ref.kind} of call {ref.call} is no longer kept", code="erased"
            ) from error

        def read(start: int, length: int) -> bytes:
            return bytes(obstore.get_range(self._blobs, path, start=start, length=length))

        with io.BufferedReader(Opened(read, size, key, _name(ref.call, ref.kind))) as file:
            yield cast(BinaryIO, file)

    @contextmanager
    def create(self, call: str, kind: str) -> Iterator[Writer]:
        key, part = self._key_of(call), f"{call}/part-{uuid.uuid4().hex}"
        sink = _Part(self._blobs, part, call)
        try:
            sealer = Sealer(sink, key, _name(call, kind))
            writer = Writer(sealer, call, kind)
            yield writer
            sealer.close()
            sink.close()
            sink.rename(_path(writer.ref))
        except BaseException:
            sink.discard()
            raise

    def put(self, call: str, kind: str, data: bytes) -> Ref[Any]:
        """Keep a small record whole."""
        with self.create(call, kind) as writer:
            writer.write(data)
        return writer.ref

    def get(self, ref: Ref[Any]) -> bytes:
        """Read a small record whole."""
        with self.open(ref) as file:
            return file.read()

    def has(self, ref: Ref[Any]) -> bool:
        try:
            obstore.head(self._blobs, _path(ref))
        except FileNotFoundError:
            return False
        return True

    def delete(self, ref: Ref[Any]) -> None:
        """Delete a blob; one that is gone already is fine."""
        if self.has(ref):
            obstore.delete(self._blobs, _path(ref))

    def delete_call(self, call: str) -> int:
        """Delete every blob of a call and return how many there were."""
        paths = [m["path"] for batch in obstore.list(self._blobs, f"{call}/") for m in batch]
        if paths:
            obstore.delete(self._blobs, paths)
        return len(paths)

    def delete_kind(self, call: str, kind: str) -> int:
        """Delete every blob of one kind of a call and return how many there were."""
        found = obstore.list(self._blobs, f"{call}/")
        paths = [m["path"] for batch in found for m in batch]
        paths = [path for path in paths if path.startswith(f"{call}/{kind}-")]
        if paths:
            obstore.delete(self._blobs, paths)
        return len(paths)


def _path(ref: Ref[Any]) -> str:
    return f"{ref.call}/{ref.kind}-{ref.sha256}"


def _name(call: str, kind: str) -> str:
    return f"{call}/{kind}"
