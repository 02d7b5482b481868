"""Speak, place, mix and encode the turns of a sample call.

Decides how a scripted turn becomes samples and where it lies in the recording.
Refuses nothing of a script's meaning: it never looks at markup, only at words to say.
"""

import hashlib
import io
import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import firwin, resample_poly

RATE = 16_000  # Hz; everything is mixed at this rate, telephone calls are narrowed afterwards
LEVELS = {"agent": -22.0, "customer": -25.0}  # dBFS RMS of speech: callers are a little softer
NOISE = -80.0  # dBFS RMS: a light line hiss; louder only makes lossless files larger
LEAD = 0.4  # s of line noise before the first word and after the last
GAP = 0.35  # s between turns: the usual pause of a phone conversation is 0.2 to 0.5
BLEED_DELAY = 0.010  # s, the path from one headset into the other
PHONE_BAND = (300, 3400)  # Hz, ITU-T G.712
TRIM = 0.01  # of the peak: below it the synthesizer is silent
FESTIVAL_VOICES = {"hts": "voice_cmu_us_slt_arctic_hts"}
LOSSLESS = {"pcm_s16le", "flac", "pcm_mulaw", "pcm_alaw"}  # rebuilds are compared sample by sample

Wave = NDArray[np.float64]  # one channel, shape (samples,), range -1..1
Pcm = NDArray[np.int16]  # shape (channels, samples)


@dataclass(frozen=True)
class Voice:
    """Who speaks: a flite voice name, or 'hts' for festival's, and how slowly."""

    name: str
    stretch: float = 1.0  # 1.1 is ten percent slower


@dataclass(frozen=True)
class Placed:
    """One spoken turn and where it lies."""

    speaker: str
    wave: Wave
    start: float  # seconds from the start of the recording
    end: float


def speak(text: str, voice: Voice) -> Wave:
    """Return `text` spoken at 16 kHz with the silence around it cut off."""
    with tempfile.TemporaryDirectory() as folder:
        out, words = Path(folder) / "said.wav", Path(folder) / "words.txt"
        words.write_text(text, encoding="ascii")
        if voice.name in FESTIVAL_VOICES:
            stretch = f"(Parameter.set 'Duration_Stretch {voice.stretch})"
            choose = f"(begin ({FESTIVAL_VOICES[voice.name]}) {stretch})"
            command = ["text2wave", "-eval", choose, str(words), "-o", str(out)]
        else:
            stretch = f"duration_stretch={voice.stretch}"
            command = ["flite", "-voice", voice.name, "--setf", stretch, str(words), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        rate, pcm = wavfile.read(out)
    wave = pcm.astype(np.float64) / 32768
    if rate != RATE:
        ratio = Fraction(RATE, rate)
        wave = resample_poly(wave, ratio.numerator, ratio.denominator)
    loud = np.flatnonzero(np.abs(wave) > TRIM * np.abs(wave).max())
    return np.asarray(wave[loud[0] : loud[-1] + 1])


def place(said: list[tuple[str, Wave, dict[str, float]]]) -> list[Placed]:
    """Lay turns on the time line.

    Each turn comes with its timing: `gap` is the pause in seconds after everything said so far
    (negative: it cuts in), `within` starts it at that share of the turn before it.
    """
    placed: list[Placed] = []
    for speaker, wave, timing in said:
        last = max((turn.end for turn in placed), default=LEAD - GAP)
        start = last + timing.get("gap", GAP)
        if "within" in timing:
            before = placed[-1]
            start = before.start + timing["within"] * (before.end - before.start)
        start = round(start * RATE) / RATE
        placed.append(Placed(speaker, wave, start, start + len(wave) / RATE))
    return placed


def mix(turns: list[Placed], left: str, layout: str, seed: int, bleed: float | None) -> list[Wave]:
    """Return the channels of the call: speech at its level, bleed if any, line noise."""
    length = round((max(turn.end for turn in turns) + LEAD) * RATE)
    lines = {"agent": np.zeros(length), "customer": np.zeros(length)}
    for speaker, line in lines.items():
        mine = [turn for turn in turns if turn.speaker == speaker]
        power = np.mean(np.concatenate([turn.wave for turn in mine]) ** 2)
        scale = 10 ** (LEVELS[speaker] / 20) / np.sqrt(power)
        for turn in mine:
            at = round(turn.start * RATE)
            line[at : at + len(turn.wave)] += scale * turn.wave
    right = "customer" if left == "agent" else "agent"
    channels = [lines[left], lines[right]]
    if bleed is not None:
        shift = round(BLEED_DELAY * RATE)
        heard = [np.concatenate([np.zeros(shift), line[:-shift]]) for line in reversed(channels)]
        channels = [a + 10 ** (bleed / 20) * b for a, b in zip(channels, heard, strict=True)]
    if layout == "mono":
        channels = [channels[0] + channels[1]]
    noise = np.random.default_rng(seed)
    # The sum of four dice is close to normal, and integer draws are the same everywhere.
    step = 10 ** (NOISE / 20) / np.sqrt(4 * (21**2 - 1) / 12)
    return [line + step * noise.integers(-10, 11, (4, length)).sum(axis=0) for line in channels]


def narrow(line: Wave) -> Wave:
    """Return the telephone form of a 16 kHz line: band-passed, at 8 kHz."""
    band = firwin(255, PHONE_BAND, pass_zero=False, fs=RATE)
    return np.asarray(np.convolve(line, band, mode="same")[::2])


def to_pcm(channels: list[Wave]) -> Pcm:
    """Return 16-bit samples, shape (channels, samples); too loud a mix is limited."""
    return (np.clip(np.stack(channels), -0.99, 0.99) * 32767).round().astype(np.int16)


def encode(pcm: Pcm, rate: int, container: str, codec: str, bitrate: int | None) -> bytes:
    """Return the bytes of an audio file holding `pcm`."""
    layout = "mono" if len(pcm) == 1 else "stereo"
    buffer = io.BytesIO()
    # Bit-exact muxing leaves out library versions and random serial numbers.
    options: dict[str, Any] = {"fflags": "+bitexact"}
    with av.open(buffer, "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        if bitrate:
            stream.bit_rate = bitrate
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(pcm.T.reshape(1, -1)), format="s16", layout=layout
        )
        frame.sample_rate = rate
        frame.pts = 0
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def decode(file: Path | bytes) -> tuple[Pcm, int, str]:
    """Return samples, rate in Hz and codec name of an audio file or its bytes."""
    source = io.BytesIO(file) if isinstance(file, bytes) else str(file)
    parts = []
    with av.open(source, "r") as opened:
        stream = opened.streams.audio[0]
        layout, rate = stream.layout.name, stream.rate
        resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
        for frame in opened.decode(stream):
            parts += [part.to_ndarray() for part in resampler.resample(frame)]
        parts += [part.to_ndarray() for part in resampler.resample(None)]
        codec = stream.codec_context.name
        channels = stream.channels
    pcm = np.concatenate(parts, axis=1).reshape(-1, channels).T.astype(np.int16)
    return pcm, rate, codec


def fingerprint(file: Path | bytes) -> str:
    """Return the SHA-256 of the decoded interleaved 16-bit samples of an audio file."""
    pcm, _, _ = decode(file)
    return hashlib.sha256(pcm.T.astype("<i2").tobytes()).hexdigest()
