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
# The cross-channel gate, set on synthetic calls in which people cut in (tests/bench/bleed.py,
# seed 1): what a voice's bleed may exceed its measured level by (8 dB leave 2 % of words at -20 dB
# on the wrong side, 12 dB take a tenth of double talk), and what is never gated.
ROOM = 10.0  # dB
GATE = 8.0  # dB
GATE_SMOOTH = 15  # frames, 150 ms
# What lies this far below another channel's voice is what joint-stereo coding leaks (opus: 42 to
# 48 dB below on a synthetic call); of somebody's own voice nothing could be made out under it.
MASKED = 40.0  # dB
# Bleed follows the other side; how loud it is shows where that side is loud.
LOUD_SHARE = 60  # percentile of the other side's active levels
# Correlation of the two levels in dB where one is this far below the other: nearer, both speak.
# Synthetic calls reach 0.38 without bleed, and 0.35 to 0.55 with -30 dB of it and much double talk.
BLEED_LIKENESS = 0.4
FOLLOWING = -6.0  # dB
BLEED_FRAMES = 50  # half a second at least
LONGEST_DELAY = 30  # frames: echo that comes later than 300 ms is rare on telephone networks
DITHER = -90.0  # dBFS: one step of 16 bit; below it levels say nothing
SMEAR = 4  # frames to either side that an echo is spread over
SCRAP = 15  # frames: what is left shorter than this beside gated frames is their edge
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
        if not block.any():
            self._skip(block.shape[1])
            return
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

    def _skip(self, samples: int) -> None:
        """Take digital silence, which costs nothing and leaves no echo in the filter."""
        self._state = None
        channels, begun = self._carry.shape
        if begun:
            fill = min(samples, self._frame - begun)
            self._carry = np.pad(self._carry, ((0, 0), (0, fill)))
            samples -= fill
            if self._carry.shape[1] < self._frame:
                return
            self._keep(self._carry[:, None, :])
        whole, rest = divmod(samples, self._frame)
        self._levels.append(np.full((channels, whole), SILENCE, dtype=np.float32))
        self._carry = np.zeros((channels, rest), dtype=np.float32)

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
class Echo:
    """How one side is heard on another channel."""

    source: int  # channel of who speaks
    other: int  # channel on which it is heard too
    level: float  # dB below itself, negative
    delay: int  # frames


def measure_bleed(levels: Levels, active: Mask) -> tuple[Echo, ...]:
    """Find which channel is heard on which other one, how loud and how late.

    Where one side speaks and the level of another channel rises and falls with it, below it, that
    channel carries bleed, however faint: noise does not follow. The delay is the one at which the
    two levels are most alike. The median keeps frames in which the other side answers from
    counting, as long as people mostly take turns.
    """
    soft = _soften(levels)
    sides = range(levels.shape[0])
    found = (
        _echo(soft, active, source, other) for source in sides for other in sides if source != other
    )
    return tuple(echo for echo in found if echo is not None)


def worst(echoes: tuple[Echo, ...]) -> float | None:
    """Return the level of the loudest bleed in dB (negative), None where there is none."""
    return max((echo.level for echo in echoes), default=None)


def _echo(soft: Levels, active: Mask, source: int, other: int) -> Echo | None:
    if active[source].sum() < BLEED_FRAMES:
        return None
    best, delay = 0.0, 0
    for late in range(LONGEST_DELAY + 1):
        likeness = _likeness(_held(soft[source], late), soft[other], _delayed(active[source], late))
        if likeness > best:
            best, delay = likeness, late
    if best < BLEED_LIKENESS:
        return None
    own, voice = soft[other], _held(soft[source], delay)
    speaks = _delayed(active[source], delay)
    loud = speaks & (voice >= np.percentile(voice[speaks], LOUD_SHARE))
    below = loud & (own - voice < LOUDEST_BLEED)
    if below.sum() < BLEED_FRAMES:
        return None
    return Echo(source, other, float(np.median(own[below] - voice[below])), delay)


def _likeness(voice: Levels, own: Levels, speaks: NDArray[np.bool_]) -> float:
    """Return how alike two levels are, 0..1, where one speaks and the other is below it."""
    where = speaks & (own - voice < FOLLOWING)
    if where.sum() < BLEED_FRAMES or not (np.ptp(voice[where]) and np.ptp(own[where])):
        return 0.0
    return float(np.corrcoef(voice[where], own[where])[0, 1])


def gate(levels: Levels, active: Mask, echoes: tuple[Echo, ...]) -> Mask:
    """Return `active` without what is only another side's voice.

    A frame goes when another channel is more than 8 dB louder there, and what the channel carries
    is no more than that voice's bleed on it (10 dB of room): own speech during double talk stays.
    So do not: scraps under 150 ms between frames that went. Where no bleed was measured nothing
    goes but what lies 40 dB below.
    """
    soft = _soften(levels)
    kept = active.copy()
    for source, voice in enumerate(soft):
        for other, own in enumerate(soft):
            if source != other:
                kept[other] &= voice - own <= MASKED
    for echo in echoes:
        below = _held(soft[echo.source], echo.delay) - soft[echo.other]
        kept[echo.other] &= below <= np.clip(-echo.level - ROOM, GATE, MASKED)
    for row, before in zip(kept, active, strict=True):
        _drop_scraps(row, before & ~row)
    return kept


def _drop_scraps(kept: NDArray[np.bool_], gone: NDArray[np.bool_]) -> None:
    """Clear short runs that touch what the gate took away: the edges of a voice's bleed."""
    edges = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2).tolist():
        near = gone[max(0, start - SMOOTH) : end + SMOOTH]
        if end - start < SCRAP and near.any():
            kept[start:end] = False


def _soften(levels: Levels) -> Levels:
    return np.stack([_smooth(own, GATE_SMOOTH) for own in np.maximum(levels, DITHER)])


def _delayed(values: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    late = np.zeros_like(values)
    late[frames:] = values[: len(values) - frames]
    return late


def _held(voice: Levels, delay: int) -> Levels:
    """Return the level that a voice has had around `delay` frames ago: echoes smear."""
    from scipy.ndimage import maximum_filter1d

    width = 2 * SMEAR + 1
    smeared: Levels = maximum_filter1d(voice, width, mode="nearest")
    late = np.full_like(smeared, SILENCE)
    late[delay:] = smeared[: len(smeared) - delay]
    return late


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
