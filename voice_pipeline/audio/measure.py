"""Facts about a recording's sound, from one pass: levels, bandwidth, clipping, twin channels.

Decides what is reported and what later stages build on. Refuses to keep samples: sums, spectra and
10 ms levels are all that stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.audio.activity import (
    FRAME,
    SILENCE,
    LevelMeter,
    Levels,
    Mask,
    frame_length,
    gate,
    mark,
    measure_bleed,
    worst,
)

# A channel whose own speech lasts less is silent: clicks and beeps last as long.
LEAST_SPEECH = 0.2  # seconds

# Bandwidth: where the long-term spectrum of the loud frames falls this far below its own mean of
# 300-3000 Hz. Speech falls 30-40 dB up to 8 kHz (Byrne et al. 1994, JASA 96:2108, figure 1);
# what leaks past telephone filters and resamplers lies deeper.
FALL = 50.0  # dB
SPEECH_CORE = (300.0, 3000.0)  # Hz
WINDOW = 0.032  # seconds of one spectrum
LOUD = 25  # dB below the loudest: frames that count as loud
STANDS_OUT = 4.0  # dB above the spectrum of the quiet frames
CLASSES = 121  # spectra are summed by level, one class a dB from -120 to 0
SPECTRA = 4096  # spectra a channel before every second block is skipped, and so on

# Clipping: two samples running at full scale (mu-law ends at 32124). Loud speech touches full
# scale now and then; more than this share of the loud samples is distortion.
FULL_SCALE = 32000
CLIPPED_SHARE = 1e-3

# Twins: channels whose best correlation within 20 ms is this high differ by a codec's rounding.
TWIN_LIKENESS = 0.98
TWIN_LAG = 0.02  # seconds
TWIN_BLOCKS = 240  # blocks compared before every second one is skipped, and so on
TWIN_SAMPLES = 8192  # compared of each block


@dataclass(frozen=True, slots=True)
class Sound:
    """What a pass over the samples has shown."""

    levels: tuple[float, ...]  # dBFS per channel over own speech; SILENCE where there is none
    speech: tuple[float, ...]  # seconds of own activity per channel
    bleed: float | None  # dB; None: no side is heard on another
    bandwidth: float  # Hz
    clipped: tuple[float, ...]  # share of loud samples at full scale, per channel
    twins: bool  # every channel carries the same but for gain and a small delay


class Measurement:
    """Takes the blocks of one recording and says what they are."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._meter = LevelMeter(rate, channels)
        self._spectra = [_Spectrum(rate) for _ in range(channels)]
        self._clipping = np.zeros((2, channels), dtype=np.int64)  # at full scale, loud
        self._twins = [_Twin(rate) for _ in range(channels - 1)]

    def add(self, block: NDArray[np.int16]) -> None:
        """Measure more samples, shape (channels, n)."""
        self._meter.add(block)
        if not block.any():
            return
        for own, spectrum in zip(block, self._spectra, strict=True):
            spectrum.add(own)
        for other, twin in zip(block[1:], self._twins, strict=True):
            twin.add(block[0], other)
        high = np.abs(block.astype(np.int32)) >= FULL_SCALE
        self._clipping[0] += (high[:, 1:] & high[:, :-1]).sum(axis=1)
        self._clipping[1] += (np.abs(block.astype(np.int32)) >= FULL_SCALE // 4).sum(axis=1)

    def end(self) -> Sound:
        """Return the facts; call once."""
        levels = self._meter.end()
        active = mark(levels)
        twins = bool(self._twins) and all(twin.likeness >= TWIN_LIKENESS for twin in self._twins)
        echoes = measure_bleed(levels, active)
        own = active if twins else gate(levels, active, echoes)
        frame = frame_length(self._rate) / self._rate
        seconds = tuple(float(row.sum()) * frame for row in own)
        heard = [spectrum.bandwidth for spectrum in self._spectra]
        return Sound(
            levels=_levels(levels, own, seconds),
            speech=seconds,
            bleed=None if twins else worst(echoes),
            bandwidth=max((value for value in heard if value), default=self._rate / 2),
            clipped=tuple(float(at / loud) if loud else 0.0 for at, loud in self._clipping.T),
            twins=twins,
        )


def _levels(levels: Levels, active: Mask, seconds: tuple[float, ...]) -> tuple[float, ...]:
    found = []
    for own, marked, length in zip(levels, active, seconds, strict=True):
        if length < max(LEAST_SPEECH, FRAME):
            found.append(SILENCE)
        else:
            power = np.mean(np.power(10.0, own[marked].astype(np.float64) / 10))
            found.append(round(float(10 * np.log10(power)), 1))
    return tuple(found)


class _Spectrum:
    """Power spectra of one channel, summed by the level of their frame."""

    def __init__(self, rate: int) -> None:
        self._size = max(16, round(rate * WINDOW))
        self._taper = np.hanning(self._size).astype(np.float32)
        self._sums = np.zeros((CLASSES, self._size // 2 + 1))
        self._counts = np.zeros(CLASSES, dtype=np.int64)
        self._frequencies = np.fft.rfftfreq(self._size, 1 / rate)
        self._stride = 1
        self._seen = 0

    def add(self, own: NDArray[np.int16]) -> None:
        self._seen += 1
        if self._seen % self._stride:
            return
        whole = len(own) // self._size
        frames = own[: whole * self._size].reshape(whole, self._size).astype(np.float32) / 32768
        power = np.square(np.abs(np.fft.rfft(frames * self._taper, axis=1)))
        level = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
        classes = np.clip(np.rint(level + CLASSES - 1), 0, CLASSES - 1).astype(np.int64)
        np.add.at(self._sums, classes, power)
        self._counts += np.bincount(classes, minlength=CLASSES)
        if self._counts.sum() > SPECTRA * self._stride:
            self._stride *= 2

    @property
    def bandwidth(self) -> float | None:
        """Hz; None where there was nothing but silence."""
        sounding = np.flatnonzero(self._counts[1:]) + 1
        if not len(sounding):
            return None
        loud = sounding[sounding >= sounding[-1] - LOUD]
        quiet = sounding[sounding < sounding[-1] - 2 * LOUD]
        speech = self._mean(loud)
        core = (self._frequencies >= SPEECH_CORE[0]) & (self._frequencies <= SPEECH_CORE[1])
        if not core.any():
            return float(self._frequencies[-1])
        carries = speech > speech[core].mean() * 10 ** (-FALL / 10)
        if len(quiet):
            carries &= speech > self._mean(quiet) * 10 ** (STANDS_OUT / 10)
        above = np.flatnonzero(carries)
        return float(self._frequencies[above[-1]]) if len(above) else float(self._frequencies[-1])

    def _mean(self, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self._sums[classes].sum(axis=0) / self._counts[classes].sum()
        return mean


class _Twin:
    """Correlation of two channels within a small delay, summed over blocks."""

    def __init__(self, rate: int) -> None:
        self._lag = max(1, round(rate * TWIN_LAG))
        self._cross = np.zeros(2 * self._lag + 1)
        self._powers = np.zeros(2)
        self._stride = 1
        self._seen = 0

    def add(self, one: NDArray[np.int16], other: NDArray[np.int16]) -> None:
        self._seen += 1
        if self._seen % self._stride:
            return
        if self._seen > TWIN_BLOCKS * self._stride:
            self._stride *= 2
        pieces = (side[:TWIN_SAMPLES].astype(np.float32) for side in (one, other))
        a, b = (side - side.mean() for side in pieces)
        size = 1 << int(np.ceil(np.log2(len(a) + self._lag)))
        both = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
        self._cross += np.concatenate([both[-self._lag :], both[: self._lag + 1]])
        self._powers += (float(a @ a), float(b @ b))

    @property
    def likeness(self) -> float:
        """0..1, the greatest correlation at any delay."""
        scale = float(np.sqrt(self._powers[0] * self._powers[1]))
        return float(np.abs(self._cross).max()) / scale if scale else 0.0
