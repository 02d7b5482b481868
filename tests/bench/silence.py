"""Words invented where nobody speaks: thirty minutes of telephone silence, noise, tones and music.

Every sound is built by `tests/line_sounds.py`, sent through a telephone (300-3400 Hz, line noise,
mu-law) and through the transcribe stage, once as the product does and once without its ear: all
that stands out of the noise is fed to the engine and every word it gives is kept. Both engines run
in the same process: the download-free one, and faster-whisper on the tests' tiny checkpoint, which
writes the same sixteen words whatever it hears.

    python tests/bench/silence.py [--minutes 30] [--music DIR] [--json FILE]
    python tests/bench/silence.py --speech samples/audio

The first DIR may hold recordings of real hold music (wav); they are added as one more class. The
second run is the price: of calls in which people speak, the words that were left out and the
seconds of activity that were not listened to.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import platform
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import line_sounds  # noqa: E402
import tiny_whisper  # noqa: E402

from voice_pipeline.audio import listen, survey  # noqa: E402
from voice_pipeline.domain import Received, Recording, Segment, SegmentSpeech  # noqa: E402
from voice_pipeline.ports import Progress, Transcriber  # noqa: E402
from voice_pipeline.stages.ingest import ingest  # noqa: E402
from voice_pipeline.stages.transcribe import transcribe  # noqa: E402
from voice_pipeline.testing import MemoryShelf  # noqa: E402
from voice_pipeline.transcribers import faster_whisper, pocketsphinx  # noqa: E402

Int16 = NDArray[np.int16]
SEED = 100  # the thresholds of audio/sounds.py were set on seeds below
LONGEST = 90.0  # seconds of a piece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--music", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.speech:
        print(json.dumps(price(asked.speech), indent=2))
        return
    with tempfile.TemporaryDirectory() as folder:
        tiny = tiny_whisper.build(Path(folder) / "tiny")
        engines: dict[str, Transcriber] = {
            "pocketsphinx": pocketsphinx.create(pocketsphinx.Options()),
            "tiny whisper": faster_whisper.create(faster_whisper.Options(model=str(tiny))),
        }
        rows = [measure(*piece, engines) for piece in pieces(asked.minutes, asked.music)]
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "date": datetime.now(UTC).date().isoformat(),
        "by_class": [
            summed(name, [row for row in rows if row["class"] == name])
            for name in dict.fromkeys(row["class"] for row in rows)
        ],
        "all": summed("all", rows),
    }
    print(json.dumps(report, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps({**report, "rows": rows}, indent=2))


def pieces(minutes: float, music: Path | None) -> Iterator[tuple[str, Int16]]:
    """Yield (class, samples at 8 kHz): every class as long as every other."""
    classes = {**line_sounds.SILENCES, **line_sounds.TONES, **line_sounds.MUSIC}
    seconds = minutes * 60 / len(classes)
    for name, make in classes.items():
        left, seed = seconds, SEED
        while left > 0:
            yield name, line_sounds.telephone(make(min(LONGEST, left), seed), seed)
            left, seed = left - LONGEST, seed + 1
    for path in sorted(music.glob("*.wav")) if music else ():
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        wave_ = line_sounds.level(samples[: 180 * line_sounds.RATE] / 32768, -22.0)
        yield "real hold music", line_sounds.telephone(wave_)


def measure(name: str, samples: Int16, engines: dict[str, Transcriber]) -> dict[str, Any]:
    data = as_wav(samples)
    shelf = MemoryShelf()
    ref = shelf.put("silence", "Audio", data)
    received = Received("silence", "silence", ref.sha256, len(data), ref, {}, language="en")
    recording = ingest(received, shelf=shelf)
    row: dict[str, Any] = {"class": name, "seconds": len(samples) / line_sounds.RATE}
    for engine, transcriber in engines.items():
        heard = transcribe(recording, transcriber=transcriber, shelf=shelf)
        row[engine] = sum(len(speech.words) for speech in heard.speech)
        row[f"{engine}, no ear"] = without_ear(recording, data, transcriber)
    row["held"] = sum(s.end - s.start for s in heard.sounds)
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def without_ear(recording: Recording, data: bytes, transcriber: Transcriber) -> int:
    """Return how many words the engine gives for all that stands out of the noise."""
    file = io.BytesIO(data)
    found = survey(file, recording)
    everything = dataclasses.replace(found, speech=found.active)
    segments: list[Segment] = list(listen(file, recording, everything))
    heard = transcriber.transcribe(segments, language="en", progress=lambda share: None)
    return sum(len(speech.words) for speech in heard)


class Counting:
    """An engine that remembers how many words it gave."""

    def __init__(self, engine: Transcriber) -> None:
        self._engine = engine
        self.name, self.made_by, self.traits = engine.name, engine.made_by, engine.traits
        self.words = 0

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        heard = self._engine.transcribe(segments, language=language, progress=progress)
        self.words += sum(len(speech.words) for speech in heard)
        return heard


def price(folder: Path) -> dict[str, Any]:
    """Return what the ear takes from calls in which people speak."""
    engine = Counting(pocketsphinx.create(pocketsphinx.Options()))
    files = sorted(path for path in folder.iterdir() if path.is_file())
    kept, active, unheard = 0, 0.0, 0.0
    for path in files:
        data = path.read_bytes()
        shelf = MemoryShelf()
        ref = shelf.put("call", "Audio", data)
        recording = ingest(
            Received("call", path.name, ref.sha256, len(data), ref, {}, language="en"), shelf=shelf
        )
        found = survey(io.BytesIO(data), recording)
        active += sum(end - start for spans in found.active for start, end in spans)
        unheard += sum(end - start for spans in found.active for start, end in spans)
        unheard -= sum(end - start for spans in found.speech for start, end in spans)
        heard = transcribe(recording, transcriber=engine, shelf=shelf)
        kept += sum(len(speech.words) for speech in heard.speech)
    return {
        "recordings": len(files),
        "words the engine gave": engine.words,
        "words left out": engine.words - kept,
        "active seconds": round(active, 1),
        "of them not listened to": round(unheard, 1),
    }


def as_wav(samples: Int16) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(line_sounds.RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def summed(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    counted = [key for key in rows[0] if key not in ("class", "seconds")]
    return {
        "class": name,
        "recordings": len(rows),
        "minutes": round(sum(row["seconds"] for row in rows) / 60, 1),
        **{key: round(sum(row[key] for row in rows), 1) for key in counted},
    }


if __name__ == "__main__":
    main()
