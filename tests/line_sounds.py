"""Sounds of telephone lines that nobody speaks: built here, deterministic, 8 kHz.

Tones as ITU-T E.180 and its supplement list them for the United States and the United Kingdom,
noise as lines and codecs make it, and hold music in several styles, all composed by these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # Hz
Wave = NDArray[np.float64]  # shape (samples,), range -1..1

MAJOR = (0, 2, 4, 5, 7, 9, 11)
CHORDS = ((0, 2, 4), (5, 7, 9), (3, 5, 7), (4, 6, 8))  # degrees of the scale: I vi IV V


def _clock(seconds: float) -> Wave:
    return np.arange(round(seconds * RATE)) / RATE


def level(wave: Wave, decibel: float) -> Wave:
    """Return the wave at so many dBFS (RMS); digital silence stays as it is."""
    power = float(np.sqrt(np.mean(np.square(wave))))
    return wave * (10 ** (decibel / 20) / power) if power else wave


def tone(seconds: float, *frequencies: float, decibel: float = -20.0) -> Wave:
    clock = _clock(seconds)
    return level(sum((np.sin(2 * np.pi * f * clock) for f in frequencies), 0 * clock), decibel)


def cadence(seconds: float, frequencies: Sequence[float], *on_off: float) -> Wave:
    """Return a tone that is on and off for these seconds in turn."""
    parts: list[Wave] = []
    while sum(map(len, parts)) < seconds * RATE:
        for place, length in enumerate(on_off):
            sounds = place % 2 == 0
            parts.append(tone(length, *frequencies) if sounds else np.zeros(round(length * RATE)))
    return np.concatenate(parts)[: round(seconds * RATE)]


def hiss(seconds: float, decibel: float = -45.0, seed: int = 0) -> Wave:
    return level(np.random.default_rng(seed).normal(0, 1, round(seconds * RATE)), decibel)


def rumble(seconds: float, decibel: float = -40.0, seed: int = 0) -> Wave:
    """Return noise that falls by 3 dB an octave: traffic, air conditioning."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 1, count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return level(np.fft.irfft(spectrum, count), decibel)


def hum(seconds: float, mains: float = 50.0, decibel: float = -35.0) -> Wave:
    clock = _clock(seconds)
    wave = sum((np.sin(2 * np.pi * mains * k * clock) / k for k in range(1, 12)), 0 * clock)
    return level(wave, decibel) + hiss(seconds, -60.0)


