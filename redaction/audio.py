"""Muting audio, proving that it is muted, and finding key tones in it.

Decides sample by sample, in one pass over blocks of any size, so that memory does not grow with
length. Never mixes over speech: samples inside a window are replaced, samples outside are the very
same. Reads and writes no files.
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


def mute(
    blocks: Iterable[Block], rate: int, windows: Sequence[Window], *, fill: Fill = "silence"
) -> Iterator[Block]:
    """Replace every sample inside the windows; yield blocks of the same shapes.

    Args:
        blocks: int16, shape (channels, samples), in order.
        rate: samples a second.
        windows: seconds; a window's first sample is the one playing at its start, its last the
            one playing at its end.
        fill: zero samples, or a tone that tells a listener that something was cut.
    """
    position, near = 0, _Near(windows, rate)
    for block in blocks:
        length = block.shape[1]
        out = block.copy()
        for window in near.between(position, position + length):
            first = max(0, math.floor(window.start * rate) - position)
            last = min(length, math.ceil(window.end * rate) - position)
            if first < last:
                for channel in window.channels or range(block.shape[0]):
                    if channel < block.shape[0]:
                        out[channel, first:last] = _fill(fill, rate, position + first, last - first)
        yield out
        position += length


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a comparison of the original with the muted audio has shown."""

    samples: int  # per channel, of the original
    inside: int  # samples inside windows, summed over channels
    audible: int  # samples inside windows that are not the fill
    changed: int  # samples outside windows that differ from the original
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
) -> CheckResult:
    """Compare two decoded streams sample by sample against the windows.

    Independent of how `mute` cuts: each sample's own time decides whether it must be fill.
    """
    position = inside = audible = changed = missing = 0
    near = _Near(windows, rate)
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
            must, may = np.zeros(length, dtype=bool), np.zeros(length, dtype=bool)
            for window in here:
                if window.channels and channel not in window.channels:
                    continue
                must |= (at >= window.start * rate) & (at < window.end * rate)
                # The two samples that a window's edges fall between may be fill or original.
                may |= (at > window.start * rate - 1) & (at < window.end * rate + 1)
            is_fill = other[channel] == wanted
            same = other[channel] == one[channel]
            inside += int(must.sum())
            audible += int((must & ~is_fill).sum())
            changed += int((~must & ~same & ~(may & is_fill)).sum())
        position += length
    return CheckResult(position, inside, audible, changed, missing)


# ---------------------------------------------------------------- key tones

# ITU-T Q.23: one low and one high tone sound together for each key.
LOW_TONES = (697.0, 770.0, 852.0, 941.0)
HIGH_TONES = (1209.0, 1336.0, 1477.0, 1633.0)
# Seconds a frame: 26 ms separates the tones at any rate, and Q.24 asks for keys from 40 ms on.
FRAME = 0.0256
# Share of a frame's energy that must sit in the pair; voices rarely pass one half.
PURE = 0.7
# dB by which the stronger tone may exceed the weaker (Q.24 allows 4 to 8, phones differ).
TWIST = 10.0
# dB by which each tone must exceed every other of its group.
APART = 8.0
# dBFS: quieter than this nobody can read a key from a telephone line (Q.24: -36 is the receiver's
# limit; 12 dB kept in hand).
QUIETEST = -48.0
# Consecutive frames, half a frame apart, with the same key.
STEADY = 3
# Key presses closer than this belong to one entry.
KEY_GAP = 0.5


