"""Decoding, resampling and writing: the samples that everything else builds on."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import Int16, encode, noise, wav

from voice_pipeline.audio import Decoder, FlacWriter, blocks, probe, resampled
from voice_pipeline.errors import BadInput, Permanent


def read(data: bytes) -> Int16:
    return np.concatenate(list(blocks(io.BytesIO(data))), axis=1)


def tones(rate: int = 16000, seconds: float = 2.0) -> Int16:
    """Two channels that are easy to tell apart in any codec."""
    t = np.arange(round(rate * seconds)) / rate
    pair = (8000 * np.sin(2 * np.pi * 440 * t), 6000 * np.sin(2 * np.pi * 900 * t))
    return np.stack(pair).astype(np.int16)


def loudest(channel: Int16, rate: int) -> float:
    """Frequency with most power, in Hz."""
    power = np.abs(np.fft.rfft(channel.astype(float)))
    return float(power.argmax() * rate / len(channel))


def test_pcm_comes_back_bit_for_bit() -> None:
    """16-bit samples are decoded to exactly what was recorded."""
    sound = np.random.default_rng(0).integers(-32768, 32768, (2, 40001)).astype(np.int16)
    assert np.array_equal(read(wav(sound)), sound)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_mulaw", 8000), ("wav", "pcm_alaw", 8000), ("wav", "adpcm_ima_wav", 8000),
        ("wav", "pcm_u8", 16000), ("wav", "pcm_s24le", 44100), ("wav", "pcm_f32le", 96000),
        ("mp3", "libmp3lame", 16000), ("ogg", "libopus", 48000), ("mp4", "aac", 16000),
        ("flac", "flac", 16000), ("webm", "libopus", 48000), ("aiff", "pcm_s16be", 16000),
    ],
)  # fmt: skip
def test_formats_keep_length_channels_and_sound(container: str, codec: str, rate: int) -> None:
    """Every format that call recorders write is decoded, both sides in their place."""
    data = encode(tones(rate), rate, container, codec)
    facts = probe(io.BytesIO(data))
    sound = read(data)
    assert (facts.rate, facts.channels) == (rate, 2)
    assert sound.shape[0] == 2
    assert abs(sound.shape[1] / rate - 2.0) < 0.13  # aac pads two frames of 64 ms
    assert loudest(sound[0], rate) == pytest.approx(440, abs=5)
    assert loudest(sound[1], rate) == pytest.approx(900, abs=5)


def test_gsm_is_decoded(tmp_path: Path) -> None:
    """GSM full rate in wav, as mobile gateways record it, is decoded."""
    if shutil.which("sox") is None:
        pytest.skip("sox is not installed: no GSM encoder")
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    source.write_bytes(wav(tones(8000)[:1], 8000))
    subprocess.run(["sox", source, "-e", "gsm-full-rate", target], check=True)
    sound = read(target.read_bytes())
    assert loudest(sound[0], 8000) == pytest.approx(440, abs=5)


def test_the_audio_track_of_a_video_is_taken() -> None:
    """A meeting recorded as mp4 video is as good as an audio file."""
    data = encode(tones(), 16000, "mp4", "aac", video=True)
    assert loudest(read(data)[1], 16000) == pytest.approx(900, abs=5)


def test_decoding_is_deterministic() -> None:
    """The same bytes give the same samples, so muting and verification see one recording."""
    data = encode(tones(), 16000, "mp3", "libmp3lame")
    assert np.array_equal(read(data), read(data))


def test_file_names_do_not_matter(tmp_path: Path) -> None:
    """A wrong extension changes nothing, because blobs have no names."""
    path = tmp_path / "call.mp3"
    path.write_bytes(wav(tones()))
    with path.open("rb") as file:
        assert np.array_equal(np.concatenate(list(blocks(file)), axis=1), tones())


def test_playlists_are_refused(tmp_path: Path) -> None:
    """A file that only names other files must never make us read them."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tones()))
    lists = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
    )
    for text in lists:
        with pytest.raises(BadInput) as refused:
            read(text.encode())
        assert refused.value.code == "unsupported_audio"


