"""A folder of this machine as a place that recordings turn up in.

Looks at plain files directly in it. Refuses links and folders: whoever may write there should not
be able to have another file of this machine read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.ways_in.facts import LARGEST_SIDECAR
from voice_pipeline.ways_in.watching import SIDECAR, End, counts, numbered, sidecars

REASON = ".reason.txt"


class Folder:
    """Recordings in a folder, ended ones in `done` and `failed` below it."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            Misconfigured: there is no such folder, or it cannot be written (code `watch_folder`).
        """
        self.path, self.label = path, f"watch {path}"
        try:
            for end in ("done", "failed"):
                (path / end).mkdir(exist_ok=True)
            usable = os.access(path, os.R_OK | os.W_OK | os.X_OK)
        except OSError:
            usable = False
        if not usable:
            raise Misconfigured(
                f"{path}: is no folder that can be read and written; recordings are moved out of "
                "it when they are taken",
                code="watch_folder",
            )

    def look(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if counts(entry.name) and (mark := _mark(self.path / entry.name)):
                    beside = [_mark(self.path / name) for name in sidecars(entry.name)]
                    found[entry.name] = f"{mark} {beside}"
        return found

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            handle = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError:
            raise BadInput("cannot be read; check its permissions", code="unreadable") from None
        with os.fdopen(handle, "rb") as file:
            yield file

    def sidecar(self, name: str) -> bytes | None:
        for beside in sidecars(name):
            path = self.path / beside
            if _mark(path):
                with path.open("rb") as file:
                    data = file.read(LARGEST_SIDECAR + 1)
                if len(data) > LARGEST_SIDECAR:
                    raise BadInput("its metadata is larger than 64 KiB", code="meta")
                return data
        return None

    def settle(self, name: str, end: End, reason: str | None) -> None:
        folder, number = self.path / end, 1
        while (folder / numbered(name, number)).exists():
            number += 1
        target = numbered(name, number)
        told = folder / f"{target}{REASON}"
        if reason is not None:
            told.write_text(f"{reason}\n", "utf-8")
        try:
            # before its sidecar: without that, what failed for it might be taken the next time
            (self.path / name).rename(folder / target)
        except FileNotFoundError:  # another process was here
            told.unlink(missing_ok=True)
            raise
        for beside in sidecars(name):
            if _mark(self.path / beside):
                (self.path / beside).rename(folder / f"{target}{SIDECAR}")
                break


def _mark(path: Path) -> str:
    """Return what changes when a plain file does; empty where there is none."""
    try:
        told = path.lstat()
    except OSError:
        return ""
    return f"{told.st_size} {told.st_mtime_ns}" if stat.S_ISREG(told.st_mode) else ""
