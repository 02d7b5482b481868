"""Takes recordings from places that others put them into, again and again.

Decides when a recording is complete (two looks see the same) and where it goes then: `done`, or
`failed` with a reason. Refuses nothing silently, and loses nothing: what cannot be taken now stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import BinaryIO, Literal, Protocol, Self

from sqlalchemy.exc import SQLAlchemyError

from voice_pipeline.errors import BadInput, PipelineError
from voice_pipeline.service import Service
from voice_pipeline.ways_in.facts import NamePattern, flat_json
from voice_pipeline.ways_in.taking import Terms, take

log = logging.getLogger(__name__)

End = Literal["done", "failed"]
UNFINISHED = (".part", ".tmp", ".temp", ".partial", ".filepart", ".crdownload", "~")
SIDECAR = ".json"


class Place(Protocol):
    """Where recordings turn up."""

    label: str  # for messages and logs; names no recording

    def look(self) -> Mapping[str, str]:
        """Return name -> mark of what lies there; the mark changes when the thing does."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a recording to be read, and to be read again."""

    def sidecar(self, name: str) -> bytes | None:
        """Return what lies beside a recording, if something does."""

    def settle(self, name: str, end: End, reason: str | None) -> None:
        """Move a recording and what belongs to it out of the way. Twice is as good as once."""


class Watch:
    """One place, and on what terms recordings are taken from it."""

    def __init__(
        self,
        service: Service,
        place: Place,
        terms: Terms,
        *,
        pattern: NamePattern | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.place = place
        self._service, self._terms = service, terms
        self._pattern, self._metadata = pattern, metadata or {}
        self._before: Mapping[str, str] = {}
        self.taken = self.failed = 0

    def look(self) -> int:
        """Take what has not changed since the last look; return how much is still to be taken."""
        marks = self.place.look()
        left = dict(marks)
        for name, mark in sorted(marks.items()):
            if self._before.get(name) == mark and self._end(name):
                del left[name]
        self._before = left
        return len(left)

    def _end(self, name: str) -> bool:
        """Take a recording and move it; return whether it is out of the way."""
        try:
            try:
                reason = self._take(name)
                end: End = "done"
            except BadInput as error:
                end, reason = "failed", f"{error.code}: {error.message}"
            self.place.settle(name, end, reason)
        except (PipelineError, SQLAlchemyError, OSError) as error:
            code = error.code if isinstance(error, PipelineError) else type(error).__name__
            log.warning("%s: a recording stays for now (%s)", self.place.label, code)
            return False
        if end == "done":
            self.taken += 1
        else:
            self.failed += 1
            log.warning("%s: a recording failed (%s)", self.place.label, (reason or "")[:40])
        return True

    def _take(self, name: str) -> str | None:
        metadata = dict(self._metadata)
        if self._pattern is not None:
            metadata |= self._pattern.read(name)
        beside = self.place.sidecar(name)
        if beside is not None:
            metadata |= flat_json(beside)
        with self.place.open(name) as file:
            taken = take(self._service, file, name, metadata, self._terms)
        return f"known: these bytes are call {taken.call} already" if taken.known else None


class Watcher:
    """Looks at places until it is told to stop."""

    def __init__(self, watches: Sequence[Watch], every: float) -> None:
        """
        Args:
            every: seconds between looks.
        """
        self._watches, self._every = watches, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def __enter__(self) -> Self:
        if self._watches:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._watches:
            self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            for watch in self._watches:
                look(watch)
            self._stop.wait(self._every)


def look(watch: Watch) -> int | None:
    """Look once; return how much is left, or None where the place does not answer now."""
    try:
        return watch.look()
    except (PipelineError, SQLAlchemyError, OSError) as error:
        log.warning("%s: could not be looked at (%s)", watch.place.label, type(error).__name__)
        return None


def counts(name: str) -> bool:
    """Say whether a name is a recording's: not hidden, not unfinished, no sidecar."""
    low = name.lower()
    return not low.startswith(".") and not low.endswith((*UNFINISHED, SIDECAR))


def sidecars(name: str) -> tuple[str, str]:
    """Return the names that the metadata of a recording may have: a.wav.json, a.json."""
    return f"{name}{SIDECAR}", f"{name.rpartition('.')[0] or name}{SIDECAR}"


def numbered(name: str, number: int) -> str:
    """Return a name for the second recording of the same name, and so on."""
    if number == 1:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}.{suffix}" if dot and stem else f"{name}-{number}"
