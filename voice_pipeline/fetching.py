"""Fetching one large file: resumed where it broke off, checked on the way, whole or not there.

Decides when to try again and when to start over. Refuses to put anything in place whose bytes are
not those that were promised. Only `models pull` calls it.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from voice_pipeline.errors import BadInput, Misconfigured, Permanent, PipelineError, Retryable

BLOCK = 1 << 20  # bytes
SPARE = 100 << 20  # bytes that must stay free on the disk
ATTEMPTS = 6  # in a row without a single byte; one that brings some counts anew
LONGEST_PAUSE = 30.0  # seconds
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file's bytes must hash to."""

    kind: Literal["sha256", "git"]  # git: SHA-1 of a blob, which hubs list for small files
    value: str  # hexadecimal

    def begin(self, size: int) -> Any:
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def fits(self, path: Path) -> bool:
        """Return whether a file that is there has these bytes."""
        running = self.begin(path.stat().st_size)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                running.update(block)
        return bool(running.hexdigest() == self.value)


def make_room(folder: Path, needed: int) -> None:
    """Make sure that a folder's disk has room.

    Raises:
        Misconfigured: it has not (code `disk_full`), or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Misconfigured(
            f"{folder}: cannot be made ({error.strerror or type(error).__name__}); set `models` to "
            "a folder you may write to",
            code="output",
        ) from error
    if free < needed + SPARE:
        raise _full(folder, f"{needed / 1e6:.0f} MB are to come and {free / 1e6:.0f} MB are free")


def part_of(target: Path, digest: Digest) -> Path:
    """Return where a file waits until it is whole: hidden, and named by what it will be."""
    return target.with_name(f".{target.name}.{digest.value[:12]}.part")


def fetch(
    url: str,
    target: Path,
    *,
    size: int,
    digest: Digest,
    token: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
    pause: float = 1.0,
    timeout: float = 60.0,
) -> None:
    """Fetch a file, going on where an earlier attempt or process stopped.

    Args:
        url: where it is; redirects are followed, without the token.
        target: where it goes.
        size: bytes it must have.
        digest: what they must hash to.
        token: for the hub; None: nobody asks.
        progress: called with the bytes that are newly there.
        pause: seconds before the second attempt; doubled each time.
        timeout: seconds without a byte after which an attempt is given up.

    Raises:
        Retryable: the other side cannot be reached, or keeps breaking off (`hub_unreachable`);
            what has arrived is kept.
        BadInput: it refuses, or has no such file (`hub_refused`).
        Permanent: the bytes are not those promised (`hash_mismatch`); they are deleted.
        Misconfigured: the disk is full (`disk_full`).
    """
    if target.is_file() and not target.is_symlink() and digest.fits(target):
        progress(size)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target, digest)
    if part.is_symlink() or (part.exists() and not part.is_file()):
        part.unlink()  # nothing of ours: it would be written through, or read without end
    failures = 0
    with part.open("a+b") as file:
        download = _Download(url, file, size, digest, token, progress, timeout)
        while not download.whole:
            before = download.have
            try:
                download.go_on()
            except _Passing as error:
                failures = 0 if download.have > before else failures + 1
                if failures >= ATTEMPTS:
                    raise Retryable(
                        f"{target.name} could not be fetched ({error}); what has arrived is kept: "
                        "run the same command again",
                        code="hub_unreachable",
                    ) from None
                time.sleep(min(LONGEST_PAUSE, pause * 2 ** max(0, failures - 1)))
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise _full(target.parent, "the disk is full") from None
        file.flush()
        os.fsync(file.fileno())
    if not download.right:
        part.unlink()
        raise Permanent(
            f"{target.name} is not the file that was promised; it was deleted. Try again; if it "
            "happens again, somebody on the way changes it",
            code="hash_mismatch",
        )
    part.replace(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Passing(Exception):
    """This attempt failed; another may not."""


class _Download:
    """One file on its way."""

    def __init__(
        self,
        url: str,
        file: BinaryIO,
        size: int,
        digest: Digest,
        token: str | None,
        progress: Callable[[int], None],
        timeout: float,
    ) -> None:
        self._url, self._file, self._size, self._digest = url, file, size, digest
        self._token, self._progress, self._timeout = token, progress, timeout
        self.have = 0
        self._running = digest.begin(size)
        file.seek(0)
        while block := file.read(BLOCK):
            self._running.update(block)
            self.have += len(block)
        if self.have > size:
            self._start_over()
        self._progress(self.have)

    @property
    def whole(self) -> bool:
        return self.have == self._size

    @property
    def right(self) -> bool:
        return bool(self._running.hexdigest() == self._digest.value)

    def go_on(self) -> None:
        """Ask for the rest and take it."""
        request = urllib.request.Request(self._url, headers={"User-Agent": "voice-pipeline"})
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        if self.have:
            request.add_header("Range", f"bytes={self.have}-")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                self._take(response)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refused(error.code) from None
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            TimeoutError,
            ConnectionError,
        ) as error:
            raise _Passing(type(getattr(error, "reason", error)).__name__) from None

    def _take(self, response: Any) -> None:
        told = response.headers.get("Content-Range", "")
        if self.have and not (response.status == 206 and told.startswith(f"bytes {self.have}-")):
            self._start_over()  # it sends everything, or something else than was asked for
        while block := response.read(BLOCK):
            if self.have + len(block) > self._size:
                self._start_over()
                raise Permanent(
                    "more bytes came than were promised; what came was deleted",
                    code="hash_mismatch",
                )
            self._file.write(block)
            self._running.update(block)
            self.have += len(block)
            self._progress(len(block))
        if not self.whole:
            raise _Passing("it broke off")

    def _start_over(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._progress(-self.have)
        self.have, self._running = 0, self._digest.begin(self._size)

    def _refused(self, status: int) -> PipelineError | _Passing:
        if status == 416:  # we have more than there is: not of this file
            self._start_over()
            return _Passing("it has no such part")
        if status in PASSING:
            return _Passing(f"it answered {status}")
        return refused(status)


def refused(status: int) -> BadInput:
    """Return the error for a hub that will not give a file or a list of files."""
    if status in (401, 403):
        why = (
            "it wants to know who asks: accept the model's terms at the hub, and set the hub's "
            "token as its own tools do (HF_TOKEN)"
        )
    elif status == 404:
        why = "there is no such repository, revision or file, or it is private"
    else:
        why = "see what the hub says of this model"
    return BadInput(f"the hub refused ({status}): {why}", code="hub_refused")


def _full(folder: Path, why: str) -> Misconfigured:
    return Misconfigured(
        f"{folder}: {why}; make room, or set `models` to a folder on another disk; what has "
        "arrived is kept",
        code="disk_full",
    )
