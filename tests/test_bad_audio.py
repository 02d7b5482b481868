"""Recordings that are broken, strange or empty: what is said about them, and what still works."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from recordings import CUSTOMER, Int16, codes, conversation, encode, noise, recording, say, wav

from voice_pipeline.audio import blocks, is_mono, listen, listened
from voice_pipeline.errors import BadInput


def hiss(seconds: float = 2.0, rate: int = 16000, level: float = -30) -> Int16:
    return noise(round(seconds * rate), level)[None].astype(np.int16)


def refusal(data: bytes) -> str:
    with pytest.raises(BadInput) as refused:
        recording(data)
    assert refused.value.message
    return refused.value.code


def test_nothing_is_an_empty_file() -> None:
    """Zero bytes and a header without samples are told apart from damage."""
    assert refusal(b"") == "empty_file"
    assert refusal(wav(np.zeros((1, 0), np.int16))) in {"empty_file", "damaged_audio"}


def test_text_is_no_audio() -> None:
    """A text file renamed to .wav is refused as what it is."""
    assert refusal(b"Dear colleague, please find the call attached.\n" * 50) == "unsupported_audio"


def test_noise_bytes_are_no_audio() -> None:
    """Random bytes never end in a traceback."""
    junk = np.random.default_rng(3).integers(0, 256, 20000, dtype=np.uint8).tobytes()
    assert refusal(junk) in {"unsupported_audio", "damaged_audio"}


@pytest.mark.parametrize("length", [5, 13, 20, 30, 43])
def test_a_cut_header_is_damage(length: int) -> None:
    """A recording of which not even the header is whole is damaged, not 'no audio'."""
    assert refusal(wav(hiss())[:length]) == "damaged_audio"


def test_mp4_without_its_index_is_damage() -> None:
    """An mp4 that was never closed cannot be decoded, and says so."""
    data = encode(hiss(), 16000, "mp4", "aac")
    assert refusal(data[: len(data) // 2]) == "damaged_audio"


def test_video_without_sound_is_no_audio() -> None:
    """A video without an audio track is refused."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        picture = out.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            black = np.zeros((64, 64, 3), np.uint8)
            out.mux(picture.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        out.mux(picture.encode(None))
    assert refusal(target.getvalue()) == "unsupported_audio"


def test_a_header_that_promises_more_is_truncation() -> None:
    """A recording that breaks off is processed as far as it goes, with a warning."""
    found = recording(wav(hiss(3.0), promise=16000 * 2 * 5))
    assert found.duration == pytest.approx(3.0)
    assert "truncated_audio" in codes(found)


def test_a_header_of_a_writer_that_cannot_seek_is_fine() -> None:
    """Recorders that write to a pipe leave 2 GiB or 0xFFFFFFFF in the header; nothing is amiss."""
    data = bytearray(wav(hiss(1.0)))
    for length in (0x7FFFFFFF, 0xFFFFFFFF):
        data[40:44] = length.to_bytes(4, "little")
        found = recording(bytes(data))
        assert found.duration == pytest.approx(1.0)
        assert "truncated_audio" not in codes(found)


@pytest.mark.parametrize("share", [0.35, 0.6, 0.93])
def test_an_mp3_cut_in_a_frame_is_processed(share: float) -> None:
    """What there is of a cut mp3 is decoded, and the result says that it was cut."""
    data = encode(hiss(4.0), 16000, "mp3", "libmp3lame")
    found = recording(data[: int(len(data) * share) + 1])
    assert found.duration == pytest.approx(4.0 * share, abs=0.3)
    assert "truncated_audio" in codes(found)


def test_a_hole_in_the_middle_is_damage() -> None:
    """Packets that do not decode are counted, and the rest is used."""
    data = bytearray(encode(hiss(4.0), 16000, "mp3", "libmp3lame"))
    data[len(data) // 2 : len(data) // 2 + 900] = b"\x00" * 900
    found = recording(bytes(data))
    assert found.duration > 3.0
    assert codes(found) & {"damaged_audio", "truncated_audio"}


@pytest.mark.parametrize("samples", [1, 7, 3200])
def test_very_short_recordings_pass(samples: int) -> None:
    """One sample, and a fifth of a second, are recordings without speech."""
    found = recording(wav(hiss()[:, :samples]))
    assert found.duration == pytest.approx(samples / 16000)
    assert codes(found) == {"no_speech"}


def test_a_direct_current_is_no_speech() -> None:
    """A stuck converter is silence, not a voice."""
    stuck = np.full((1, 32000), 12000, np.int16)
    data = wav(stuck)
    assert "no_speech" in codes(recording(data))
    assert not list(listen(io.BytesIO(data), recording(data)))


def test_high_rates_are_heard() -> None:
    """A 96 kHz recording is listened to like any other."""
    data = wav(say("slt", CUSTOMER[0], 96000)[None], 96000)
    found = recording(data)
    (segment,) = listen(io.BytesIO(data), found)
    assert found.rate == 96000
    assert segment.band == "wide"
    assert len(segment.samples) / 16000 == pytest.approx(found.duration, abs=0.5)


def test_clipping_is_said() -> None:
    """A recording made too loud carries a warning; a loud one does not."""
    voice = say("slt", CUSTOMER[1]).astype(float)
    loud = voice / np.abs(voice).max() * 32000
    clipped = np.clip(loud * 6, -32768, 32767)
    assert "clipped" not in codes(recording(wav(loud[None].astype(np.int16))))
    assert "clipped" in codes(recording(wav(clipped[None].astype(np.int16))))


def test_a_chunk_after_the_data_never_appears() -> None:
    """Text that hides behind the samples is no sound, and changes nothing."""
    text = b"card four one one one one one one one"
    extra = b"note" + (len(text) + 1).to_bytes(4, "little") + text + b"\x00"
    sound = hiss(1.0)
    data = wav(sound, extra=extra)
    assert np.array_equal(np.concatenate(list(blocks(io.BytesIO(data))), axis=1), sound)
    assert codes(recording(data)) == codes(recording(wav(sound)))


def test_one_silent_side_is_said_and_counts_as_mono() -> None:
    """Where one side is lost, the other may hold both people, so voices are told apart."""
    call, _ = conversation(pairs=2)
    call[1] = 0
    found = recording(wav(call))
    assert codes(found) == {"silent_channel"}
    assert is_mono(found)


@pytest.mark.parametrize(("gain", "delay"), [(1.0, 0), (0.4, 0), (-0.8, 12), (1.0, 100)])
def test_dual_mono_is_found(gain: float, delay: int) -> None:
    """A mono call on two channels is heard once, whatever gain and delay its copy has."""
    both = conversation(pairs=2)[0].sum(axis=0).astype(float)
    copy = gain * np.concatenate([np.zeros(delay), both[: len(both) - delay]])
    data = wav(np.stack([both, copy]).clip(-32768, 32767).astype(np.int16))
    found = recording(data)
    assert codes(found) == {"dual_mono"}
    assert is_mono(found)
    assert listened(found) == (0,)
    assert {segment.channel for segment in listen(io.BytesIO(data), found)} == {0}


def test_twenty_minutes_of_silence_pass_in_seconds() -> None:
    """Digital silence costs no more than decoding it."""
    data = wav(np.zeros((2, 8000 * 1200), np.int16), 8000)
    begun = time.process_time()
    found = recording(data)
    assert not list(listen(io.BytesIO(data), found))
    assert codes(found) == {"no_speech"}
    assert time.process_time() - begun < 10


@pytest.mark.slow
def test_three_hours_of_silence_pass() -> None:
    """A line left open over lunch does not stop the work."""
    data = encode(np.zeros((1, 8000 * 3600 * 3), np.int16), 8000, "wav", "pcm_mulaw")
    begun = time.process_time()
    found = recording(data)
    assert not list(listen(io.BytesIO(data), found))
    assert found.duration == pytest.approx(3 * 3600)
    assert time.process_time() - begun < 30
