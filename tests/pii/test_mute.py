"""Muting: silence inside the windows, bit-identical outside, whatever the blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from redaction.audio import LONGEST_FADE, check, mute
from redaction.records import Window

RATE = 8000
BORDER = 1.001 / RATE  # seconds: a sample that a window cuts may be either, a rounding more
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
                edge |= (at > window.start - BORDER) & (at < window.end + BORDER)
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


@given(WINDOWS, SIZES, st.integers(1, 2), st.floats(0.0, LONGEST_FADE))
@settings(max_examples=100, deadline=None)
def test_a_fade_lies_outside_the_window_and_reaches_no_further(
    windows: list[Window], sizes: list[int], channels: int, fade: float
) -> None:
    """Windows stay wholly fill; the fade is softer, never louder; beyond it nothing changed."""
    original = noise(0.7, channels)
    out = np.concatenate(list(mute(cut(original, sizes), RATE, windows, fade=fade)), axis=1)
    whole = np.concatenate(list(mute([original], RATE, windows, fade=fade)), axis=1)
    assert np.array_equal(out, whole)  # blocks of any size give the same fade
    at = np.arange(original.shape[1]) / RATE
    reach = fade + 1 / RATE
    for channel in range(channels):
        mine = [w for w in windows if not w.channels or channel in w.channels]
        inside, near = np.zeros(len(at), dtype=bool), np.zeros(len(at), dtype=bool)
        for window in mine:
            inside |= (at >= window.start) & (at < window.end)
            near |= (at > window.start - reach) & (at < window.end + reach)
        assert not out[channel, inside].any()
        assert np.array_equal(out[channel, ~near], original[channel, ~near])
        assert (np.abs(out[channel]) <= np.abs(original[channel])).all()
    assert check([original], [out], RATE, windows, fade=fade).passed
    louder = out.copy()
    louder[0, 0] = original[0, 0] + 1
    assert not check([original], [louder], RATE, windows, fade=fade).passed


def test_a_fade_goes_out_and_comes_back_in_steps() -> None:
    """Steady sound falls to the window in equal steps and rises behind it; no click is left."""
    steady = np.full((1, 80), 8000, dtype=np.int16)
    out = next(mute([steady], RATE, [Window(0.005, 0.006, (), "finding")], fade=0.0005))[0]
    assert out[35:40].tolist() == [8000, 6400, 4800, 3200, 1600]
    assert not out[40:48].any()
    assert out[48:53].tolist() == [1600, 3200, 4800, 6400, 8000]
    with pytest.raises(ValueError, match="fade"):
        next(mute([steady], RATE, [], fade=1.0))
    with pytest.raises(ValueError, match="fade"):
        next(mute([steady], RATE, [], fade=float("nan")))


def test_windows_past_the_end_and_empty_audio_are_no_fault() -> None:
    """A window that begins behind the last sample mutes nothing; no samples give no samples."""
    original = noise(0.1, 1)
    late = [Window(5.0, 6.0, (), "finding"), Window(0.05, 99.0, (), "finding")]
    out = np.concatenate(list(mute([original], RATE, late)), axis=1)
    assert not out[:, 400:].any()
    assert np.array_equal(out[:, :400], original[:, :400])
    assert check([original], [out], RATE, late).passed
    assert list(mute([], RATE, late)) == []
    empty = np.zeros((1, 0), dtype=np.int16)
    assert [block.shape for block in mute([empty], RATE, late)] == [(1, 0)]
