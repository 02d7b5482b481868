"""Recordings for tests: built here, deterministic, all voices synthetic and all data invented."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline.audio import Resampler
from voice_pipeline.domain import Received, Recording, Ref
from voice_pipeline.stages.ingest import ingest

Int16 = NDArray[np.int16]

AGENT = (
    "Thank you for calling, how may I help you today?",
    "Certainly, let me have a look at that for you.",
    "Can I take your account number please?",
    "I can see the charge here on the second of March.",
    "I will send you a confirmation by e-mail this afternoon.",
    "Is there anything else that I can do for you?",
)
CUSTOMER = (
    "Hello, I have a question about my last bill.",
    "It is much higher than it was the month before.",
    "I do not have the number with me at the moment.",
    "Yes, that is the one, I never ordered anything like it.",
    "When will I get my money back?",
    "No, that was all, thank you very much. Goodbye.",
)


@cache
def say(voice: str, text: str, rate: int = 16000) -> Int16:
    """Return flite's speech, mono; skips the test where flite or the voice is missing."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed: no synthetic speech")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        raw = path.read_bytes()
    at = raw.index(b"data") + 8
    own = int.from_bytes(raw[24:28], "little")
    samples = np.frombuffer(raw[at:], dtype="<i2")
    if own == rate:
        return samples.astype(np.int16)
    resampler = Resampler(own, rate, 1)
    parts = [resampler.add_s16(samples[None].astype(np.int16)), resampler.end_s16()]
    return np.concatenate(parts, axis=1)[0]


def conversation(
    voices: tuple[str, str] = ("rms", "slt"), rate: int = 16000, pairs: int = 6
) -> tuple[Int16, list[tuple[int, float, float]]]:
    """Return a two-channel call and who speaks when: (channel, start, end)."""
    gaps = np.random.default_rng(7)
    lanes: tuple[list[Int16], list[Int16]] = ([], [])
    turns = []
    at = 0
    for number in range(2 * pairs):
        side = number % 2
        line = (AGENT, CUSTOMER)[side][number // 2 % 6]
        pause = int(rate * gaps.uniform(0.3, 0.8))
        said = say(voices[side], line, rate)
        turns.append((side, (at + pause) / rate, (at + pause + len(said)) / rate))
        lanes[side].append(np.concatenate([np.zeros(pause, np.int16), said]))
        lanes[1 - side].append(np.zeros(pause + len(said), np.int16))
        at += pause + len(said)
    return np.stack([np.concatenate(lane) for lane in lanes]), turns


def noise(samples: int, level: float = -60.0, seed: int = 0) -> NDArray[np.float64]:
    """Return white noise of so many dBFS."""
    return np.random.default_rng(seed).normal(0, 32768 * 10 ** (level / 20), samples)


def wav(samples: Int16, rate: int = 16000, *, extra: bytes = b"", promise: int = 0) -> bytes:
    """Return a RIFF file; `extra` follows the data, `promise` bytes are claimed but absent."""
    data = np.ascontiguousarray(samples.T).astype("<i2").tobytes()
    channels = samples.shape[0]
    layout = (1).to_bytes(2, "little") + channels.to_bytes(2, "little")
    layout += rate.to_bytes(4, "little") + (rate * channels * 2).to_bytes(4, "little")
    layout += (channels * 2).to_bytes(2, "little") + (16).to_bytes(2, "little")
    size = (len(data) + promise).to_bytes(4, "little")
    body = b"WAVEfmt " + (16).to_bytes(4, "little") + layout + b"data" + size + data + extra
    return b"RIFF" + (len(body) + promise).to_bytes(4, "little") + body


def encode(samples: Int16, rate: int, container: str, codec: str, *, video: bool = False) -> bytes:
    """Return the samples in any container and codec that PyAV can write."""
    import av

    target = io.BytesIO()
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    with av.open(target, "w", format=container) as out:
        picture: Any = None
        if video:
            picture = out.add_stream("mpeg4", rate=5)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        stream: Any = out.add_stream(codec, rate=rate)
        stream.layout = layout
        form = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(format=form, layout=layout, rate=rate)
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = rate
        if picture is not None:
            for _ in range(5):
                black = np.zeros((64, 64, 3), np.uint8)
                out.mux(picture.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
            out.mux(picture.encode(None))
        for part in [*resampler.resample(frame)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return target.getvalue()


class OneBlob:
    """A shelf that holds one recording."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @contextlib.contextmanager
    def open(self, ref: Ref[Any]) -> Iterator[BinaryIO]:
        yield io.BytesIO(self._data)

    def create(self, call: str, kind: str) -> Any:
        raise NotImplementedError("nothing is written in these tests")


def received(data: bytes, **facts: Any) -> Received:
    audio: Ref[Any] = Ref("call", "Audio", "0" * 64)
    return Received("call", "call.wav", "0" * 64, len(data), audio, {}, **facts)


def recording(data: bytes, **facts: Any) -> Recording:
    """Return what the ingest stage says about a file."""
    return ingest(received(data, **facts), shelf=OneBlob(data))


def codes(found: Recording) -> set[str]:
    return {warning.code for warning in found.warnings}
