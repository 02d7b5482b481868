"""What a container states about the length of its audio.

Decides whether a statement can be trusted: a length that a writer could not fill in, or that was
guessed from a bit rate, is none. Looks at headers only.
"""

from __future__ import annotations

from io import SEEK_CUR
from typing import Any, BinaryIO

# A RIFF or AU length field of 2 GiB and more is what writers leave that could not seek back.
UNSEEKABLE_BYTES = 2**31 - 2**16
MOST_CHUNKS = 64  # RIFF chunks looked at before the data chunk must have come
# Formats without a length field of their own: their duration is a guess from the bit rate.
GUESSED_DURATION = frozenset({"mp3", "aac", "amr", "amrnb", "amrwb", "ac3", "eac3", "ogg"})


def promised(container: Any, stream: Any, file: BinaryIO) -> float | None:
    """Return the duration that the file states in so many words, in seconds."""
    names = set(str(container.format.name).split(","))
    if "wav" in names:  # libavformat trusts the file's size here, not the header
        stated = _riff_promise(file)
        if stated is not None:
            return stated or None
    if names & GUESSED_DURATION and not ("mp3" in names and _counts_frames(file)):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration) / 1_000_000
    return None


def _riff_promise(file: BinaryIO) -> float | None:
    """Return the seconds that a RIFF header says its data chunk holds.

    0 where the writer could not seek back to fill the length in, None where the header does not
    say how long a byte lasts.
    """
    here = file.tell()
    file.seek(12)
    byte_rate = 0
    promise: float | None = None
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            if size == 0 or size >= UNSEEKABLE_BYTES:
                promise = 0.0
            elif byte_rate:
                promise = size / byte_rate
            break
        if name == b"fmt ":
            byte_rate = int.from_bytes(file.read(12)[8:], "little")
            file.seek(-12, SEEK_CUR)
        file.seek(size + size % 2, SEEK_CUR)
    file.seek(here)
    return promise


def _counts_frames(file: BinaryIO) -> bool:
    """Return whether an mp3 starts with a Xing, Info or VBRI frame, which states its length."""
    here = file.tell()
    file.seek(0)
    head = file.read(10)
    tag = 0
    if head.startswith(b"ID3"):
        for byte in head[6:10]:
            tag = tag << 7 | byte & 0x7F
        tag += 10
    file.seek(tag)
    first = file.read(512)
    file.seek(here)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))
