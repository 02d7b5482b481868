"""What is listened to: no speech left out, the other side's bleed not taken for speech."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from recordings import AGENT, CUSTOMER, Int16, conversation, noise, recording, say, wav

from voice_pipeline.audio import activity, blocks, is_mono, listen, resampled, separate
from voice_pipeline.audio.activity import LevelMeter, mark

RATE = 8000
AUDIBLE = 25  # dB below a voice's loud frames: what lies deeper is the synthesizer's own hiss


def speech_frames(sound: Int16, rate: int = RATE) -> Any:
    """Return the 10 ms frames in which a clean channel carries speech."""
    meter = LevelMeter(rate, sound.shape[0])
    meter.add(sound)
    return mark(meter.end())


def covered(spans: Any, frames: int) -> Any:
    marked = np.zeros(frames, bool)
    for start, end in spans:
        marked[round(start * 100) : round(end * 100)] = True
    return marked


def with_bleed(call: Int16, level: float, delay: float = 0.01, rate: int = RATE) -> Int16:
    """Return the call with each side heard on the other, and line noise of -65 dBFS."""
    late = round(delay * rate)
    mixed = call.astype(float)
    for side in (0, 1):
        echo = np.concatenate([np.zeros(late), call[1 - side][: call.shape[1] - late]])
        mixed[side] += 10 ** (level / 20) * echo + noise(call.shape[1], -65, side)
    return mixed.clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("voice", ["slt", "rms", "awb", "kal16"])
@pytest.mark.parametrize("level", [-60, -45])
def test_no_voice_is_missed(voice: str, level: float) -> None:
    """Every synthetic voice is heard, those included that trained detectors miss."""
    pause = np.zeros(6000, np.int16)
    clean = np.concatenate(
        [part for line in (*AGENT, *CUSTOMER) for part in (say(voice, line, RATE), pause)]
    )
    meter = LevelMeter(RATE, 1)
    meter.add(clean[None])
    own = meter.end()[0]
    spoken = own > np.percentile(own, 95) - AUDIBLE
    loud = float(np.sqrt(np.mean(clean[np.repeat(spoken, 80)[: len(clean)]].astype(float) ** 2)))
    steady = noise(len(clean), level) * loud / (32768 * 10 ** (-20 / 20))
    data = wav((clean + steady).clip(-32768, 32767).astype(np.int16)[None], RATE)
    (found,) = activity(io.BytesIO(data), recording(data))
    marked = covered(found, len(spoken))
    assert (spoken & ~marked).sum() / spoken.sum() < 0.01
    assert marked.mean() < 0.95  # pauses are left out


@pytest.mark.parametrize("sound", ["hiss", "hum", "zeros"])
def test_steady_sound_is_no_speech(sound: str) -> None:
    """Hiss, hum and digital silence are not worth a transcriber's time."""
    t = np.arange(RATE * 60) / RATE
    kinds = {
        "hiss": noise(len(t), -40),
        "hum": 3000 * np.sin(2 * np.pi * 50 * t),
        "zeros": np.zeros(len(t)),
    }
    data = wav(kinds[sound][None].astype(np.int16), RATE)
    assert not list(listen(io.BytesIO(data), recording(data)))


@pytest.mark.parametrize("delay", [0.01, 0.15])
@pytest.mark.parametrize("level", [-40.0, -30.0, -20.0, -12.0])
def test_bleed_is_not_taken_for_the_other_side(level: float, delay: float) -> None:
    """At most 3 % of a side's speech is heard as the other's; nobody's own speech goes missing."""
    call, _ = conversation(rate=RATE)
    spoken = speech_frames(call)
    data = wav(with_bleed(call, level, delay), RATE)
    facts = recording(data)
    found = activity(io.BytesIO(data), facts)
    marked = np.stack([covered(spans, spoken.shape[1]) for spans in found])
    wrong = sum((marked[k] & spoken[1 - k] & ~spoken[k]).sum() for k in (0, 1))
    missed = (spoken & ~marked).sum()
    assert wrong / spoken.sum() < 0.03
    assert missed / spoken.sum() < 0.01
    assert facts.bleed == pytest.approx(level, abs=3)
    assert not separate(facts)


def test_without_the_gate_bleed_would_be_heard() -> None:
    """The gate is what keeps bleed out: by energy alone most of it passes."""
    call, _ = conversation(rate=RATE)
    spoken = speech_frames(call)
    active = speech_frames(with_bleed(call, -20))
    passed = sum((active[k] & spoken[1 - k] & ~spoken[k]).sum() for k in (0, 1))
    assert passed / spoken.sum() > 0.5


