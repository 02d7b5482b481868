"""Where somebody speaks: an adaptive energy detector, and a gate between channels.

Decides by level alone, because speech that is left out here is personal data nobody looks for:
trained detectors miss whole voices, a level does not. Refuses to call steady sound (hiss, hum,
digital silence) speech; music and changing noise pass, and the transcriber must say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]  # shape (channels, frames), dBFS in the speech band
Mask = NDArray[np.bool_]  # shape (channels, frames)
Spans = tuple[tuple[float, float], ...]  # [start, end) seconds, in order

FRAME = 0.01  # seconds a level stands for
SILENCE = -120.0  # dBFS: the level of digital silence
# Below this nothing can be understood: one step of mu-law is 8/32768, -72 dBFS.
FAINTEST = -70.0
BAND = (150.0, 3800.0)  # Hz: no hum, no hiss; what a telephone carries of speech
# Noise is what the quietest tenth of 20 s around a moment does not exceed; steady noise smoothed
# over 30 ms stays within 2 dB of it (chi-square of 75 degrees and more), so 6 dB is a change.
NOISE_SHARE = 10  # percent
NOISE_REACH = 10.0  # seconds to either side
ABOVE_NOISE = 6.0  # dB
SMOOTH = 3  # frames
SHORTEST = 0.05  # seconds of activity that are no click
BRIDGED = 0.5  # seconds: shorter pauses belong to what is said
MARGIN = 0.2  # seconds kept before and after, for soft first and last sounds
# The cross-channel gate as measured on synthetic calls with -40 to -12 dB of bleed: of 6 and
# 10 dB only 6 keeps the other side out, and nobody is missed.
GATE = 6.0  # dB
GATE_SMOOTH = 15  # frames, 150 ms
# What lies this far below another channel's voice is what joint-stereo coding leaks (opus: 42 to
# 48 dB below on a synthetic call); of somebody's own voice nothing could be made out under it.
MASKED = 40.0  # dB
# Bleed is looked for where the other side is loud; it must follow that side and stand out.
LOUD_SHARE = 60  # percentile of the other side's active levels
BLEED_SHARE = 0.5  # of these frames must be lifted above the channel's own noise
BLEED_LIKENESS = 0.5  # correlation of the two levels in dB
BLEED_FRAMES = 50  # half a second at least
LOUDEST_BLEED = -2.0  # dB: two sides that are equally loud are no echo of each other


class LevelMeter:
    """Collects the level of every 10 ms of a stream; 400 bytes a second and channel."""

    def __init__(self, rate: int, channels: int) -> None:
        from scipy.signal import butter, sosfilt_zi

        high = min(BAND[1], 0.45 * rate)
        low = min(BAND[0], 0.5 * high)
        self._sos = butter(2, (low, high), "bandpass", fs=rate, output="sos").astype(np.float32)
        self._rest = sosfilt_zi(self._sos).astype(np.float32)
        self._state: NDArray[np.float32] | None = None
        self._frame = frame_length(rate)
        self._carry = np.zeros((channels, 0), dtype=np.float32)
        self._levels: list[Levels] = []

    def add(self, block: NDArray[np.int16]) -> None:
        """Measure more samples, shape (channels, n)."""
        from scipy.signal import sosfilt

        if not block.shape[1]:
            return
        if not block.any():  # digital silence costs nothing, and leaves no echo in the filter
            self._state = None
            heard = block.astype(np.float32)
        else:
            sound = block.astype(np.float32) / np.float32(32768)
            if self._state is None:  # as if the first sample had stood there for ever
                self._state = self._rest[:, None, :] * sound[None, :, :1]
            heard, self._state = sosfilt(self._sos, sound, axis=1, zi=self._state)
        heard = np.concatenate([self._carry, heard], axis=1)
        whole = heard.shape[1] // self._frame
        used = whole * self._frame
        self._carry = heard[:, used:]
        self._keep(heard[:, :used].reshape(heard.shape[0], whole, self._frame))

    def end(self) -> Levels:
        """Return the level of every frame; a last one that is not full counts as it is."""
        if self._carry.shape[1]:
            self._keep(self._carry[:, None, :])
        self._carry = self._carry[:, :0]
        if not self._levels:
            return np.zeros((self._carry.shape[0], 0), dtype=np.float32)
        return np.concatenate(self._levels, axis=1)

    def _keep(self, frames: NDArray[np.float32]) -> None:
        power = np.mean(np.square(frames), axis=2, dtype=np.float64)
        self._levels.append((10 * np.log10(power + 10 ** (SILENCE / 10))).astype(np.float32))


def frame_length(rate: int) -> int:
    """Return the samples of one frame of 10 ms."""
    return max(1, round(rate * FRAME))


def mark(levels: Levels) -> Mask:
    """Return the frames that stand out of the noise around them, channel by channel."""
    return np.stack([_smooth_power(own, SMOOTH) > threshold(own) for own in levels])


def threshold(own: Levels) -> Levels:
    """Return the level that each frame of one channel must exceed to be activity, in dBFS."""
    limit: Levels = np.maximum(_noise(own) + np.float32(ABOVE_NOISE), np.float32(FAINTEST))
    return limit


@dataclass(frozen=True, slots=True)
class Bleed:
    """How far below itself each side is heard on each other channel."""

    # dB, [from][on]; minus infinity where nothing of it is heard
    levels: tuple[tuple[float, ...], ...]

    @property
    def worst(self) -> float | None:
        """The loudest, in dB (negative); None where no side is heard on another channel."""
        loudest = max((level for row in self.levels for level in row), default=-np.inf)
        return float(loudest) if np.isfinite(loudest) else None


def measure_bleed(levels: Levels, active: Mask) -> Bleed:
    """Estimate how loud each channel is heard on each other.

    Where one side is loud and another channel rises with it, decibel for decibel, and stays
    below it, what that channel carries is bleed. The median keeps the frames in which its own
    side answers from counting, as long as people mostly take turns.
    """
    count = levels.shape[0]
    table = [[-np.inf] * count for _ in range(count)]
    soft = np.stack([_smooth(own, GATE_SMOOTH) for own in levels])
    for source in range(count):
        if active[source].sum() < BLEED_FRAMES:
            continue
        loud = soft[source] >= np.percentile(soft[source][active[source]], LOUD_SHARE)
        for other in range(count):
            if other == source:
                continue
            below = loud & (soft[other] - soft[source] < LOUDEST_BLEED)
            lifted = below & active[other]
            if lifted.sum() < max(BLEED_FRAMES, BLEED_SHARE * below.sum()):
                continue
            table[source][other] = _follows(
                soft[source],
                soft[other],
                active[source] & ~(soft[other] - soft[source] >= LOUDEST_BLEED),
                lifted,
            )
    return Bleed(tuple(tuple(row) for row in table))


def _follows(source: Levels, other: Levels, quiet: Mask, lifted: Mask) -> float:
    if np.std(source[quiet]) == 0 or np.std(other[quiet]) == 0:
        return -np.inf
    if np.corrcoef(source[quiet], other[quiet])[0, 1] < BLEED_LIKENESS:
        return -np.inf
    return float(np.median(other[lifted] - source[lifted]))


def gate(levels: Levels, active: Mask, bleed: Bleed) -> Mask:
    """Return `active` without what is only another side's voice.

    A frame goes when another channel is more than 6 dB louder there, and what the channel carries
    is no more than that voice's bleed on it (6 dB of room): own speech during double talk stays.
    Where no bleed was measured nothing goes but what lies 40 dB below.
    """
    kept = active.copy()
    soft = np.stack([_smooth(own, GATE_SMOOTH) for own in levels])
    for source, row in enumerate(bleed.levels):
        for other, level in enumerate(row):
            if source == other:
                continue
            below = soft[source] - soft[other]
            kept[other] &= below <= np.clip(-level - GATE, GATE, MASKED)
    return kept


def spans(active: NDArray[np.bool_], frame: float, end: float) -> Spans:
    """Return the stretches of activity of one channel: clicks out, pauses bridged, margins on.

    Args:
        active: shape (frames,).
        frame: seconds a frame lasts.
        end: seconds, the end of the recording.
    """
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False))
    runs = [(a * frame, b * frame) for a, b in edges.reshape(-1, 2).tolist()]
    near = merge(runs, 0.05)
    long = [(a, b) for a, b in near if b - a >= SHORTEST]
    padded = [(max(0.0, a - MARGIN), min(end, b + MARGIN)) for a, b in long]
    return merge(padded, max(0.0, BRIDGED - 2 * MARGIN))


def merge(runs: list[tuple[float, float]], gap: float) -> Spans:
    """Join ordered spans that are no more than `gap` seconds apart."""
    joined: list[tuple[float, float]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _noise(own: Levels) -> Levels:
    """Return the noise level around each frame, by the second."""
    second = round(1 / FRAME)
    whole = -(-len(own) // second)
    if whole == 0:
        return own
    padded = np.pad(own, (0, whole * second - len(own)), mode="edge").reshape(whole, second)
    reach = round(NOISE_REACH)
    floor = np.empty(whole, dtype=np.float32)
    for at in range(whole):
        around = padded[max(0, at - reach) : at + reach + 1]
        floor[at] = np.percentile(around, NOISE_SHARE) if around.max() > FAINTEST else SILENCE
    return np.repeat(floor, second)[: len(own)]


def _smooth(values: Levels, width: int) -> Levels:
    kernel = np.full(width, 1 / width, dtype=np.float32)
    smooth: Levels = np.convolve(values, kernel, mode="same")[: len(values)]
    return smooth


def _smooth_power(values: Levels, width: int) -> Levels:
    power = np.power(np.float32(10), values / np.float32(10))
    smooth: Levels = 10 * np.log10(_smooth(power, width) + np.float32(10 ** (SILENCE / 10)))
    return smooth
