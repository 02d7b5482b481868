"""Sealed blobs of calls on obstore: write once, named by what they hold, gone with their key."""

from __future__ import annotations

import hashlib
import io
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore

from voice_pipeline.domain import Ref
from voice_pipeline.errors import BadInput, Permanent, Retryable
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

    def __init__(
        self,
        blobs: ObjectStore,
        key_of: Callable[[str], bytes],
        check_kept: Callable[[str], None] = lambda _call: None,
    ) -> None:
        """
        Args:
            blobs: a local folder or a bucket.
            key_of: returns a call's data key; raises Permanent (code `erased`) when it is gone.
            check_kept: raises the same for a call that was erased meanwhile, whatever a cache
                says.
        """
        self._blobs, self._key_of, self._check_kept = blobs, key_of, check_kept

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
        try:  # an erasure ends the key before it looks for blobs: it sees this one, or we see it
            self._check_kept(call)
        except Permanent:
            self.delete_call(call)
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

    def delete_kind(self, call: str, kind: str) -> int:
        """Delete every blob of one kind of a call and return how many there were."""
        paths = [path for path in self._paths(call) if path.startswith(f"{call}/{kind}-")]
        if paths:
            obstore.delete(self._blobs, paths)
        return len(paths)

    def kinds(self, call: str) -> dict[str, int]:
        """Return how many blobs of each kind a call has; what is still being written is `part`."""
        names = [path.removeprefix(f"{call}/").partition("-")[0] for path in self._paths(call)]
        return dict(sorted(Counter([*names, *("part" for _ in self._strays(call))]).items()))

    def delete_call(self, call: str) -> int:
        """Delete every blob of a call, whole or half written, and return how many there were."""
        paths, strays = self._paths(call), self._strays(call)
        if paths:
            obstore.delete(self._blobs, paths)
        if isinstance(self._blobs, LocalStore) and self._blobs.prefix is not None:
            shutil.rmtree(Path(self._blobs.prefix) / _plain(call), ignore_errors=True)
        return len(paths) + len(strays)

    def _paths(self, call: str) -> list[str]:
        return [m["path"] for batch in obstore.list(self._blobs, f"{_plain(call)}/") for m in batch]

    def _strays(self, call: str) -> list[Path]:
        """Return files that a folder holds and its listing hides: uploads that never ended."""
        if not isinstance(self._blobs, LocalStore) or self._blobs.prefix is None:
            return []
        folder = Path(self._blobs.prefix) / _plain(call)
        listed = {path.removeprefix(f"{call}/") for path in self._paths(call)}
        return [path for path in folder.glob("*") if path.name not in listed]


def _plain(call: str) -> str:
    """Refuse a name that would lead out of the folder of blobs."""
    if not call or "/" in call or "\\" in call or call in (".", ".."):
        raise BadInput("that is no call id; `calls list` shows them", code="not_found")
    return call


def _path(ref: Ref[Any]) -> str:
    return f"{ref.call}/{ref.kind}-{ref.sha256}"


def _name(call: str, kind: str) -> str:
    return f"{call}/{kind}"
