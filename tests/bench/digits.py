"""Digits of real voices through the whole way: spoken, heard, redacted, muted, listened to.

Calls are strung from recordings of single digits (see `voice_pipeline.metrics.muting`); what is
said around them is spoken by flite. The download-free recognizer hears them, so its own errors in
words and times are what is measured, and calls that it does not understand would be held.

    python tests/bench/digits.py DIR [--least 300] [--telephone] [--json FILE]

DIR holds zero/ to nine/. Five minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "samples"))

import sound  # noqa: E402

from redaction import audio as muting_of  # noqa: E402
from voice_pipeline.audio import blocks  # noqa: E402
from voice_pipeline.diarizers import channels  # noqa: E402
from voice_pipeline.domain import Received  # noqa: E402
from voice_pipeline.metrics import muting  # noqa: E402
from voice_pipeline.metrics.report import wilson  # noqa: E402
from voice_pipeline.redactors import build_redactor  # noqa: E402
from voice_pipeline.stages.diarize import diarize  # noqa: E402
from voice_pipeline.stages.ingest import ingest  # noqa: E402
from voice_pipeline.stages.mute import muted_windows  # noqa: E402
from voice_pipeline.stages.redact import redact  # noqa: E402
from voice_pipeline.stages.transcribe import transcribe  # noqa: E402
from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR  # noqa: E402
from voice_pipeline.stages.verify import MOST_UNANSWERED  # noqa: E402
from voice_pipeline.testing import MemoryShelf  # noqa: E402
from voice_pipeline.transcribers import pocketsphinx as engine  # noqa: E402

VOICES = {"agent": "slt", "customer": "rms"}


@cache
def speak(speaker: str, words: str) -> muting.Samples:
    """Return a phrase spoken by flite, as loud as the digits."""
    wave = sound.speak(words, sound.Voice(VOICES[speaker])).astype(np.float32)
    level = np.sqrt(np.mean(np.square(wave)))
    return np.asarray(wave * (muting.LEVEL / level), dtype=np.float32)


def measure(folder: Path, least: int, *, telephone: bool) -> dict[str, Any]:
    voices, draw = muting.read_digits(folder), random.Random(0)
    redactor, hears = build_redactor("balanced"), engine.create(engine.Options())
    tells = channels.create(channels.Options())
    rows: list[dict[str, Any]] = []
    while sum(row["digits"] for row in rows) < least:
        lines = muting.CALLS[len(rows) % len(muting.CALLS)]
        call = muting.string(lines, voices, draw, speak)
        data = _encoded(call.samples, telephone=telephone)
        shelf = MemoryShelf()
        ref = shelf.put("strung", "Audio", data)
        received = Received("strung", "strung", ref.sha256, len(data), ref, {}, language="en")
        recording = ingest(received, shelf=shelf)
        heard = transcribe(recording, transcriber=hears, shelf=shelf)
        said = diarize(recording, heard, diarizer=tells, shelf=shelf)
        found = redact(said, redactor=redactor)
        windows, _, _ = muted_windows(recording.audio, recording.rate, found, shelf)
        with shelf.open(ref) as file:
            own = np.concatenate(list(blocks(file)), axis=1)
        out = np.concatenate(list(muting_of.mute([own], recording.rate, windows)), axis=1)
        right = muting_of.check([own], [out], recording.rate, windows).passed
        zero = np.repeat(out == 0, muting.RATE // recording.rate, axis=1)
        whole = call.samples[:, : zero.shape[1]].copy()
        whole[zero[:, : whole.shape[1]]] = 0
        left = muting.audible(call, whole)
        held = min(said.understood) < UNDERSTOOD_FLOOR or (
            found.warnings.count("unanswered_number_question") > MOST_UNANSWERED
        )
        rows.append(
            {
                "digits": len(call.digits),
                "audible": len(left),
                "held": held,
                "bit_check": right,
                "understood": said.understood,
                "findings": [f.label for f in found.findings],
                "muted": round(float(np.mean(zero[1])), 3),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {
        "band": "telephone, mu-law" if telephone else "wide",
        "transcriber": hears.made_by,
        "calls": len(rows),
        "bit_check_passed": sum(row["bit_check"] for row in rows),
        "all": _counts(rows),
        "released": _counts([row for row in rows if not row["held"]]),
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    digits, audible = sum(row["digits"] for row in rows), sum(row["audible"] for row in rows)
    low, high = wilson(audible, digits)
    return {
        "calls": len(rows),
        "digits": digits,
        "audible": audible,
        "interval": [round(low, 4), round(high, 4)],
        "muted": round(float(np.mean([row["muted"] for row in rows])), 3) if rows else None,
    }


def _encoded(samples: Any, *, telephone: bool) -> bytes:
    if not telephone:
        return sound.encode(samples, muting.RATE, "wav", "pcm_s16le", None)
    with tempfile.TemporaryDirectory() as place:  # sox: the band and the companding of a telephone
        wide, narrow = Path(place) / "wide.wav", Path(place) / "narrow.wav"
        wide.write_bytes(sound.encode(samples, muting.RATE, "wav", "pcm_s16le", None))
        subprocess.run(
            ["sox", wide, "-r", "8000", "-e", "mu-law", narrow, "sinc", "300-3400"], check=True
        )
        return narrow.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--least", type=int, default=300)
    parser.add_argument("--telephone", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report = measure(asked.folder, asked.least, telephone=asked.telephone)
    print(json.dumps(report, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
