"""Sample formats and rates: any decoded frame to s16, any rate to any other.

Decides nothing about content. Arithmetic is libswresample's, so results do not depend on how a
recording is cut into frames; samples that are no number become zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Channel layouts by count, only so that libav accepts that many; no channel is ever mixed.
LAYOUTS = ("", "mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")


def to_s16(frame: Any) -> NDArray[np.int16]:
    """Return a decoded frame as s16, shape (channels, n)."""
    values: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.int16:
        return np.ascontiguousarray(values)
    if values.dtype == np.uint8:
        centred: NDArray[np.int16] = values.astype(np.int16) - np.int16(128)
        return np.left_shift(centred, 8, dtype=np.int16)
    if values.dtype.kind == "i":  # s32, s64: the upper 16 bits, as libswresample
        upper: NDArray[np.int16] = (values >> (8 * values.dtype.itemsize - 16)).astype(np.int16)
        return upper
    return float_to_s16(values)


def float_to_s16(values: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """Return floats of range -1..1 as s16: rounded to even, clipped; NaN and infinity as zero."""
    sound = np.where(np.isfinite(values), values, 0)
    scaled = np.rint(np.clip(sound, -1, 1) * 32768)
    rounded: NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype(np.int16)
    return rounded


class Resampler:
    """Changes the rate of a stream of blocks; the first sample stays where it was."""

    def __init__(self, source: int, target: int, channels: int) -> None:
        import av

        self._source = source
        self._layout = LAYOUTS[channels]
        self._channels = channels
        # packed: PyAV cannot fill eight planes
        self._resampler = av.AudioResampler(format="flt", layout=self._layout, rate=target)

    def add(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is ready after one more block; both (channels, n), range -1..1."""
        import av

        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.T).reshape(1, -1), format="flt", layout=self._layout
        )
        frame.sample_rate = self._source
        return self._join(self._resampler.resample(frame))

    def end(self) -> NDArray[np.float32]:
        """Return the rest; nothing may be added afterwards."""
        return self._join(self._resampler.resample(None))

    def add_s16(self, block: NDArray[np.int16]) -> NDArray[np.int16]:
        return float_to_s16(self.add(block.astype(np.float32) / np.float32(32768)))

    def end_s16(self) -> NDArray[np.int16]:
        return float_to_s16(self.end())

    def _join(self, frames: list[Any]) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = [
            frame.to_ndarray().reshape(-1, self._channels).T for frame in frames
        ]
        if not parts:
            return np.zeros((self._channels, 0), dtype=np.float32)
        return np.concatenate(parts, axis=1)
