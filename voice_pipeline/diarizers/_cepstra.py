"""The sound of a voice in figures: mel cepstra of a stream, every 10 ms.

Decides what of a sound is compared between speakers: the spectral envelope of the telephone band.
Refuses pitch and loudness: measured on telephone band, pitch made telling apart worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]  # shape (frames, CEPSTRA)

# 19 cepstra of 30 mel bands over 25 ms, the front end of Davis & Mermelstein 1980.
RATE = 8000  # Hz
SPAN = 200  # samples of one analysis window
STEP = 80  # samples, 10 ms
TRANSFORM = 512
MEL_BANDS = 30
MEL_EDGES = (200.0, 3600.0)  # Hz
CEPSTRA = 19
PRE_EMPHASIS = 0.97


class Cepstra:
    """Mel cepstra of a stream at 8 kHz, of the frames that are asked for."""

    def __init__(self, wanted: NDArray[np.bool_]) -> None:
        """`wanted`: by frame, from the start of the stream; what lies behind it is not kept."""
        self._wanted = wanted
        self._bank = _mel_bank()
        self._taper = np.hamming(SPAN).astype(np.float32)
        self._carry = np.zeros(SPAN - STEP, dtype=np.float32)
        self._at = 0  # frames so far
        self._found: list[NDArray[np.float16]] = []

    def add(self, sound: NDArray[np.float32]) -> None:
        """Take more samples, shape (n,)."""
        from scipy.fft import dct

        sound = np.concatenate([self._carry, sound])
        count = (len(sound) - SPAN) // STEP + 1 if len(sound) >= SPAN else 0
        self._carry = sound[count * STEP :]
        kept = np.flatnonzero(self._wanted[self._at : self._at + count])
        self._at += count
        if not len(kept):
            return
        sharp = np.append(sound[:1], sound[1:] - np.float32(PRE_EMPHASIS) * sound[:-1])
        frames = np.lib.stride_tricks.sliding_window_view(sharp, SPAN)[kept * STEP]
        power = np.square(np.abs(np.fft.rfft(frames * self._taper, TRANSFORM, axis=1)))
        bands = np.log(power @ self._bank + 1e-6)
        self._found.append(dct(bands, norm="ortho", axis=1)[:, 1 : CEPSTRA + 1].astype(np.float16))

    def end(self) -> Features:
        """Return the cepstra of the wanted frames that the stream had."""
        if not self._found:
            return np.zeros((0, CEPSTRA), dtype=np.float32)
        return np.concatenate(self._found).astype(np.float32)


def _mel_bank() -> NDArray[np.float32]:
    """Return triangular filters, shape (TRANSFORM // 2 + 1, MEL_BANDS)."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in MEL_EDGES)
    mels = np.linspace(low, high, MEL_BANDS + 2)
    centres = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(TRANSFORM, 1 / RATE)
    rise = (bins[:, None] - centres[:-2]) / (centres[1:-1] - centres[:-2])
    fall = (centres[2:] - bins[:, None]) / (centres[2:] - centres[1:-1])
    bank: NDArray[np.float32] = np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
    return bank
