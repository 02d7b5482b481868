"""Facts about a recording from one pass over it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from recordings import codes, conversation, encode, noise, received, recording, say, wav

from voice_pipeline.audio import blocks
from voice_pipeline.audio.listen import TELEPHONE


def test_facts_are_those_of_the_file() -> None:
    """Length, rate, channels and codec are as decoded, and what was handed in is passed on."""
    call, _ = conversation(rate=8000, pairs=2)
    data = encode(call, 8000, "wav", "pcm_mulaw")
    found = recording(data, agent_channel="right", language="en")
    given = received(data)
    assert (found.codec, found.rate, found.channels) == ("pcm_mulaw", 8000, 2)
    assert found.duration == pytest.approx(call.shape[1] / 8000)
    assert (found.id, found.name, found.audio) == (given.call, given.name, given.audio)
    assert (found.agent_channel, found.language) == ("right", "en")
    assert found.warnings == ()


def test_the_band_is_heard_not_read() -> None:
    """Telephone speech in a 16 kHz file is known by its spectrum; wideband speech is not it."""
    line = "Thank you, this is the sixth fish in the system, she said."
    wide, narrow = say("slt", line, 16000), say("slt", line, 8000)
    data = wav(narrow[None], 8000)
    # the same telephone speech, exported at 16 kHz
    raised = np.zeros(2 * len(narrow))
    spectrum = np.fft.rfft(np.concatenate(list(blocks(io.BytesIO(data))), axis=1)[0])
    padded = np.zeros(len(raised) // 2 + 1, complex)
    padded[: len(spectrum)] = spectrum
    raised = (2 * np.fft.irfft(padded, len(raised)) + noise(len(raised), -75)).astype(np.int16)
    assert recording(wav(wide[None], 16000)).bandwidth > 5000
    assert recording(wav(raised[None], 16000)).bandwidth <= TELEPHONE
    assert recording(data).bandwidth <= TELEPHONE


def test_levels_are_those_of_speech() -> None:
    """A quieter side is as much quieter in the facts, whatever share of the call it speaks."""
    call, _ = conversation(pairs=3)
    half = call.copy()
    half[1] = half[1] // 10
    loud, quiet = recording(wav(call)).levels[1], recording(wav(half)).levels[1]
    assert loud - quiet == pytest.approx(20, abs=1)


@pytest.mark.parametrize("level", [-35.0, -15.0])
def test_bleed_is_measured(level: float) -> None:
    """One side heard on the other is a warning that says how loud."""
    call, _ = conversation(rate=8000)
    mixed = call.astype(float)
    mixed[1] += 10 ** (level / 20) * call[0] + noise(call.shape[1], -70)
    found = recording(wav(mixed.clip(-32768, 32767).astype(np.int16), 8000))
    assert found.bleed == pytest.approx(level, abs=3)
    assert codes(found) == {"bleed"}


def test_noise_alone_is_no_speech() -> None:
    """A line with nothing but hiss says that nobody is there."""
    assert codes(recording(wav(noise(160000, -50)[None].astype(np.int16)))) == {"no_speech"}
