"""How long recordings will take and what room they need: arithmetic that is shown, not hidden.

Decides nothing: what is measured and what is assumed is said beside each figure.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voice_pipeline import audio
from voice_pipeline.errors import BadInput
from voice_pipeline.store.backlog import Measured

ASSUMED_WORK = 0.5  # seconds of work a second of audio, where no call was measured yet
ASSUMED_RATE = 8000  # bytes a second of audio of a file whose header states no length: 64 kbit/s
MUTED_SHARE = 0.6  # bytes of muted FLAC to bytes of the same audio as 16-bit PCM
RECORDS = 200_000  # bytes of the records of one call
BUSY = 0.7  # share of a day that a machine may be busy: calls do not come evenly
DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Load:
    """Recordings that are to come."""

    files: int
    size: int  # bytes
    audio: float  # seconds
    muted: int  # bytes that their muted copies will have
    guessed: int = 0  # files whose length is a guess from their size

    def __add__(self, other: Load) -> Load:
        return Load(
            self.files + other.files,
            self.size + other.size,
            self.audio + other.audio,
            self.muted + other.muted,
            self.guessed + other.guessed,
        )

    @property
    def room(self) -> int:
        """Bytes that they need on the disk of the data folder."""
        return self.size + self.muted + self.files * RECORDS


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast this installation works."""

    work: float  # seconds a second of audio
    calls: int  # that it was measured on; 0: assumed
    at_once: int  # calls

    @classmethod
    def of(cls, measured: Measured, calls: int) -> Speed:
        """Take what was measured, else the assumption.

        Args:
            calls: that one process works on at once; more than processors brings nothing.
        """
        at_once = max(1, min(calls, os.cpu_count() or 1))
        if measured.calls and measured.audio and measured.work:
            return cls(measured.work / measured.audio, measured.calls, at_once)
        return cls(ASSUMED_WORK, 0, at_once)

    def seconds(self, audio: float) -> float:
        """Return how long so many seconds of audio take."""
        return audio * self.work / self.at_once

    @property
    def source(self) -> str:
        if self.calls:
            return f"measured on {self.calls} calls here"
        return "assumed: no call was measured here yet"


def weigh(files: Iterable[Path]) -> Load:
    """Look at the headers of files; one that cannot be read counts by its size."""
    total = Load(0, 0, 0.0, 0)
    for path in files:
        total += _one(path)
    return total


def _one(path: Path) -> Load:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            probe = audio.probe(file)
    except (OSError, BadInput):
        return Load(1, 0, 0.0, 0)  # it will be named when it is taken
    seconds = probe.duration if probe.duration is not None else size / ASSUMED_RATE
    muted = int(seconds * probe.rate * probe.channels * 2 * MUTED_SHARE)
    return Load(1, size, seconds, muted, guessed=int(probe.duration is None))


def told(load: Load, speed: Speed, free: int) -> Iterator[str]:
    """Say what is to come, one line each."""
    guess = f" ({load.guessed} lengths guessed from sizes)" if load.guessed else ""
    yield f"files      {load.files:,}"
    yield f"audio      {length(load.audio)}{guess}"
    yield (
        f"disk       {size(load.room)} of {size(free)} free: originals {size(load.size)}, "
        f"muted copies {size(load.muted)}, records {size(load.files * RECORDS)}"
    )
    yield (
        f"time       {span(speed.seconds(load.audio))}: {length(load.audio)} x "
        f"{speed.work:.3g} s of work a second of audio ({speed.source}) / {speed.at_once} at once"
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a machine suffices."""

    enough: bool
    lines: tuple[str, ...]


def suffices(
    calls: float,
    minutes: float,
    *,
    speed: Speed,
    free: int,
    raw_days: int,
) -> Verdict:
    """Work out whether a machine keeps up with so many calls a day of so many minutes.

    Args:
        free: bytes on the disk of the data folder.
        raw_days: days that originals are kept.
    """
    audio = calls * minutes * 60
    busy = speed.seconds(audio) / DAY
    pcm = 2 * ASSUMED_RATE * 2  # bytes a second: two channels, 8 kHz, 16 bit
    originals = int(audio * pcm) * raw_days
    a_day = int(audio * pcm * MUTED_SHARE + calls * RECORDS)
    days = max(0.0, (free - originals) / a_day) if a_day else math.inf
    lines = [
        f"audio      {calls:,.0f} calls a day x {minutes:g} min = {audio / 3600:,.1f} h a day",
        f"work       {audio / 3600:,.1f} h x {speed.work:.3g} s a second of audio "
        f"({speed.source}) = {audio * speed.work / 3600:,.1f} h",
        f"busy       / {speed.at_once} calls at once = {busy * 24:,.1f} h of 24 ({busy:.0%}; "
        f"up to {BUSY:.0%} is enough room for busy hours)",
        f"originals  {raw_days} days x {size(int(audio * pcm))} = {size(originals)} "
        "(assumed: WAV, two channels, 8 kHz)",
        f"results    {size(a_day)} a day: muted audio at {MUTED_SHARE:.0%} of it, "
        f"{size(RECORDS)} of records a call",
        f"disk       {size(free)} free: originals, and results of {days:,.0f} days",
    ]
    if busy > BUSY:
        lines.append(f"too slow: {math.ceil(busy / BUSY)} machines like this one would do")
    if days < raw_days or days < 1:
        lines.append("too little disk: make room, or put blobs elsewhere")
    enough = busy <= BUSY and days >= max(1, raw_days)
    if enough:
        lines.append("this machine suffices")
    return Verdict(enough, tuple(lines))


def size(count: int) -> str:
    """Return bytes as people write them."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def length(seconds: float) -> str:
    """Return how much audio it is."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def span(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 90:
        return f"about {math.ceil(seconds)} s"
    if seconds < 2 * 3600:
        return f"about {math.ceil(seconds / 60)} min"
    return (
        f"about {seconds / 3600:,.1f} h" if seconds < 2 * DAY else f"about {seconds / DAY:,.1f} d"
    )