def test_what_is_no_number_becomes_zero() -> None:
    """NaN and infinity in float files are silence, and the samples beside them stay."""
    import av

    values = np.full((1, 1024), 0.5, dtype=np.float32)
    values[0, 100], values[0, 101] = np.nan, np.inf
    target = io.BytesIO()
    with av.open(target, "w", format="wav") as out:
        stream = out.add_stream("pcm_f32le", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(values, format="flt", layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    sound = read(target.getvalue())
    assert sound[0, 99:103].tolist() == [16384, 0, 0, 16384]


def test_resampling_does_not_move_sound() -> None:
    """A click stands at the same second at any rate."""
    click = np.zeros((1, 44100), np.int16)
    click[0, 22050] = 30000
    for rate in (8000, 16000, 48000):
        sound = np.concatenate(list(resampled(io.BytesIO(wav(click, 44100)), rate)), axis=1)
        assert sound.shape[1] == pytest.approx(rate, abs=2)
        assert np.abs(sound[0]).argmax() / rate == pytest.approx(0.5, abs=1.5 / rate)


def test_many_channels_are_all_kept() -> None:
    """A six-channel recording is six voices, not a mixture; the result says so."""
    sound = np.random.default_rng(1).integers(-9000, 9000, (6, 5000)).astype(np.int16)
    decoder = Decoder(io.BytesIO(wav(sound)))
    assert np.array_equal(np.concatenate(list(decoder), axis=1), sound)
    assert [warning.code for warning in decoder.damage] == ["extra_channels"]


def test_a_rate_that_changes_midway_keeps_the_first() -> None:
    """Two mp3 streams of different rate in one file come out at the first one's rate."""
    one = encode(tones(16000), 16000, "mp3", "libmp3lame")
    two = encode(tones(24000), 24000, "mp3", "libmp3lame")
    sound = read(one + two)
    assert sound.shape[1] / 16000 == pytest.approx(4.0, abs=0.3)
    assert loudest(sound[0, -24000:], 16000) == pytest.approx(440, abs=5)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 9000),
    channels=st.integers(1, 8),
    cut=st.integers(1, 4000),
    rate=st.sampled_from((8000, 11025, 16000, 96000)),
    known=st.booleans(),
)
def test_flac_gives_back_what_was_written(
    length: int, channels: int, cut: int, rate: int, known: bool
) -> None:
    """Whatever is written as FLAC comes back sample for sample, with its exact length."""
    sound = np.random.default_rng(length).integers(-32768, 32768, (channels, length))
    sound = sound.astype(np.int16)
    target = io.BytesIO()
    with FlacWriter(target, rate, channels, samples=length if known else None) as flac:
        for at in range(0, length, cut):
            flac.write(sound[:, at : at + cut])
    data = target.getvalue()
    assert probe(io.BytesIO(data)).duration == pytest.approx(length / rate)
    assert np.array_equal(read(data), sound)


def test_flac_holds_nothing_but_samples() -> None:
    """A redacted recording names no encoder, no time and no tag."""
    target = io.BytesIO()
    with FlacWriter(target, 8000, 1) as flac:
        flac.write(noise(8000)[None].astype(np.int16))
    data = target.getvalue()
    assert data.startswith(b"fLaC\x80\x00\x00\x22")  # one block of 34 bytes, and it is the last
    assert b"Lavf" not in data and b"Lavc" not in data


def test_flac_of_another_length_than_promised_is_refused() -> None:
    """A recording that decodes to another length the second time is never passed off."""
    with pytest.raises(Permanent), FlacWriter(io.BytesIO(), 8000, 1, samples=100) as flac:
        flac.write(np.zeros((1, 99), np.int16))
