"""Lays segments into the 30 s windows that Whisper hears, and finds words back in them.

Decides what shares a window: pieces of ONE channel of ONE call and nothing else, so that no word
can land in another's transcript. It refuses to guess whose a word is that lies between two pieces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from redaction.records import Word
from voice_pipeline.domain import Samples, Segment

RATE = 16000  # Hz
WINDOW = 30.0  # seconds, Whisper's input; a longer segment is heard piece by piece
SHORTEST = 0.05  # seconds; less than two frames of the encoder
# Silence between pieces in one window, in seconds: longer than the pause that ends speech for the
# activity detector (0.5 s), so that two utterances do not become one sentence.
GAP = 0.8
# A word may reach so far into a piece that is not its own, in seconds: alignment quantizes to 20 ms
# and smooths over seven steps. One that reaches further could be either's.
REACH = 0.2


class Lane(NamedTuple):
    """One channel of one call."""

    call: str
    channel: int


@dataclass(frozen=True, slots=True)
class Piece:
    """At most 30 s of one segment."""

    segment: int  # position in the list that was handed in
    lane: Lane
    start: float  # seconds into the segment
    samples: Samples = field(repr=False)

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@dataclass(frozen=True, slots=True)
class Window:
    """What is decoded at once: pieces of one lane, with silence between them.

    Raises:
        ValueError: no piece, pieces of two lanes, or more than 30 s.
    """

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if len({piece.lane for piece in self.pieces}) != 1:
            raise ValueError("a window holds pieces of one channel of one call")
        if self.seconds > WINDOW:
            raise ValueError("a window holds 30 s at most")

    @property
    def lane(self) -> Lane:
        return self.pieces[0].lane

    @property
    def seconds(self) -> float:
        return _seconds(self.pieces)

    @property
    def spoken(self) -> float:
        """Seconds without the gaps."""
        return sum(piece.seconds for piece in self.pieces)

    def samples(self) -> Samples:
        """Return the window's sound, 16 kHz."""
        sound = np.zeros(round(self.seconds * RATE), np.float32)
        for piece, start in zip(self.pieces, self.starts(), strict=True):
            at = round(start * RATE)
            sound[at : at + len(piece.samples)] = piece.samples
        return sound

    def starts(self) -> list[float]:
        """Return where each piece begins, seconds into the window."""
        found, at = [], 0.0
        for piece in self.pieces:
            found.append(at)
            at += piece.seconds + GAP
        return found

    def alone(self) -> list[Window]:
        """Return each piece in a window of its own."""
        return [Window((piece,)) for piece in self.pieces]


def cut(segments: Sequence[Segment], spoken: Sequence[bool]) -> list[Piece]:
    """Return the pieces of the segments in which somebody speaks."""
    step = int(WINDOW * RATE)
    return [
        Piece(index, Lane(own.call, own.channel), at / RATE, own.samples[at : at + step])
        for index, own in enumerate(segments)
        if spoken[index]
        for at in range(0, len(own.samples), step)
        if len(own.samples) - at >= SHORTEST * RATE
    ]


def lay_out(pieces: Sequence[Piece], *, pack: bool) -> list[Window]:
    """Return windows of the pieces: one a piece, or as many of one lane as fit where `pack`."""
    if not pack:
        return [Window((piece,)) for piece in pieces]
    lanes: dict[Lane, list[Piece]] = defaultdict(list)
    for piece in pieces:
        lanes[piece.lane].append(piece)
    return [Window(tuple(held)) for mine in lanes.values() for held in _filled(mine)]


def _filled(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    held: list[Piece] = []
    for piece in pieces:
        if held and _seconds([*held, piece]) > WINDOW:
            yield held
            held = []
        held.append(piece)
    if held:
        yield held


def _seconds(pieces: Sequence[Piece]) -> float:
    return sum(piece.seconds for piece in pieces) + GAP * (len(pieces) - 1)


def place(words: Sequence[Word], window: Window) -> list[tuple[Word, ...]] | None:
    """Return each piece's words, with times in seconds into the piece; None: some could be two's.

    A word belongs to the piece that it overlaps most; what hangs over into a gap is cut off, for
    alignment lets a word last until the next one begins.

    Args:
        words: with times in seconds into the window.
        window: where they were heard.
    """
    starts = window.starts()
    ends = [start + piece.seconds for start, piece in zip(starts, window.pieces, strict=True)]
    if len(starts) == 1:  # no neighbour to mistake it for
        return [tuple(_moved(word, 0.0, ends[0]) for word in words)]
    found: list[list[Word]] = [[] for _ in starts]
    for word in words:
        assert word.start is not None and word.end is not None
        shares = [
            min(word.end, end) - max(word.start, start)
            for start, end in zip(starts, ends, strict=True)
        ]  # below zero: how far away
        best = max(range(len(shares)), key=shares.__getitem__)
        others = [share for index, share in enumerate(shares) if index != best]
        if shares[best] < 0 or max(others) > REACH:
            return None
        found[best].append(_moved(word, starts[best], ends[best]))
    return [tuple(own) for own in found]


def _moved(word: Word, start: float, end: float) -> Word:
    assert word.start is not None and word.end is not None
    first = min(max(word.start, start), end)
    last = min(max(word.end, first), end)
    return Word(word.text, first - start, last - start, word.confidence)