def key_tones(blocks: Iterable[Block], rate: int) -> list[tuple[float, float, int]]:
    """Return where telephone keys were pressed: (start, end, channel), seconds, sorted.

    A bank of Goertzel filters (one projection on cosine and sine per tone and frame), with the
    usual tests for purity, twist and steadiness. Which key it was is not said: it is personal data.
    """
    if rate < 2 * 1700:
        return []
    size = max(64, round(FRAME * rate))
    hop = size // 2
    time = np.arange(size) / rate
    frequencies = np.array(LOW_TONES + HIGH_TONES)
    angles = 2 * np.pi * time[:, None] * frequencies[None, :]
    bank = np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rest: NDArray[np.float32] | None = None
    start = 0  # sample at which `rest` begins
    runs: dict[int, tuple[int, int, int]] = {}  # channel -> key, first frame start, frames
    found: list[tuple[float, float, int]] = []

    def close(channel: int) -> None:
        key, first, frames = runs.pop(channel, (-1, 0, 0))
        if key >= 0 and frames >= STEADY:
            end = first + (frames - 1) * hop + size
            found.append((first / rate, end / rate, channel))

    for block in blocks:
        piece = block.astype(np.float32) / 32768.0
        rest = piece if rest is None else np.concatenate([rest, piece], axis=1)
        count = (rest.shape[1] - size) // hop + 1
        if count < 1:
            continue
        for channel in range(rest.shape[0]):
            frames = np.lib.stride_tricks.sliding_window_view(rest[channel], size)[::hop][:count]
            for index, key in enumerate(_keys(frames, bank, size)):
                if channel in runs and runs[channel][0] == key:
                    runs[channel] = (key, runs[channel][1], runs[channel][2] + 1)
                else:
                    close(channel)
                    runs[channel] = (key, start + index * hop, 1)
        rest = rest[:, count * hop :]
        start += count * hop
    for channel in list(runs):
        close(channel)
    return _entries(found)


def key_windows(tones: Iterable[tuple[float, float, int]], pad: float) -> tuple[Window, ...]:
    """Return the windows that mute key tones, as card data: padded, on every channel."""
    return tuple(Window(max(0.0, a - pad), b + pad, (), "finding") for a, b, _ in tones)


def _keys(frames: NDArray[np.float32], bank: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    """The key of each frame, or -1."""
    frames = np.ascontiguousarray(frames)  # overlapping views would miss the fast product
    energy = np.einsum("fs,fs->f", frames, frames) / size  # mean square
    # Mean square of the tone of each frequency: amplitude is 2|X|/N, its mean square half of that.
    parts = frames @ bank / size
    power = 2.0 * (parts[:, :8] ** 2 + parts[:, 8:] ** 2)
    low, high = power[:, :4], power[:, 4:]
    best_low, best_high = low.argmax(axis=1), high.argmax(axis=1)
    row = np.arange(len(frames))
    strong_low, strong_high = low[row, best_low], high[row, best_high]
    pure = strong_low + strong_high >= PURE * energy
    loud = energy >= 10 ** (QUIETEST / 10)
    factor = 10 ** (TWIST / 10)
    level = (strong_low <= factor * strong_high) & (strong_high <= factor * strong_low)
    apart = 10 ** (APART / 10)
    clear = (strong_low >= apart * np.sort(low, axis=1)[:, -2]) & (
        strong_high >= apart * np.sort(high, axis=1)[:, -2]
    )
    return np.where(pure & loud & level & clear, best_low * 4 + best_high, -1)


def _entries(found: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    joined: list[tuple[float, float, int]] = []
    for channel in sorted({channel for _, _, channel in found}):
        own = sorted((a, b) for a, b, c in found if c == channel)
        first, last = own[0]
        for a, b in own[1:]:
            if a - last > KEY_GAP:
                joined.append((first, last, channel))
                first = a
            last = max(last, b)
        joined.append((first, last, channel))
    return sorted(joined)


# ---------------------------------------------------------------- samples


class _Near:
    """The windows that a stream has reached; each is looked at only while it lasts."""

    def __init__(self, windows: Sequence[Window], rate: int) -> None:
        self._ahead = sorted(windows, key=lambda window: -window.start)  # the next one is last
        self._open: list[Window] = []
        self._rate = rate

    def between(self, first: int, last: int) -> list[Window]:
        """Return the windows that touch these samples or their neighbours; call in order."""
        while self._ahead and self._ahead[-1].start * self._rate - 1 < last:
            self._open.append(self._ahead.pop())
        self._open = [w for w in self._open if w.end * self._rate + 1 > first]
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