def comfort_noise(seconds: float, seed: int = 0) -> Wave:
    """Return shaped noise as decoders fill silence with (ITU-T G.711 appendix II): by the frame."""
    draw = np.random.default_rng(seed)
    wave = hiss(seconds, -55.0, seed)
    for at in range(0, len(wave), RATE // 50):
        wave[at : at + RATE // 50] *= draw.choice([0.6, 1.0, 1.3])
    return wave


def gusts(seconds: float, seed: int = 0) -> Wave:
    """Return wind and handling: noise that comes and goes by 20 dB, and knocks."""
    draw = np.random.default_rng(seed)
    points = draw.uniform(-50, -25, round(seconds * 1.5) + 2)
    clock = _clock(seconds)
    loudness = np.interp(clock, np.linspace(0, seconds, len(points)), points)
    wave = rumble(seconds, 0.0, seed) * 10 ** (loudness / 20)
    for at in draw.integers(0, max(1, len(wave) - 800), round(seconds / 3)):
        wave[at : at + 800] += draw.normal(0, 0.1, 800) * np.exp(-np.arange(800) / 120)
    return wave


def crackle(seconds: float, seed: int = 0) -> Wave:
    """Return a bad contact: clicks over hiss."""
    draw = np.random.default_rng(seed)
    wave = hiss(seconds, -55.0, seed)
    for at in draw.integers(0, len(wave) - 40, round(seconds * 6)):
        wave[at : at + 40] += draw.uniform(0.05, 0.4) * draw.choice([-1, 1])
    return wave


# ---------------------------------------------------------------- hold music


def _pitch(degree: int, root: float) -> float:
    octave, step = divmod(degree, 7)
    return root * 2 ** (octave + MAJOR[step] / 12)


def _note(frequency: float, seconds: float, partials: Sequence[float], decay: float) -> Wave:
    clock = _clock(seconds)
    wave = sum(
        (
            weight * np.sin(2 * np.pi * frequency * (k + 1) * clock)
            for k, weight in enumerate(partials)
            if frequency * (k + 1) < 0.48 * RATE
        ),
        0 * clock,
    )
    rise = np.minimum(1.0, clock / 0.008)
    fall = np.minimum(1.0, (seconds - clock) / 0.02)
    return wave * rise * fall * np.exp(-clock / decay)


def _place(track: Wave, at: float, wave: Wave, gain: float) -> None:
    first = round(at * RATE)
    part = wave[: max(0, len(track) - first)]
    track[first : first + len(part)] += gain * part


def arpeggio(seconds: float, seed: int = 0) -> Wave:
    """Return broken chords on a plucked string."""
    draw = np.random.default_rng(seed)
    root, step = draw.uniform(180, 330), 60 / draw.uniform(84, 132) / draw.choice([2, 4])
    track, at, count = np.zeros(round(seconds * RATE)), 0.0, 0
    while at < seconds:
        chord = CHORDS[count // 8 % len(CHORDS)]
        degree = chord[(0, 1, 2, 1)[count % 4] % 3] + 7 * (count % 8 > 3)
        _place(track, at, _note(_pitch(degree, root), 1.2, (1, 0.6, 0.4, 0.25, 0.1), 0.35), 0.3)
        at, count = at + step, count + 1
    return level(track, -22.0)


def pads(seconds: float, seed: int = 0) -> Wave:
    """Return held chords that swell: strings of a synthesizer, three a note, out of tune."""
    draw = np.random.default_rng(seed)
    root, bar = draw.uniform(110, 200), draw.uniform(2.0, 4.0)
    track, at, count = np.zeros(round(seconds * RATE)), 0.0, 0
    while at < seconds:
        for degree in CHORDS[count % len(CHORDS)]:
            for detune in (-0.004, 0.0, 0.003):
                wave = _note(_pitch(degree, root) * (1 + detune), bar + 0.4,
                             [1 / k for k in range(1, 13)], 9.0)  # fmt: skip
                swell = np.minimum(1.0, np.arange(len(wave)) / (0.4 * RATE))
                _place(track, at, wave * swell, 0.1)
        at, count = at + bar, count + 1
    return level(track, -22.0)


def melody(seconds: float, seed: int = 0) -> Wave:
    """Return a tune with vibrato over a bass: a flute that wanders along a scale."""
    draw = np.random.default_rng(seed)
    root, beat = draw.uniform(260, 420), 60 / draw.uniform(76, 120)
    track, at, degree = np.zeros(round(seconds * RATE)), 0.0, 4
    while at < seconds:
        length = beat * draw.choice([0.5, 1.0, 1.0, 2.0])
        degree = int(np.clip(degree + draw.choice([-2, -1, 1, 1, 2]), 0, 10))
        clock = _clock(length)
        shake = 0.4 * np.sin(2 * np.pi * 5.5 * clock) * np.minimum(1, clock / 0.3)
        phase = 2 * np.pi * _pitch(degree, root) * clock + shake
        wave = np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)
        edge = np.minimum(1.0, np.minimum(clock, length - clock) / 0.03)
        _place(track, at, wave * edge, 0.3)
        _place(track, at, _note(_pitch(degree % 3 - 7, root), length, (1, 0.5, 0.3), 0.6), 0.3)
        at += length
    return level(track, -22.0)


def drums(seconds: float, seed: int = 0) -> Wave:
    """Return a beat of kick, snare and hat, nothing else."""
    draw = np.random.default_rng(seed)
    step = 60 / draw.uniform(84, 128) / 4
    track, count = np.zeros(round(seconds * RATE)), 0
    clock = _clock(0.25)
    kick = np.sin(2 * np.pi * (55 * clock + 40 * (1 - np.exp(-clock * 30)) / 30 * 3))
    kick *= np.exp(-clock * 14)
    noise = draw.normal(0, 1, len(clock))
    snare = noise * np.exp(-clock * 22) + 0.5 * np.sin(2 * np.pi * 190 * clock) * np.exp(
        -clock * 25
    )
    hat = np.diff(noise, prepend=0) * np.exp(-clock * 60)
    while count * step < seconds:
        beat = count % 16
        if beat in (0, 6, 8, 10):
            _place(track, count * step, kick, 0.8)
        if beat in (4, 12):
            _place(track, count * step, snare, 0.4)
        if beat % 2 == 0:
            _place(track, count * step, hat, 0.12)
        count += 1
    return level(track, -24.0)


def band(seconds: float, seed: int = 0) -> Wave:
    """Return all of it together: what call centres play."""
    wave = arpeggio(seconds, seed) + 0.7 * pads(seconds, seed) + 0.8 * drums(seconds, seed)
    return level(wave + 0.8 * melody(seconds, seed), -22.0)


SILENCES: dict[str, Callable[[float, int], Wave]] = {
    "digital silence": lambda s, seed: np.zeros(round(s * RATE)),
    "line noise": lambda s, seed: hiss(s, -50.0, seed),
    "loud hiss": lambda s, seed: hiss(s, -30.0, seed),
    "rumble": lambda s, seed: rumble(s, -35.0, seed),
    "mains hum": lambda s, seed: hum(s, (50.0, 60.0)[seed % 2]),
    "comfort noise": comfort_noise,
    "wind and handling": gusts,
    "crackle": crackle,
}
TONES: dict[str, Callable[[float, int], Wave]] = {
    "ringback US": lambda s, seed: cadence(s, (440, 480), 2.0, 4.0),
    "ringback UK": lambda s, seed: cadence(s, (400, 450), 0.4, 0.2, 0.4, 2.0),
    "busy US": lambda s, seed: cadence(s, (480, 620), 0.5, 0.5),
    "busy UK": lambda s, seed: cadence(s, (400,), 0.375, 0.375),
    "reorder US": lambda s, seed: cadence(s, (480, 620), 0.25, 0.25),
    "dial tone": lambda s, seed: tone(s, 350, 440),
    "fax": lambda s, seed: np.concatenate(
        [cadence(s / 2, (1100,), 0.5, 3.0), tone(s - s / 2, 2100)]
    ),
    "recording beep": lambda s, seed: cadence(s, (1400,), 0.25, 4.75),
}
MUSIC: dict[str, Callable[[float, int], Wave]] = {
    "arpeggio": arpeggio,
    "pads": pads,
    "melody": melody,
    "drums": drums,
    "band": band,
}


def ulaw(wave: Wave) -> NDArray[np.int16]:
    """Return what is left after G.711 mu-law, as s16 (ITU-T G.711, with mu = 255)."""
    clipped = np.clip(wave, -1, 1)
    code = np.sign(clipped) * np.log1p(255 * np.abs(clipped)) / np.log(256)
    step = np.round(code * 127.5 - 0.5) + 0.5
    back = np.sign(step) * np.expm1(np.abs(step) / 127.5 * np.log(256)) / 255
    silent = clipped == 0
    return np.where(silent, 0, np.rint(back * 32124)).astype(np.int16)


def telephone(wave: Wave, seed: int = 0) -> NDArray[np.int16]:
    """Return the wave as a telephone delivers it: 300-3400 Hz, line noise, mu-law, s16."""
    from scipy.signal import butter, sosfilt

    sos = butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
    heard = sosfilt(sos, wave)
    if wave.any():
        heard = heard + np.random.default_rng(seed).normal(0, 10 ** (-65 / 20), len(wave))
    return ulaw(heard)
