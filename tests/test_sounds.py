"""What sounds on a line and nobody says: tones, hum and music are known from speech."""

from __future__ import annotations

import io

import line_sounds
import numpy as np
import pytest
from recordings import AGENT, CUSTOMER, Int16, recording, say, wav

from voice_pipeline.audio import Survey, listen, survey
from voice_pipeline.audio.sounds import SoundMeter, Units, held, voices, without
from voice_pipeline.domain import music_seconds

RATE = line_sounds.RATE


def measured(samples: Int16, rate: int = RATE, block: int = 32768) -> Units:
    meter = SoundMeter(rate, len(samples))
    for at in range(0, samples.shape[1], block):
        meter.add(samples[:, at : at + block])
    return meter.end()


def looked_at(samples: Int16, rate: int = RATE) -> Survey:
    data = wav(samples, rate)
    return survey(io.BytesIO(data), recording(data))


def a_call(seconds_of_hold: float, hold: Int16) -> tuple[Int16, float, float]:
    """Return an agent who speaks, hold music, the agent again; and when the music plays."""
    before, after = say("rms", AGENT[1], RATE), say("rms", AGENT[3], RATE)
    length = round(seconds_of_hold * RATE)
    quiet = np.zeros(RATE // 2, np.int16)
    whole = np.concatenate([before, quiet, hold[:length], quiet, after])
    start = (len(before) + len(quiet)) / RATE
    return whole[None], start, start + seconds_of_hold


@pytest.mark.parametrize("name", list(line_sounds.TONES))
def test_signal_tones_are_tones(name: str) -> None:
    """Ringing, busy, fax and beeps are tones, never music, and nothing of them is listened to."""
    found = looked_at(line_sounds.telephone(line_sounds.TONES[name](20.0, 5), 5)[None])
    assert {sound.kind for sound in found.sounds} == {"tone"}
    assert found.speech == ((),)


@pytest.mark.parametrize("name", [name for name in line_sounds.MUSIC if name != "drums"])
def test_hold_music_is_music(name: str) -> None:
    """Music with a melody or chords is held nearly whole, and hardly any of it is listened to."""
    found = looked_at(line_sounds.telephone(line_sounds.MUSIC[name](30.0, 9), 9)[None])
    assert {sound.kind for sound in found.sounds} == {"music"}
    assert music_seconds(found.sounds) > 24
    assert sum(end - start for start, end in found.speech[0]) < 1


@pytest.mark.parametrize("name", [*line_sounds.SILENCES, "drums"])
def test_noise_and_drums_hold_no_voice(name: str) -> None:
    """Hiss, wind, crackle and a beat are no music here, but there is no voice in them either."""
    make = {**line_sounds.SILENCES, **line_sounds.MUSIC}[name]
    units = measured(line_sounds.telephone(make(30.0, 11), 11)[None])
    assert voices(units, 0) == ()
    assert {sound.kind for sound in held(units, 0, 30.0)} <= {"tone"}  # hum


@pytest.mark.parametrize("voice", ["rms", "slt", "awb", "kal16"])
def test_speech_is_speech(voice: str) -> None:
    """No part of what somebody says is taken for a tone or music, and its voice is found."""
    said = np.concatenate([say(voice, line, RATE) for line in (*AGENT, *CUSTOMER)])[None]
    units = measured(said)
    assert held(units, 0, said.shape[1] / RATE) == ()
    assert sum(b - a for a, b in voices(units, 0)) > 0.5 * said.shape[1] / RATE


def test_music_between_words_is_cut_out_and_nothing_else() -> None:
    """The words before and after hold music are listened to whole; the music is not."""
    music = line_sounds.telephone(line_sounds.band(30.0, 4), 4)
    call, start, end = a_call(30.0, music)
    found = looked_at(call)
    (sound,) = [sound for sound in found.sounds if sound.kind == "music"]
    assert sound.start == pytest.approx(start, abs=0.75)
    assert sound.end == pytest.approx(end, abs=0.75)
    spoken = [(0.1, start - 0.6), (end + 0.6, call.shape[1] / RATE - 0.2)]
    for first, last in spoken:
        inside = sum(
            min(b, last) - max(a, first) for a, b in found.speech[0] if a < last and b > first
        )
        assert inside > 0.85 * (last - first)


def test_music_stays_where_it_must_be_muted() -> None:
    """What is not listened to still counts as active: nobody checked it, so it is muted."""
    music = line_sounds.telephone(line_sounds.arpeggio(20.0, 4), 4)
    call, _, _ = a_call(20.0, music)
    found = looked_at(call)
    assert all(any(a <= x <= b for a, b in found.active[0]) for x, _ in found.speech[0])
    assert sum(b - a for a, b in found.active[0]) >= sum(b - a for a, b in found.speech[0])


def test_soft_music_behind_a_voice_stops_nobody() -> None:
    """A caller with music ten decibels below her voice is listened to."""
    said = np.concatenate([say("slt", line, RATE) for line in CUSTOMER]) / 32768
    behind = line_sounds.level(line_sounds.band(len(said) / RATE, 6)[: len(said)], -32.0)
    both = line_sounds.level(said, -22.0)
    both[: len(behind)] += behind
    found = looked_at(line_sounds.ulaw(both)[None])
    assert sum(b - a for a, b in found.speech[0]) > 0.85 * len(said) / RATE


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("block", [997, 32768])
def test_rate_and_blocks_change_nothing_that_matters(rate: int, block: int) -> None:
    """The same sound gives the same stretches, however it was sampled and cut into blocks."""
    from scipy.signal import resample_poly

    wave = line_sounds.cadence(12.0, (440, 480), 2.0, 4.0)
    samples = (resample_poly(wave, rate, RATE) * 32767).astype(np.int16)[None]
    (sound,) = held(measured(samples, rate, block), 0, 12.0)
    assert (sound.kind, sound.start) == ("tone", 0.0)
    assert sound.end == pytest.approx(8.1, abs=0.3)


def test_blocks_do_not_change_the_values() -> None:
    """At the meter's own rate the values do not depend on the blocks at all."""
    samples = line_sounds.telephone(line_sounds.band(17.3, 2), 2)[None]
    one, other = measured(samples), measured(samples, block=1013)
    for name in ("level", "still", "voiced", "change"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("samples", [0, 1, 100, 8000])
def test_next_to_nothing_is_measured(samples: int) -> None:
    """No samples, one, a second of silence: no sound, no voice, no error."""
    units = measured(np.zeros((2, samples), np.int16))
    assert held(units, 0, samples / RATE) == ()
    assert voices(units, 1) == ()


def test_eight_channels_are_measured() -> None:
    """A recording with as many channels as we take is looked at, channel by channel."""
    tone = (line_sounds.tone(3.0, 440, 480) * 32767).astype(np.int16)
    from scipy.signal import resample_poly

    channels = np.zeros((8, 48000), np.int16)
    channels[5] = resample_poly(tone, 2, 1)
    data = wav(channels)
    found = survey(io.BytesIO(data), recording(data))
    assert {(sound.channel, sound.kind) for sound in found.sounds} == {(5, "tone")}


def test_crumbs_beside_a_sound_go_with_it() -> None:
    """What is left of a span beside a sound must be long enough to be a word."""
    from voice_pipeline.audio.sounds import Held

    sounds = (Held(1.0, 3.0, "tone"),)
    assert without(((0.9, 5.0),), sounds) == ((3.0, 5.0),)
    assert without(((0.0, 3.1),), sounds) == ((0.0, 1.0),)
    assert without(((4.0, 4.1),), sounds) == ((4.0, 4.1),)
    assert without(((1.5, 2.5),), sounds) == ()


def test_segments_know_where_the_voice_is() -> None:
    """Every segment carries the stretches with a voice, on the recording's clock."""
    data = wav(np.concatenate([np.zeros(RATE, np.int16), say("rms", AGENT[0], RATE)])[None], RATE)
    segments = list(listen(io.BytesIO(data), recording(data)))
    assert segments
    for segment in segments:
        assert segment.voiced
        end = segment.offset + len(segment.samples) / 16000
        assert all(start < end and stop > segment.offset for start, stop in segment.voiced)
