"""Telephone key tones in audio: where keys were pressed, never which.

Decides by physics alone: two pure, steady tones of the right frequencies, at once. Refuses to say
which key it was: that is personal data. Speech, music and the tones of the network are no keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redaction.records import Window

Block = NDArray[np.int16]  # shape (channels, samples)
Floats = NDArray[np.float32]

# ITU-T Q.23: one low and one high tone sound together for each key.
LOW_TONES = (697.0, 770.0, 852.0, 941.0)
HIGH_TONES = (1209.0, 1336.0, 1477.0, 1633.0)
# Seconds a frame: 26 ms separates the tones at any rate, and Q.24 asks for keys from 40 ms on; at
# a quarter of a frame a step, 40 ms hold two whole frames and two that are nearly whole.
FRAME = 0.0256
STEPS = 4  # a frame
# Share of a frame's energy that must sit in the pair; voices rarely pass one half.
PURE = 0.7
STEADY = 3  # consecutive frames with the same key
# Keys pressed while somebody speaks: less of the energy is theirs, so they must last longer, and
# neither tone may change its level as voices do.
PURE_IN_SPEECH = 0.3
STEADY_IN_SPEECH = 5
LEVEL_CHANGE = 3.0  # dB, between the loudest and the softest frame
# dB by which the stronger tone may exceed the weaker (Q.24 allows 4 to 8, phones differ).
TWIST = 10.0
# dB by which each tone must exceed every other of its group.
APART = 8.0
# Share of its frequency by which a tone may be off: Q.24 wants 1.5 % taken and 3.5 % refused. It
# keeps music and ring-back out, whose notes lie near the tones and not on them.
OFF = 0.025
# dBFS: quieter than this nobody can read a key from a telephone line (Q.24: -36 is the receiver's
# limit; 12 dB kept in hand).
QUIETEST = -48.0
# Key presses closer than this belong to one entry.
KEY_GAP = 0.5
# Seconds of sound looked at together: bounds memory, whatever the size of a block.
PIECE = 10.0


def key_tones(blocks: Iterable[Block], rate: int) -> list[tuple[float, float, int]]:
    """Return where telephone keys were pressed: (start, end, channel), seconds, sorted.

    A bank of Goertzel filters (one projection on cosine and sine per tone and frame), with the
    usual tests for purity, twist, frequency and steadiness.
    """
    if rate < 2 * 1700:
        return []
    bank = _Bank(rate)
    rest: Block | None = None
    start = 0  # frames before `rest`
    open_runs: dict[int, _Run] = {}
    found: list[tuple[float, float, int]] = []

    def close(channel: int) -> None:
        run = open_runs.pop(channel, None)
        if run is not None and run.is_key():
            first = run.first * bank.step
            found.append((first / rate, (first + bank.span(run.frames)) / rate, channel))

    for block in _pieces(blocks, round(PIECE * rate)):
        rest = block if rest is None else np.concatenate([rest, block], axis=1)
        count = (rest.shape[1] - bank.size) // bank.step  # one more frame is needed behind each
        if count < 1:
            continue
        for channel, samples in enumerate(rest):
            for index, key, pure, low, high in bank.keys(samples, count):
                run = open_runs.get(channel)
                at = start + index
                if run is None or run.key != key or run.first + run.frames != at:
                    close(channel)
                    run = open_runs[channel] = _Run(key, at)
                run.add(pure, low, high)
        rest = rest[:, count * bank.step :]
        start += count
    for channel in list(open_runs):
        close(channel)
    return _entries(found)


def key_windows(tones: Iterable[tuple[float, float, int]], pad: float) -> tuple[Window, ...]:
    """Return the windows that mute key tones, as card data: padded, on every channel."""
    return tuple(Window(max(0.0, a - pad), b + pad, (), "finding") for a, b, _ in tones)


@dataclass(slots=True)
class _Run:
    """Frames in a row that show the same key."""

    key: int
    first: int  # frame
    frames: int = 0
    pure: int = 0  # frames in which hardly anything else sounds
    low: tuple[float, float] = (np.inf, -np.inf)  # dB: softest and loudest
    high: tuple[float, float] = (np.inf, -np.inf)

    def add(self, pure: bool, low: float, high: float) -> None:
        self.frames += 1
        self.pure += pure
        self.low = min(self.low[0], low), max(self.low[1], low)
        self.high = min(self.high[0], high), max(self.high[1], high)

    def is_key(self) -> bool:
        change = max(self.low[1] - self.low[0], self.high[1] - self.high[0])
        return self.pure >= STEADY or (self.frames >= STEADY_IN_SPEECH and change <= LEVEL_CHANGE)


class _Bank:
    """Cosines and sines of the eight tones over one frame."""

    def __init__(self, rate: int) -> None:
        self.size = max(64, round(FRAME * rate))
        self.step = self.size // STEPS
        time = np.arange(self.size) / rate
        tones = np.array(LOW_TONES + HIGH_TONES)
        angles = 2 * np.pi * time[:, None] * tones[None, :]
        self._waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        self._turn = 2 * np.pi * tones * self.step / rate  # how far a tone turns in one step
        self._off = 2 * np.pi * tones * OFF * self.step / rate  # ... and how far it may miss that

    def span(self, frames: int) -> int:
        """Return the samples that so many frames cover."""
        return (frames - 1) * self.step + self.size

    def keys(self, samples: Block, count: int) -> Iterable[tuple[int, int, bool, float, float]]:
        """Yield (frame, key, is pure, dB of the low tone, of the high one) where a key is seen."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.size)[:: self.step]
        frames = frames[: count + 1]
        sums = np.add.reduceat(
            np.square(samples, dtype=np.float32),
            np.arange(0, (count + STEPS) * self.step, self.step),
        )[: count + STEPS]
        loud_steps = np.convolve(sums, np.ones(STEPS), mode="valid")[: count + 1]
        loud = loud_steps >= 32768.0**2 * self.size * 10 ** (QUIETEST / 10) * 0.5
        near = np.flatnonzero(loud[:-1] & loud[1:])
        if not len(near):
            return []
        wanted = np.union1d(near, near + 1)
        sound = frames[wanted].astype(np.float32) / np.float32(32768)  # a copy: a fast product
        energy = np.einsum("fs,fs->f", sound, sound) / self.size  # mean square
        parts = sound @ self._waves / self.size
        here, behind = np.searchsorted(wanted, near), np.searchsorted(wanted, near + 1)
        # Mean square of a tone: its amplitude is 2|X|/N, its mean square half of that squared.
        power = 2.0 * (parts[:, :8] ** 2 + parts[:, 8:] ** 2)
        phase = np.arctan2(-parts[:, 8:], parts[:, :8])
        miss = np.angle(np.exp(1j * (phase[behind] - phase[here] - self._turn)))
        power, energy = power[here], energy[here]
        low, high = power[:, :4], power[:, 4:]
        best_low, best_high = low.argmax(axis=1), high.argmax(axis=1)
        row = np.arange(len(near))
        strong_low, strong_high = low[row, best_low], high[row, best_high]
        share = (strong_low + strong_high) / np.maximum(energy, 1e-20)
        twist, apart = 10 ** (TWIST / 10), 10 ** (APART / 10)
        seen = (
            (energy >= 10 ** (QUIETEST / 10))
            & (share >= PURE_IN_SPEECH)
            & (strong_low <= twist * strong_high)
            & (strong_high <= twist * strong_low)
            & (strong_low >= apart * np.sort(low, axis=1)[:, -2])
            & (strong_high >= apart * np.sort(high, axis=1)[:, -2])
            & (np.abs(miss[row, best_low]) <= self._off[best_low])
            & (np.abs(miss[row, 4 + best_high]) <= self._off[4 + best_high])
        )
        return [
            (
                int(near[at]),
                int(best_low[at] * 4 + best_high[at]),
                bool(share[at] >= PURE),
                float(10 * np.log10(strong_low[at])),
                float(10 * np.log10(strong_high[at])),
            )
            for at in np.flatnonzero(seen)
        ]


def _pieces(blocks: Iterable[Block], most: int) -> Iterable[Block]:
    for block in blocks:
        for start in range(0, block.shape[1], most):
            yield block[:, start : start + most]


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
