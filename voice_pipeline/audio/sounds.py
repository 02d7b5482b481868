"""What sounds on a line and is nobody's speech: hold music, signal tones, hum, noise.

Decides from two things that speech cannot do and one that it cannot lack: spectral lines that stand
still for a quarter of a second, second after second, are instruments or oscillators; sound without
a single voiced moment is noise. It refuses to name what it doubts: that is listened to as speech.

Lines that stand still are the horizontal bars by which Seyerlehner et al. (2007, DAFx-07, pp.
221-228) find music in broadcasts; voicing is the normalised autocorrelation of Boersma (1993, IFA
Proceedings 17, pp. 97-110). Thresholds were set on synthetic and human speech, synthetic sounds and
real hold music: docs/speech.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.audio.activity import FAINTEST, Spans, merge
from voice_pipeline.audio.convert import Resampler

Values = NDArray[np.float32]

RATE = 8000  # Hz: all of it happens in the telephone band
HOP = 128  # samples between frames, 16 ms
LONG = 1024  # samples of a frame in which lines are looked for: 7.8 Hz a bin
SHORT = 320  # samples of a frame in which a voice is looked for: two periods of 50 Hz
LINES = slice(13, 460)  # bins of 100-3600 Hz
AROUND = 31  # bins, 240 Hz, over which the level beside a line is taken
STANDS_OUT = 2.0  # times that level
STANDS_STILL = 16  # frames, 256 ms: vowels glide sooner, eighth notes at 117 beats a minute do not
OF_THEM = 0.84  # share of these frames in which the line must be there
SPREAD = 5  # bins that one line fills (the window's main lobe)

VOICE_BAND = slice(38, 435)  # bins of 300-3400 Hz: of a low voice the harmonics are enough
PITCHES = slice(20, 134)  # lags of 400 to 60 Hz, in samples
VOICED = 0.5  # autocorrelation; white, pink and clicking noise reach 0.43 in one frame of hundred
HELD_STILL = 0.7  # share of still lines in a frame from which on a period is no voice's
VOICED_RUN = 3  # frames in a row, 48 ms: less is no vowel

UNIT = 15  # frames, 0.24 s: what one set of values stands for
SECONDS = UNIT * HOP / RATE
CHUNK = 32 * UNIT  # frames worked on at once
CONTEXT = 2 * STANDS_STILL  # frames beside them that are looked at
BACK = 4  # units, one second, after which lines are compared

REACH = 6  # units to either side over which the share of lines is taken: 3.1 s
# Share of the power that stands still, over 3.1 s. Speech (human, synthetic, five languages, n = 22
# recordings, 11 minutes) reached 0.22, and 0.31 in single letters strung together; real hold music
# (n = 5 pieces) reaches 0.71 and more, and is above 0.25 but for moments. Over music 10 dB softer
# than the voice, speech stays speech; at 5 dB its pauses go.
MUSICAL = 0.50
STILL_MUSICAL = 0.25
# ... of one unit alone, with no voice in it or beside it; tones have 0.98.
TONAL = 0.93
OWN = 0.15  # share below which a unit at the edge of music is what comes before or after it
BREATH = 8.0  # seconds: pieces of music this close are one, unless somebody speaks between them
SHORTEST_MUSIC = 4.0  # seconds
# 1 - cosine between the lines and those of a second before. Upper quartile in tones and hum: 0.11
# at most (n = 9), in music 0.56 at least (n = 13).
CHANGES = 0.3
CHANGING = 0.25
CRUMB = 0.25  # seconds: less between two sounds, or beside one, is no speech
VOICED_SHARE = 0.2  # of a unit's frames from which on it holds a voice


@dataclass(frozen=True, slots=True)
class Held:
    """A stretch of one channel that is no speech."""

    start: float  # seconds
    end: float
    kind: Literal["music", "tone"]


@dataclass(frozen=True, slots=True)
class Units:
    """What was measured of each 0.24 s of each channel; arrays of shape (channels, units)."""

    level: Values  # dBFS
    still: Values  # 0..1, share of the power in lines that stand still
    voiced: Values  # 0..1, share of frames with a voice that moves
    change: Values  # 0..1, how far the lines differ from those of a second before


class SoundMeter:
    """Collects the values of every 0.24 s of a stream; 67 bytes a second and channel."""

    def __init__(self, rate: int, channels: int) -> None:
        self._resampler = None if rate == RATE else Resampler(rate, RATE, channels)
        self._held = np.zeros((channels, CONTEXT * HOP + (LONG - HOP) // 2), dtype=np.float32)
        self._seconds = 0.0
        self._rate = rate
        self._units: list[Values] = []
        self._lines: NDArray[np.float32] | None = None

    def add(self, block: NDArray[np.int16]) -> None:
        """Measure more samples, shape (channels, n)."""
        self._seconds += block.shape[1] / self._rate
        sound = block.astype(np.float32) / np.float32(32768)
        self._take(sound if self._resampler is None else self._resampler.add(sound))

    def end(self) -> Units:
        """Return what was measured; call once."""
        if self._resampler is not None:
            self._take(self._resampler.end())
        wanted = -(-self._seconds // SECONDS)
        rest = np.zeros((self._held.shape[0], CHUNK * HOP), dtype=np.float32)
        while sum(part.shape[2] for part in self._units) < wanted:
            self._take(rest)
        if not self._units:
            nothing = np.zeros((self._held.shape[0], 0), dtype=np.float32)
            return Units(nothing, nothing, nothing, nothing)
        level, still, voiced, change = np.concatenate(self._units, axis=2)[:, :, : int(wanted)]
        return Units(level, still, voiced, change)

    def _take(self, sound: NDArray[np.float32]) -> None:
        self._held = np.concatenate([self._held, sound], axis=1)
        used = CHUNK * HOP
        whole = (CHUNK + 2 * CONTEXT - 1) * HOP + LONG
        while self._held.shape[1] >= whole:
            self._units.append(self._measured(self._held[:, :whole]))
            self._held = self._held[:, used:]

    def _measured(self, sound: NDArray[np.float32]) -> Values:
        """Return level, still, voiced and change of one chunk, shape (4, channels, units)."""
        values = np.zeros((4, sound.shape[0], CHUNK // UNIT), dtype=np.float32)
        values[0] = FAINTEST - 50
        lines = np.zeros((sound.shape[0], CHUNK // UNIT, LINES.stop - LINES.start), np.float32)
        for channel, own in enumerate(sound):
            if np.abs(own).max() > 10 ** (FAINTEST / 20):
                values[:3, channel], lines[channel] = _measure(own)
        before = np.zeros_like(lines[:, :BACK]) if self._lines is None else self._lines
        values[3] = 1 - _likeness(lines, np.concatenate([before, lines[:, :-BACK]], axis=1))
        self._lines = lines[:, -BACK:]
        return values


def _measure(own: NDArray[np.float32]) -> tuple[Values, Values]:
    """Return level, still and voiced by the unit, and the lines of each unit."""
    power = _spectra(own, LONG)[:, LINES]
    lines = power * _still(power)
    total = power.sum(axis=1) + np.float32(1e-12)
    share = lines.sum(axis=1) / total
    # Parseval: twice the bins of a real signal, over the window's power (3/8 of a Hann window)
    decibel = 10 * np.log10(total * (2 / (LONG * LONG * 0.375)) + 1e-12)
    voice = _voice(own)[: len(share)] & (share < HELD_STILL) & (decibel > FAINTEST)
    inner = slice(CONTEXT, CONTEXT + CHUNK)
    by_unit = (CHUNK // UNIT, UNIT)
    sums = total[inner].reshape(by_unit).sum(axis=1)
    values = np.stack([
        10 * np.log10(np.mean(10 ** (decibel[inner].reshape(by_unit) / 10), axis=1)),
        lines[inner].sum(axis=1).reshape(by_unit).sum(axis=1) / sums,
        voice[inner].reshape(by_unit).mean(axis=1),
    ])  # fmt: skip
    return values, lines[inner].reshape(*by_unit, -1).sum(axis=1)


def _spectra(own: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return the power spectra of the frames, each about the middle of its hop, by FFT of 1024."""
    from scipy.fft import rfft

    frames = np.lib.stride_tricks.sliding_window_view(own, length)[::HOP]
    taper = np.hanning(length).astype(np.float32)
    power: NDArray[np.float32] = np.square(np.abs(rfft(frames * taper, LONG, axis=1)))
    return power


