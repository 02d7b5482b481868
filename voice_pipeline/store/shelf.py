"""Sealed blobs of calls on obstore: write once, named by what they hold, gone with their key.

A blob is written under a working name and gets its own when it is whole, or in one piece where
it is small: nobody ever sees half of one. A blob that is there already is kept; only one that
its call's key does not open (left over from before a restore) is replaced.
"""

from __future__ import annotations

import glob
import hashlib
import io
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError
from obstore.store import LocalStore, ObjectStore

from voice_pipeline.domain import Ref
from voice_pipeline.errors import BadInput, Permanent, Retryable
from voice_pipeline.store.sealing import Opened, Sealer

PARTS = "parts"  # folder of blobs that are being written
SMALL = 4 << 20  # bytes: kept in memory and written in one piece
WINDOW = 4 << 20  # bytes asked for at once: a server answers a few big questions sooner


class Writer:
    """A blob being written; `ref` exists once the block has ended."""

    def __init__(self, sealer: Sealer, call: str, kind: str) -> None:
        self._sealer, self._call, self._kind = sealer, call, kind
        self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview, /) -> int:
        self._hash.update(data)
        return self._sealer.write(data)

    @property
    def ref(self) -> Ref[Any]:
        return Ref(self._call, self._kind, self._hash.hexdigest())


