"""Key tones: every key is found, and nothing else is taken for one."""

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

from redaction.keys import HIGH_TONES, LOW_TONES, key_tones

SPEECH = Path(__file__).parents[3] / "shared/data/speech"
KEYS = [(low, high) for low in LOW_TONES for high in HIGH_TONES]


def cut(samples: NDArray[np.int16], sizes: list[int]) -> Iterator[NDArray[np.int16]]:
    position = 0
    for size in sizes:
        yield samples[:, position : position + size]
        position += size
    yield samples[:, position:]


def pcm(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)[None, :]


def read(path: Path) -> tuple[NDArray[np.float64], int]:
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.reshape(-1, channels)[:, 0] / 32768, rate


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


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("start", [0.5, 0.5037, 0.5081, 0.5123])
def test_keys_of_forty_milliseconds_are_found(rate: int, start: float) -> None:
    """The shortest key that a receiver must take (Q.24) is found wherever its frames fall."""
    for low, high in KEYS:
        call = np.random.default_rng(1).normal(0, 0.0005, 2 * rate)
        tone = key(low, high, 0.04, rate, 0.2)
        call[round(start * rate) : round(start * rate) + len(tone)] += tone
        found = key_tones([pcm(call)], rate)
        assert len(found) == 1
        assert found[0][0] <= start + 0.02
        assert found[0][1] >= start + 0.02


def test_keys_through_mu_law_are_found() -> None:
    """A telephone's companding adds noise that follows the tone; the keys stay keys."""
    for low, high in KEYS:
        call = np.zeros(8000)
        call[2000:2480] = key(low, high, 0.06, 8000, 0.5)
        sign, size = np.sign(call), np.abs(call)
        steps = np.round(127 * np.log1p(255 * size) / np.log(256))
        coded = sign * (256 ** (steps / 127) - 1) / 255
        assert len(key_tones([pcm(coded)], 8000)) == 1


def test_keys_under_speech_are_found() -> None:
    """Keys pressed while somebody speaks: all 6 dB above the voice, most at its own level."""
    path = SPEECH / "two_cities_16k.wav"
    if not path.is_file():
        pytest.skip("no human speech at hand: shared/data/speech is absent")
    speech, rate = read(path)
    random = np.random.default_rng(0)
    level = np.sqrt(np.mean(speech[np.abs(speech) > 0.02] ** 2))
    for above, least in ((6.0, 16), (0.0, 12)):
        found = 0
        for low, high in KEYS:
            at = int(random.integers(rate, len(speech) - 2 * rate))
            piece = speech[at - rate // 2 : at + rate].copy()
            tone = key(low, high, 0.1, rate, 1.0)
            loudness = max(level, np.sqrt(np.mean(speech[at : at + len(tone)] ** 2)))
            tone *= loudness * 10 ** (above / 20) / np.sqrt(np.mean(tone**2))
            piece[rate // 2 : rate // 2 + len(tone)] += tone
            found += any(a < 0.6 and b > 0.5 for a, b, _ in key_tones([pcm(piece)], rate))
        assert found >= least, f"{found} of 16 keys at {above} dB"


def test_human_speech_is_no_key() -> None:
    """Three minutes of people reading, talking on a telephone and saying digits: not one key."""
    files = [*SPEECH.glob("*.wav"), *SPEECH.glob("alphanumeric/*/*.wav")]
    if not files:
        pytest.skip("no human speech at hand: shared/data/speech is absent")
    for path in files:
        sound, rate = read(path)
        assert key_tones([pcm(sound)], rate) == [], path.name


NETWORK = {
    "American ring-back": (440, 480), "American busy": (480, 620), "dial tone": (350, 440),
    "European ring-back": (425,), "British ring-back": (400, 450), "fax": (1100,),
    "modem answer": (2100,), "special information": (950, 1400, 1800), "beep": (1000,),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORK)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_network_tones_are_no_keys(name: str, rate: int) -> None:
    """Ring-back, busy, fax and beeps sound for minutes; none of it is muted as a key."""
    at = np.arange(6 * rate) / rate
    tones = sum(np.sin(2 * np.pi * f * at) for f in NETWORK[name]) / len(NETWORK[name])
    ringing = np.where(at % 3 < 2, tones, 0.0) * 0.4
    assert key_tones([pcm(ringing)], rate) == []


def music(seconds: float, rate: int, harmonics: int, seed: int) -> NDArray[np.float64]:
    """Three voices of random notes of the tempered scale, each with its overtones."""
    random = np.random.default_rng(seed)
    out = np.zeros(round(seconds * rate))
    for _ in range(3):
        place = 0
        while place < len(out):
            length = min(round(random.uniform(0.15, 0.8) * rate), len(out) - place)
            note = 440 * 2 ** (random.integers(-24, 25) / 12)
            at = np.arange(length) / rate
            for number in range(1, harmonics + 1):
                if note * number < 0.45 * rate:
                    wave_ = np.sin(2 * np.pi * note * number * at) / number
                    out[place : place + length] += wave_ * np.exp(-2 * at)
            place += length
    return out / np.abs(out).max() * 0.7


@pytest.mark.parametrize("harmonics", [1, 2, 6])
def test_music_on_hold_is_hardly_ever_a_key(harmonics: int) -> None:
    """Chords may fall on a pair of tones by chance: seldom, and never by the dozen."""
    found = sum(len(key_tones([pcm(music(60, 8000, harmonics, seed))], 8000)) for seed in range(5))
    assert found <= 10, f"{found} entries in five minutes of music"