def _still(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where a line stands still: a peak of the spectrum in the same bin for 256 ms."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    peak = np.zeros(power.shape, dtype=np.float32)
    middle = power[:, 1:-1]
    peak[:, 1:-1] = (
        (middle >= power[:, :-2])
        & (middle >= power[:, 2:])
        & (middle > STANDS_OUT * uniform_filter1d(power, AROUND, axis=1)[:, 1:-1])
    )
    there = uniform_filter1d(peak, STANDS_STILL, axis=0) >= OF_THEM
    lasting = maximum_filter1d(there, STANDS_STILL, axis=0)
    spread: NDArray[np.bool_] = maximum_filter1d(lasting, SPREAD, axis=1)
    return spread


def _voice(own: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the frames that are periodic like a voice, three in a row at least."""
    from scipy.fft import irfft
    from scipy.ndimage import binary_opening

    skipped = (LONG - SHORT) // 2  # so that frames of both lengths have the same middle
    window = irfft(np.square(np.abs(np.fft.rfft(np.hanning(SHORT), LONG))))[: PITCHES.stop + 1]
    power = _spectra(own[skipped:], SHORT)
    power[:, : VOICE_BAND.start] = power[:, VOICE_BAND.stop :] = 0  # rumble is periodic, too
    alike = irfft(power, axis=1)[:, : PITCHES.stop + 1]
    alike = alike / (alike[:, :1] + 1e-9) / (window / window[0])
    near = alike[:, PITCHES.start - 1 : PITCHES.stop + 1]
    peaks = (near[:, 1:-1] > near[:, :-2]) & (near[:, 1:-1] >= near[:, 2:])
    best = np.where(peaks, near[:, 1:-1], 0).max(axis=1)
    voiced: NDArray[np.bool_] = binary_opening(best > VOICED, np.ones(VOICED_RUN, dtype=bool))
    return voiced


def _likeness(lines: Values, before: Values) -> Values:
    """Return the cosine of each unit's lines with others; 1 where either has none."""
    scale = np.linalg.norm(lines, axis=2) * np.linalg.norm(before, axis=2)
    product = (lines * before).sum(axis=2)
    alike: Values = np.where(scale > 0, product / np.maximum(scale, 1e-20), 1.0)
    return alike


# ---------------------------------------------------------------- from values to stretches


def held(units: Units, channel: int, end: float) -> tuple[Held, ...]:
    """Return the stretches of one channel that are music or tones, in order.

    Args:
        units: what was measured.
        channel: which one.
        end: seconds, the end of the recording.
    """
    still, voiced = units.still[channel], units.voiced[channel]
    level, change = units.level[channel], units.change[channel]
    found = []
    for first, last in _musical(still, voiced, level):
        seconds = (last - first) * SECONDS
        moves = _moves(still, change, first, last)
        if seconds >= SHORTEST_MUSIC or np.mean(still[first:last]) >= TONAL:
            found.append(
                Held(
                    first * SECONDS,
                    min(end, last * SECONDS),
                    "music" if moves and seconds >= SHORTEST_MUSIC else "tone",
                )
            )
    return tuple(found)


def _moves(still: Values, change: Values, first: int, last: int) -> bool:
    """Return whether lines give way to others, where there are lines at both ends of a second."""
    if last - first <= BACK:
        return False
    here, before = slice(first + BACK, last), slice(first, last - BACK)
    both = (still[here] >= MUSICAL) & (still[before] >= MUSICAL)
    return bool(both.any() and np.mean(change[here][both] > CHANGES) >= CHANGING)


def _musical(still: Values, voiced: Values, level: Values) -> list[tuple[int, int]]:
    """Return runs of units, [first, last), in which lines stand still."""
    from scipy.ndimage import binary_dilation

    share = _averaged(still, level)
    spoken = binary_dilation(voiced >= VOICED_SHARE)
    tonal = (still >= TONAL) & (level > FAINTEST) & ~spoken
    lasting = (share >= STILL_MUSICAL) & (level > FAINTEST)
    speech = (voiced >= VOICED_SHARE) & (share < STILL_MUSICAL)
    runs: list[tuple[int, int]] = []
    for first, last in _runs(lasting | tonal):
        if not (share[first:last].max() >= MUSICAL or tonal[first:last].any()):
            continue
        while first < last and still[first] < OWN and not tonal[first]:
            first += 1
        while first < last and still[last - 1] < OWN and not tonal[last - 1]:
            last -= 1
        near = runs and (first - runs[-1][1]) * SECONDS <= BREATH
        if near and not speech[runs[-1][1] : first].any():
            runs[-1] = (runs[-1][0], last)
        elif first < last:
            runs.append((first, last))
    return runs


def _averaged(still: Values, level: Values) -> Values:
    """Return the share of lines in the power of 3.1 s around each unit."""
    from scipy.ndimage import uniform_filter1d

    if not len(still):
        return still
    width = 2 * REACH + 1
    power = 10 ** (level.astype(np.float64) / 10)
    whole = uniform_filter1d(power, width, mode="constant")
    lines = uniform_filter1d(power * still, width, mode="constant")
    share: Values = (lines / np.maximum(whole, 1e-12)).astype(np.float32)
    return share


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def voices(units: Units, channel: int) -> Spans:
    """Return where one channel holds a voice, [start, end) seconds, to 0.24 s."""
    spoken = units.voiced[channel] >= VOICED_SHARE
    return merge([(a * SECONDS, b * SECONDS) for a, b in _runs(spoken)], 0.0)


def without(spans: Spans, sounds: tuple[Held, ...]) -> Spans:
    """Return the spans less the sounds; crumbs of less than 0.25 s beside one go with it."""
    left: list[tuple[float, float]] = []
    for start, end in spans:
        at, parted = start, False
        for sound in sounds:
            first, last = max(start, sound.start), min(end, sound.end)
            if first < last:
                if first - at >= CRUMB:
                    left.append((at, first))
                at, parted = last, True
        if end - at >= CRUMB or (not parted and at < end):
            left.append((at, end))
    return tuple(left)