@pytest.mark.parametrize("level", [-30.0, -20.0])
def test_double_talk_survives_the_gate(level: float) -> None:
    """Where both speak at once, both are heard, although each also bleeds into the other."""
    call, _ = conversation(rate=RATE)
    first = np.flatnonzero(call[1])[0]
    overlap = call[:, : call.shape[1]].copy()
    agent = say("rms", AGENT[4], RATE)
    overlap[0, first : first + len(agent)] = agent[: overlap.shape[1] - first]
    spoken = speech_frames(overlap)
    both = spoken[0] & spoken[1]
    assert both.sum() > 100
    data = wav(with_bleed(overlap, level), RATE)
    found = activity(io.BytesIO(data), recording(data))
    marked = np.stack([covered(spans, spoken.shape[1]) for spans in found])
    for side in (0, 1):
        assert (both & ~marked[side]).sum() / both.sum() < 0.05


@pytest.mark.parametrize("level", [-30.0, -20.0, -12.0])
def test_bleed_is_found_where_people_cut_in(level: float) -> None:
    """Half of the turns begin before the other side is done: bleed is found and left out."""
    lines, at = [np.zeros(0), np.zeros(0)], 0
    for number, (agent, customer) in enumerate(zip(AGENT, CUSTOMER, strict=True)):
        for side, said in ((0, say("rms", agent, RATE)), (1, say("slt", customer, RATE))):
            line = np.pad(lines[side], (0, max(0, at + len(said) - len(lines[side]))))
            line[at : at + len(said)] += said
            lines[side] = line
            at += len(said) + (-RATE if number % 2 else RATE // 3)
    end = max(map(len, lines))
    call = np.stack([np.pad(line, (0, end - len(line))) for line in lines]).astype(np.int16)
    spoken = speech_frames(call)
    data = wav(with_bleed(call, level), RATE)
    found = activity(io.BytesIO(data), recording(data))
    marked = np.stack([covered(spans, spoken.shape[1]) for spans in found])
    wrong = sum((marked[k] & spoken[1 - k] & ~spoken[k]).sum() for k in (0, 1))
    both = spoken[0] & spoken[1]
    assert wrong / spoken.sum() < 0.03
    assert both.sum() > 200
    assert sum((both & ~marked[k]).sum() for k in (0, 1)) / (2 * both.sum()) < 0.1


def test_clean_sides_are_separate() -> None:
    """Two sides without bleed are neither gated nor muted for each other."""
    data = wav(with_bleed(conversation(rate=RATE)[0], -200.0), RATE)
    facts = recording(data)
    assert facts.bleed is None
    assert separate(facts)
    assert not is_mono(facts)


def test_segments_are_what_was_recorded() -> None:
    """A segment holds the samples of its own channel and time, in order, 30 s at most."""
    call, _ = conversation(rate=16000)
    data = wav(call, 16000)
    facts = recording(data)
    segments = list(listen(io.BytesIO(data), facts))
    sound = np.concatenate(list(blocks(io.BytesIO(data))), axis=1) / 32768
    assert [s.offset for s in segments] == sorted(s.offset for s in segments)
    assert {s.channel for s in segments} == {0, 1}
    for segment in segments:
        at = round(segment.offset * 16000)
        own = sound[segment.channel, at : at + len(segment.samples)]
        assert np.allclose(segment.samples, own, atol=1e-6)
        assert segment.call == facts.id


def test_segments_of_telephone_speech_are_resampled_in_place() -> None:
    """Speech at 8 kHz comes out at 16 kHz, at the second where it was said, marked telephone."""
    data = wav(conversation(rate=RATE, pairs=2)[0], RATE)
    whole = np.concatenate(list(resampled(io.BytesIO(data), 16000)), axis=1)
    for segment in listen(io.BytesIO(data), recording(data)):
        at = round(segment.offset * 16000)
        own = whole[segment.channel, at : at + len(segment.samples)]
        inner = slice(400, len(own) - 400)
        assert np.allclose(segment.samples[inner], own[inner], atol=2e-3)
        assert segment.band == "telephone"


def test_long_speech_is_cut_in_pauses() -> None:
    """Speech without a rest is cut before 30 s, where it is quietest, and nothing falls out."""
    gap = np.zeros(int(0.25 * RATE), np.int16)
    lines = [part for line in (*AGENT, *CUSTOMER) * 2 for part in (say("rms", line, RATE), gap)]
    sound = np.concatenate(lines)
    data = wav(sound[None], RATE)
    facts = recording(data)
    segments = list(listen(io.BytesIO(data), facts))
    (whole,) = activity(io.BytesIO(data), facts)
    assert max(len(segment.samples) for segment in segments) <= 30 * 16000
    total = sum(len(segment.samples) for segment in segments) / 16000
    assert total == pytest.approx(sum(end - start for start, end in whole), abs=0.01)
    for segment in segments[1:]:
        at = round(segment.offset * RATE)
        assert np.abs(sound[at - 100 : at + 100].astype(int)).max() < 600


def test_levels_do_not_depend_on_block_sizes() -> None:
    """However a file is cut into blocks, the same frames are active."""
    call, _ = conversation(rate=RATE, pairs=2)
    whole = speech_frames(call)
    meter = LevelMeter(RATE, 2)
    for at in range(0, call.shape[1], 777):
        meter.add(call[:, at : at + 777])
    pieces = mark(meter.end())
    assert pieces.shape == whole.shape
    assert (pieces != whole).mean() < 0.01
