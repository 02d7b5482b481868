"""Muting: silence inside the windows, bit-identical outside, whatever the blocks."""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from redaction.audio import HIGH_TONES, LOW_TONES, check, key_tones, mute
from redaction.records import Window

RATE = 8000
WINDOWS = st.lists(
    st.builds(
        lambda start, length, channels: Window(start, start + length, channels, "finding"),
        st.floats(0, 0.6),
        st.floats(0.0005, 0.4),
        st.sampled_from([(), (0,), (1,), (0, 1), (5,)]),
    ),
    max_size=4,
)


def noise(seconds: float, channels: int, seed: int = 1) -> NDArray[np.int16]:
    made = np.random.default_rng(seed).integers(1, 30000, (channels, round(seconds * RATE)))
    return made.astype(np.int16)


def cut(samples: NDArray[np.int16], sizes: list[int]) -> Iterator[NDArray[np.int16]]:
    position = 0
    for size in sizes:
        yield samples[:, position : position + size]
        position += size
    yield samples[:, position:]


SIZES = st.lists(st.integers(0, 900), max_size=8)


@given(WINDOWS, SIZES, st.integers(1, 2), st.sampled_from(["silence", "tone"]))
@settings(max_examples=200, deadline=None)
def test_inside_is_fill_and_outside_is_untouched(
    windows: list[Window], sizes: list[int], channels: int, fill: str
) -> None:
    """Every sample that plays inside a window is fill; every other sample is the very same."""
    original = noise(0.7, channels)
    kept = original.copy()
    out = np.concatenate(list(mute(cut(original, sizes), RATE, windows, fill=fill)), axis=1)  # type: ignore[arg-type]
    assert np.array_equal(original, kept)  # the input is not written to
    assert out.shape == original.shape
    at = np.arange(original.shape[1]) / RATE
    for channel in range(channels):
        inside = np.zeros(original.shape[1], dtype=bool)
        edge = np.zeros_like(inside)
        for window in windows:
            if not window.channels or channel in window.channels:
                inside |= (at >= window.start) & (at < window.end)
                edge |= (at > window.start - 1 / RATE) & (at < window.end + 1 / RATE)
        if fill == "silence":
            assert not out[channel, inside].any()
        assert np.array_equal(out[channel, ~edge], original[channel, ~edge])
    result = check(cut(original, sizes[::-1]), [out], RATE, windows, fill=fill)  # type: ignore[arg-type]
    assert result.passed
    assert result.samples == original.shape[1]


@given(WINDOWS, st.data())
@settings(max_examples=150, deadline=None)
def test_one_wrong_sample_is_found(windows: list[Window], data: st.DataObject) -> None:
    """One sample audible inside a window, or changed outside, fails the check."""
    original = noise(0.7, 2)
    out = np.concatenate(list(mute([original], RATE, windows)), axis=1)
    channel = data.draw(st.integers(0, 1))
    sample = data.draw(st.integers(0, out.shape[1] - 1))
    out[channel, sample] += 1
    assert not check([original], [out], RATE, windows).passed


def test_missing_samples_and_channels_are_found() -> None:
    """Audio cut short, or with another number of channels, fails the check."""
    original = noise(0.5, 2)
    assert check([original], [original[:, :-1]], RATE, []).missing == 1
    assert check([original[:, :-7]], [original], RATE, []).missing == 7
    assert not check([original], [original[:1]], RATE, []).passed
    assert not check([original], [], RATE, []).passed
    assert check([], [], RATE, []).passed


# ---------------------------------------------------------------- key tones


def key(low: float, high: float, seconds: float, rate: int, level: float) -> NDArray[np.float64]:
    at = np.arange(round(seconds * rate)) / rate
    return level * (np.sin(2 * np.pi * low * at) + np.sin(2 * np.pi * high * at)) / 2


@given(
    st.sampled_from(LOW_TONES),
    st.sampled_from(HIGH_TONES),
    st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    st.floats(0.06, 0.5),
    st.floats(0.02, 0.9),
    st.floats(0.0, 1.5),
    st.lists(st.integers(1, 5000), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_pressed_keys_are_found(
    low: float, high: float, rate: int, seconds: float, level: float, start: float, sizes: list[int]
) -> None:
    """Every key, from 60 ms and -40 dBFS on, at any rate and in blocks of any size, is found."""
    call = np.zeros((2, round((start + seconds + 0.5) * rate)))
    tone = key(low, high, seconds, rate, level)
    first = round(start * rate)
    call[1, first : first + len(tone)] += tone
    call += np.random.default_rng(3).normal(0, level / 100, call.shape)  # 34 dB below
    samples = (np.clip(call, -1, 1) * 32767).astype(np.int16)
    tones = key_tones(cut(samples, sizes), rate)
    assert len(tones) == 1
    found_start, found_end, channel = tones[0]
    assert channel == 1
    assert abs(found_start - start) < 0.03
    assert abs(found_end - start - seconds) < 0.03


def test_keys_of_one_entry_are_one_stretch() -> None:
    """Digits keyed one after another are muted as one run, silence between them too."""
    rate = 8000
    pieces = []
    for index in range(6):
        pieces += [key(LOW_TONES[index % 4], HIGH_TONES[index % 3], 0.1, rate, 0.5)]
        pieces += [np.zeros(rate // 10)]
    samples = (np.concatenate([np.zeros(rate), *pieces]) * 32767).astype(np.int16)[None, :]
    assert [(round(a, 1), round(b, 1)) for a, b, _ in key_tones([samples], rate)] == [(1.0, 2.1)]


def test_silence_noise_and_single_tones_are_no_keys() -> None:
    """What is not a pair of tones is not muted."""
    rate = 8000
    at = np.arange(rate) / rate
    for sound in (np.zeros(rate), np.sin(2 * np.pi * 770 * at) * 0.5,
                  np.sin(2 * np.pi * 1000 * at) * 0.5,
                  (np.sin(2 * np.pi * 440 * at) + np.sin(2 * np.pi * 480 * at)) * 0.4,
                  np.random.default_rng(1).normal(0, 0.2, rate)):  # fmt: skip
        assert key_tones([(np.clip(sound, -1, 1) * 32767).astype(np.int16)[None, :]], rate) == []
    assert key_tones([], rate) == []
    assert key_tones([np.zeros((1, 10), dtype=np.int16)], rate) == []


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs the flite speech synthesiser")
@pytest.mark.parametrize("voice", ["slt", "rms", "kal"])
def test_speech_is_no_key(voice: str, tmp_path: Path) -> None:
    """Spoken digits and letters never count as pressed keys."""
    text = (
        "four one one one, two three four five, six seven eight nine oh. "
        "my e mail is a b c d e f g at example dot com, ooh ah ee, yes please, no no no. "
    )
    path = tmp_path / "speech.wav"
    subprocess.run(["flite", "-voice", voice, "-t", text * 3, "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)[None, :]
    assert key_tones([samples], rate) == []