class _Part:
    """A blob on its way: in memory while small, then under its working name."""

    def __init__(self, blobs: ObjectStore, call: str) -> None:
        self._blobs, self._call = blobs, call
        self._path = f"{PARTS}/{call}-{uuid.uuid4().hex}"
        self._held: list[bytes] = []
        self._size = 0  # bytes held
        self._file: Any = None  # obstore.WritableFile, once there is too much to hold

    def write(self, data: bytes, /) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size > SMALL:
            self._spill()

    def settle(self, path: str, opens: Callable[[], bool]) -> None:
        """Give the blob its name. Where that is taken, the older one stays if it opens."""
        if self._file is not None:
            self._spill()
            with _faults(self._call):
                self._file.close()
        try:
            self._name(path, overwrite=False)
        except AlreadyExistsError:
            if opens():
                self.discard()
            else:
                self._name(path, overwrite=True)
        except NotSupportedError:  # a server without conditional writes
            self._name(path, overwrite=True)

    def discard(self) -> None:
        """Drop what was written; with the disk full or the server gone, upkeep does so later."""
        self._held.clear()
        if self._file is not None:
            with suppress(BaseError, OSError):
                if not self._file.closed():
                    self._file.close()
                obstore.delete(self._blobs, self._path)

    def _spill(self) -> None:
        with _faults(self._call):
            if self._file is None:
                self._file = obstore.open_writer(self._blobs, self._path, max_concurrency=1)
            for data in self._held:
                self._file.write(data)
        self._held, self._size = [], 0

    def _name(self, path: str, *, overwrite: bool) -> None:
        with _faults(self._call, but=(AlreadyExistsError, NotSupportedError)):
            if self._file is not None:
                obstore.rename(self._blobs, self._path, path, overwrite=overwrite)
            else:
                mode: Literal["overwrite", "create"] = "overwrite" if overwrite else "create"
                obstore.put(self._blobs, path, b"".join(self._held), mode=mode, use_multipart=False)


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
        """Open a blob as a seekable file of its plain bytes.

        Raises:
            Permanent: it is no longer kept (code `erased`), or was changed (`damaged_blob`).
            Retryable: the folder or server does not answer (code `storage`).
        """
        key = self._key_of(ref.call)
        try:
            read, size = self._reader(ref.call, _path(ref))
        except FileNotFoundError as error:
            raise Permanent(
                f"the {ref.kind} of call {ref.call} is no longer kept", code="erased"
            ) from error
        with io.BufferedReader(Opened(read, size, key, _name(ref.call, ref.kind))) as file:
            yield cast(BinaryIO, file)

    def _reader(self, call: str, path: str) -> tuple[Callable[[int, int], bytes], int]:
        """Return what reads `length` bytes from `start`, and how many bytes there are."""
        with _faults(call, but=(FileNotFoundError,)):
            try:
                first = obstore.get(self._blobs, path, options={"range": (0, WINDOW)})
            except BaseError:  # an empty blob has no range
                if obstore.head(self._blobs, path)["size"]:
                    raise
                return (lambda _start, _length: b""), 0
            at, held = 0, bytes(first.bytes())
        size = first.meta["size"]

        def read(start: int, length: int) -> bytes:
            nonlocal at, held
            if not at <= start <= start + length <= at + len(held):
                end = min(size, start + max(length, WINDOW))
                with _faults(call):
                    held = bytes(obstore.get_range(self._blobs, path, start=start, end=end))
                at = start
            return held[start - at : start - at + length]

        return read, size

    @contextmanager
    def create(self, call: str, kind: str, *, checked: bool = True) -> Iterator[Writer]:
        """Write a blob; it is there, whole, when the block has ended without an error.

        Args:
            checked: ask afterwards whether the call was erased meanwhile; else the caller does,
                where it enters the blob's name.

        Raises:
            Permanent: the call was erased (code `erased`).
            Retryable: the folder or server does not take it (code `storage`).
        """
        key, part = self._key_of(call), _Part(self._blobs, call)
        try:
            sealer = Sealer(part, key, _name(call, kind))
            writer = Writer(sealer, call, kind)
            yield writer
            sealer.close()
            part.settle(_path(writer.ref), lambda: self._opens(writer.ref))
        except BaseException:
            part.discard()
            raise
        if not checked:
            return
        try:  # an erasure ends the key before it looks for blobs: it sees this one, or we see it
            self._check_kept(call)
        except Permanent:
            self.delete_call(call)
            raise

    def put(self, call: str, kind: str, data: bytes, *, checked: bool = True) -> Ref[Any]:
        """Keep a small record whole; `checked` as in `create`."""
        with self.create(call, kind, checked=checked) as writer:
            writer.write(data)
        return writer.ref

    def get(self, ref: Ref[Any]) -> bytes:
        """Read a small record whole."""
        with self.open(ref) as file:
            return file.read()

    def has(self, ref: Ref[Any]) -> bool:
        with _faults(ref.call, but=(FileNotFoundError,)), suppress(FileNotFoundError):
            obstore.head(self._blobs, _path(ref))
            return True
        return False

    def delete(self, ref: Ref[Any]) -> None:
        """Delete a blob; one that is gone already is fine."""
        if self.has(ref):
            with _faults(ref.call), suppress(FileNotFoundError):
                obstore.delete(self._blobs, _path(ref))

    def delete_kind(self, call: str, kind: str) -> int:
        """Delete every blob of one kind of a call and return how many there were."""
        paths = [path for path in self._paths(call) if path.startswith(f"{call}/{kind}-")]
        if paths:
            with _faults(call):
                obstore.delete(self._blobs, paths)
        return len(paths)

    def kinds(self, call: str) -> dict[str, int]:
        """Return how many blobs of each kind a call has; what is still being written is `part`."""
        names = [path.removeprefix(f"{call}/").partition("-")[0] for path in self._paths(call)]
        strays = ["part" for _ in (*self._parts(call), *self._strays(call))]
        return dict(sorted(Counter([*names, *strays]).items()))

    def delete_call(self, call: str) -> int:
        """Delete every blob of a call, whole or half written, and return how many there were."""
        paths, strays = [*self._paths(call), *self._parts(call)], self._strays(call)
        with _faults(call):
            if paths:
                obstore.delete(self._blobs, paths)
        for stray in strays:
            stray.unlink(missing_ok=True)
        if (folder := self._folder()) is not None:
            shutil.rmtree(folder / _plain(call), ignore_errors=True)
        return len(paths) + len(strays)

    def _paths(self, call: str) -> list[str]:
        return self._listed(f"{_plain(call)}/")

    def _parts(self, call: str) -> list[str]:
        return [path for path in self._listed(f"{PARTS}/") if path.startswith(f"{PARTS}/{call}-")]

    def _listed(self, folder: str) -> list[str]:
        with _faults(None):
            return [m["path"] for batch in obstore.list(self._blobs, folder) for m in batch]

    def _strays(self, call: str) -> list[Path]:
        """Return files that a folder holds and its listing hides: writes that never ended."""
        if (folder := self._folder()) is None:
            return []
        found = [*(folder / _plain(call)).glob("*"), *folder.glob(f"{PARTS}/{glob.escape(call)}-*")]
        listed = {folder / path for path in (*self._paths(call), *self._parts(call))}
        return [path for path in found if path not in listed]

    def _folder(self) -> Path | None:
        """Return where the blobs lie, if that is a folder of this machine."""
        return Path(str(self._blobs.prefix)) if isinstance(self._blobs, LocalStore) else None

    def check(self) -> None:
        """Ask whether the folder or bucket is there.

        Raises:
            Retryable: it is not, or does not let us in (code `storage`).
        """
        with _faults(None):
            next(iter(obstore.list(self._blobs, f"{PARTS}/", chunk_size=1)), None)

    def sweep(self, before: float) -> int:
        """Remove what killed processes left of blobs that they were writing; return how many.

        Args:
            before: seconds since the epoch; younger ones may still be written.
        """
        with _faults(None):
            if isinstance(self._blobs, LocalStore):
                return _sweep_folder(Path(str(self._blobs.prefix)), before)
            found = obstore.list(self._blobs, f"{PARTS}/")
            old = [
                m["path"]
                for batch in found
                for m in batch
                if m["last_modified"].timestamp() < before
            ]
            if old:
                obstore.delete(self._blobs, old)
            return len(old)

    def _opens(self, ref: Ref[Any]) -> bool:
        """Tell whether the blob of that name is what it says, to its last byte."""
        try:
            with self.open(ref) as file:
                digest = hashlib.sha256()
                while piece := file.read(WINDOW):
                    digest.update(piece)
        except Permanent:
            return False
        return digest.hexdigest() == ref.sha256


def _sweep_folder(folder: Path, before: float) -> int:
    """The same in a folder, where obstore does not list what it has not finished."""
    swept = 0
    for pattern in (f"{PARTS}/*", "*/part-*"):  # the second: of a release before the first
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError):  # its writer has just ended
                if path.stat().st_mtime < before:
                    path.unlink()
                    swept += 1
    return swept


@contextmanager
def _faults(call: str | None, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn the storage's own faults into `Retryable`, but for those that mean something here."""
    try:
        yield
    except but:
        raise
    except (BaseError, OSError) as error:
        raise Retryable(
            f"a blob of {f'call {call}' if call else 'the store'} could not be read or written "
            f"({type(error).__name__}); is the disk full or read-only, does the server answer?",
            code="storage",
        ) from error


def _plain(call: str) -> str:
    """Refuse a name that would lead out of the folder of blobs."""
    if not call or "/" in call or "\\" in call or call in (".", "..", PARTS):
        raise BadInput("that is no call id; `calls list` shows them", code="not_found")
    return call


def _path(ref: Ref[Any]) -> str:
    return f"{ref.call}/{ref.kind}-{ref.sha256}"


def _name(call: str, kind: str) -> str:
    return f"{call}/{kind}"
