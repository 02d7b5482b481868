"""Muting audio, and proving that it is muted.

Decides sample by sample, in one pass over blocks of any size, so that memory does not grow with
length. Never mixes over speech: samples inside a window are replaced, samples outside it are the
very same, except in the fade where one is asked for. Reads and writes no files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from redaction.records import Window

Block = NDArray[np.int16]  # shape (channels, samples)
Fill = Literal["silence", "tone"]

# What replaces speech when a tone is wanted: the usual 1 kHz at -20 dB below full scale.
TONE_HERTZ = 1000.0
TONE_LEVEL = 0.1
# Seconds: a longer fade would reach from one window into the next (they lie 0.4 s apart).
LONGEST_FADE = 0.05


def mute(
    blocks: Iterable[Block],
    rate: int,
    windows: Sequence[Window],
    *,
    fill: Fill = "silence",
    fade: float = 0.0,
) -> Iterator[Block]:
    """Replace every sample inside the windows; yield blocks of the same shapes.

    Args:
        blocks: int16, shape (channels, samples), in order.
        rate: samples a second.
        windows: seconds; a window's first sample is the one playing at its start, its last the
            one playing at its end.
        fill: zero samples, or a tone that tells a listener that something was cut.
        fade: seconds before and after a window over which the sound goes out and comes back, 0 to
            `LONGEST_FADE`. It lies outside the window, whose every sample is fill; with 0 there
            is none, and everything outside the windows is bit-identical.

    Raises:
        ValueError: the fade is too long.
    """
    if not 0.0 <= fade <= LONGEST_FADE:
        raise ValueError(f"a fade lasts 0 to {LONGEST_FADE} seconds")
    ramp = math.floor(fade * rate)
    position, near = 0, _Near(windows, rate, 1 + ramp)
    for block in blocks:
        length = block.shape[1]
        here = [
            (math.floor(w.start * rate) - position, math.ceil(w.end * rate) - position, w.channels)
            for w in near.between(position, position + length)
        ]
        out = _faded(block, here, ramp) if ramp and here else block.copy()
        for start, end, channels in here:
            first, last = max(0, start), min(length, end)
            if first < last:
                for channel in channels or range(block.shape[0]):
                    if channel < block.shape[0]:
                        out[channel, first:last] = _fill(fill, rate, position + first, last - first)
        yield out
        position += length


def _faded(block: Block, here: Sequence[tuple[int, int, tuple[int, ...]]], ramp: int) -> Block:
    """Return the block, each sample scaled by how far the nearest window is away."""
    length = block.shape[1]
    gain = np.ones(block.shape)
    for start, end, channels in here:
        at = np.arange(max(0, start - ramp), min(length, end + ramp))
        away = np.maximum(start - at, at - end + 1).clip(0) / (ramp + 1)
        for channel in channels or range(block.shape[0]):
            if len(at) and channel < block.shape[0]:
                gain[channel, at] = np.minimum(gain[channel, at], away)
    return np.rint(block * gain).astype(np.int16)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a comparison of the original with the muted audio has shown."""

    samples: int  # per channel, of the original
    inside: int  # samples inside windows, summed over channels
    audible: int  # samples inside windows that are not the fill
    changed: int  # samples outside windows (and fades) that differ from the original
    missing: int  # samples per channel that one of the two has and the other has not
    channels_differ: bool = False

    @property
    def passed(self) -> bool:
        return not (self.audible or self.changed or self.missing or self.channels_differ)


def check(
    original: Iterable[Block],
    muted: Iterable[Block],
    rate: int,
    windows: Sequence[Window],
    *,
    fill: Fill = "silence",
    fade: float = 0.0,
) -> CheckResult:
    """Compare two decoded streams sample by sample against the windows.

    Independent of how `mute` cuts: each sample's own time decides whether it must be fill, may
    be softer than it was (in a fade), or must be the very same.
    """
    position = inside = audible = changed = missing = 0
    reach = 1 + fade * rate
    near = _Near(windows, rate, math.ceil(reach))
    for one, other in _aligned(original, muted):
        if one is None or other is None:
            missing += (one if one is not None else other).shape[1]  # type: ignore[union-attr]
            continue
        if one.shape[0] != other.shape[0]:
            return CheckResult(position, inside, audible, changed, missing, channels_differ=True)
        length = one.shape[1]
        at = np.arange(position, position + length)
        wanted = _fill(fill, rate, position, length)
        here = near.between(position, position + length)
        for channel in range(one.shape[0]):
            must, may, fades = (np.zeros(length, dtype=bool) for _ in range(3))
            for window in here:
                if window.channels and channel not in window.channels:
                    continue
                must |= (at >= window.start * rate) & (at < window.end * rate)
                # The two samples that a window's edges fall between may be fill or original.
                may |= (at > window.start * rate - 1) & (at < window.end * rate + 1)
                if fade:
                    fades |= (at > window.start * rate - reach) & (at < window.end * rate + reach)
            is_fill = other[channel] == wanted
            same = other[channel] == one[channel]
            was, now = one[channel].astype(np.int32), other[channel].astype(np.int32)
            softer = fades & (np.abs(now) <= np.abs(was)) & (now * was >= 0)
            inside += int(must.sum())
            audible += int((must & ~is_fill).sum())
            changed += int((~must & ~same & ~softer & ~(may & is_fill)).sum())
        position += length
    return CheckResult(position, inside, audible, changed, missing)


# ---------------------------------------------------------------- samples


class _Near:
    """The windows that a stream has reached; each is looked at only while it lasts."""

    def __init__(self, windows: Sequence[Window], rate: int, reach: int) -> None:
        self._ahead = sorted(windows, key=lambda window: -window.start)  # the next one is last
        self._open: list[Window] = []
        self._rate = rate
        self._reach = reach  # samples to either side of a window that are its own

    def between(self, first: int, last: int) -> list[Window]:
        """Return the windows whose reach touches these samples; call in order."""
        while self._ahead and self._ahead[-1].start * self._rate - self._reach < last:
            self._open.append(self._ahead.pop())
        self._open = [w for w in self._open if w.end * self._rate + self._reach > first]
        return self._open


def _fill(fill: Fill, rate: int, first: int, length: int) -> Block:
    if fill == "silence":
        return np.zeros(length, dtype=np.int16)
    # The phase comes from the position in the call, so blocks of any size give the same tone.
    phase = (np.arange(first, first + length) * TONE_HERTZ / rate) % 1.0
    return (np.sin(2 * np.pi * phase) * TONE_LEVEL * 32767).astype(np.int16)


def _aligned(
    one: Iterable[Block], other: Iterable[Block]
) -> Iterator[tuple[Block | None, Block | None]]:
    """Cut two streams into blocks of equal length; a stream that ends first gives None."""
    streams = [iter(one), iter(other)]
    held: list[Block | None] = [None, None]
    while True:
        for side, stream in enumerate(streams):
            while (current := held[side]) is None or current.shape[1] == 0:
                following = next(stream, None)
                held[side] = following
                if following is None:
                    break
        left, right = held
        if left is None and right is None:
            return
        if left is None or right is None:
            yield left, right
            held = [None, None]
            continue
        length = min(left.shape[1], right.shape[1])
        yield left[:, :length], right[:, :length]
        held = [left[:, length:], right[:, length:]]
