"""How much personal speech stays audible, against how well the call was understood.

Six sample calls are spoken anew under seven conditions, heard by the download-free recognizer and
redacted by the stages of the main path. Truth is exact: every word's time comes from aligning the
clean voice with its own text. Printed are the curve and the least floor that keeps the audible
share below a stated bound; `UNDERSTOOD_FLOOR` is set from it.

    python tests/bench/understood.py [--cache DIR] [--json FILE]

Needs flite and festival. What was heard is kept in the cache, so that a changed rule is measured
in a minute; the first run takes half an hour of one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "samples"))

import make  # noqa: E402
import sound  # noqa: E402

from redaction.windows import BOTH_SIDES  # noqa: E402
from voice_pipeline import codec  # noqa: E402
from voice_pipeline.diarizers import channels, clustering  # noqa: E402
from voice_pipeline.domain import Received, Transcript, Window  # noqa: E402
from voice_pipeline.redactors import build_redactor  # noqa: E402
from voice_pipeline.stages.diarize import diarize  # noqa: E402
from voice_pipeline.stages.ingest import ingest  # noqa: E402
from voice_pipeline.stages.redact import redact  # noqa: E402
from voice_pipeline.stages.transcribe import transcribe  # noqa: E402
from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR  # noqa: E402
from voice_pipeline.testing import MemoryShelf  # noqa: E402
from voice_pipeline.transcribers import pocketsphinx as engine  # noqa: E402

CALLS = ("card-dispute", "phone-payment", "address-change", "bereavement", "tax-form",
         "data-erasure")  # fmt: skip
SPEECH = -23.5  # dBFS: the mean of the two levels at which `samples/sound.py` mixes
TELEPHONE = {"container": "wav", "codec": "pcm_mulaw", "rate": 8000}
WIDE = {"container": "wav", "codec": "pcm_s16le", "rate": 16000}
LEAKY = {"container": "ogg", "codec": "libopus", "rate": 16000, "bitrate": 9000}
CONDITIONS: Mapping[str, Mapping[str, Any]] = {
    "as made": {},
    "noise 25 dB": {"format": WIDE, "snr": 25},
    "noise 15 dB": {"format": WIDE, "snr": 15},
    "telephone, noise 20 dB": {"format": TELEPHONE, "snr": 20},
    "opus 9 kbit/s": {"format": LEAKY},
    "other voices": {"voices": ("kal16", "awb"), "format": WIDE},
    "a fifth faster": {"stretch": 0.8, "format": WIDE},
}
BOUND = 0.02  # of spoken card, account and social security numbers that may stay audible
NUMBERS = BOTH_SIDES  # cards, accounts, social security: what a thief can use at once
AUDIBLE = 0.02  # seconds of a word outside the windows from which on it counts as audible
QUIET = 35.0  # dB below its turn's loudest 10 ms: no part of a word
STEP = 0.01  # seconds
FLOORS = [round(0.30 + 0.05 * step, 2) for step in range(13)]


@dataclass(frozen=True)
class Said:
    """One word of personal data: when its sound is there."""

    channel: int
    label: str
    moments: tuple[float, ...]  # seconds: middles of its audible 10 ms steps


@dataclass(frozen=True)
class Measured:
    """One channel of one call under one condition."""

    call: str
    condition: str
    channel: int
    understood: float
    words: int  # of personal data
    audible_words: int
    seconds: float  # of personal speech
    audible: float  # ... outside the windows
    number_seconds: float  # of personal speech that is numbers: cards, phones, accounts, dates
    number_audible: float
    muted: float  # share of the call's time muted on this channel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / "out" / "understood")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    redactor = build_redactor("balanced")
    rows: list[Measured] = []
    for condition in CONDITIONS:
        for call in CALLS:
            said, transcript = heard(call, condition, asked.cache)
            found = redact(transcript, redactor=redactor)
            rows += measure(call, condition, said, transcript, found.windows)
            print(json.dumps([dataclasses.asdict(row) for row in rows[-transcript.channels :]]),
                  file=sys.stderr, flush=True)  # fmt: skip
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "date": datetime.now(UTC).date().isoformat(),
        "transcriber": engine.create(engine.Options()).made_by,
        "channels": len(rows),
        "by_condition": [summed(name, [r for r in rows if r.condition == name])
                         for name in CONDITIONS],
        "curve": [summed(f">= {floor:.2f}", [r for r in rows if r.understood >= floor])
                  for floor in FLOORS],
        "bound": BOUND,
        "least_floor": least_floor(rows),
        "floor_in_force": UNDERSTOOD_FLOOR,
    }  # fmt: skip
    print(json.dumps(report, indent=2))
    if asked.json:
        report["rows"] = [dataclasses.asdict(row) for row in rows]
        asked.json.write_text(json.dumps(report, indent=2))


def summed(name: str, rows: Sequence[Measured]) -> dict[str, Any]:
    """Return one line of the curve: what is let through, and how much of it is audible."""
    seconds = sum(row.seconds for row in rows)
    numbers = sum(row.number_seconds for row in rows)
    with_data = [row for row in rows if row.seconds]
    return {
        "channels": name,
        "n": len(rows),
        "personal_words": sum(row.words for row in rows),
        "audible_words": sum(row.audible_words for row in rows),
        "personal_seconds": round(seconds, 1),
        "audible_share": round(sum(row.audible for row in rows) / seconds, 4) if seconds else None,
        "number_seconds": round(numbers, 1),
        "number_audible_share": (
            round(sum(row.number_audible for row in rows) / numbers, 4) if numbers else None
        ),
        "worst_channel": round(max((r.audible / r.seconds for r in with_data), default=0.0), 2),
        "muted_share": round(float(np.mean([row.muted for row in rows])), 3) if rows else None,
    }  # fmt: skip


def least_floor(rows: Sequence[Measured]) -> float | None:
    """Return the least floor from which on the audible share of numbers stays below the bound.

    Names are not asked for: whether one is found depends on the word that was heard for it, at any
    floor.
    """
    kept = None
    for floor in reversed(FLOORS):
        share = summed("", [row for row in rows if row.understood >= floor])["number_audible_share"]
        if share is not None and share > BOUND:
            break
        kept = floor
    return kept


def measure(
    call: str,
    condition: str,
    said: Sequence[Said],
    transcript: Transcript,
    windows: Sequence[Window],
) -> Iterator[Measured]:
    for channel in range(transcript.channels):
        mute = [(w.start, w.end) for w in windows if not w.channels or channel in w.channels]
        own = [word for word in said if word.channel == channel]
        left = [
            STEP * sum(not any(a <= at < b for a, b in mute) for at in word.moments) for word in own
        ]
        yield Measured(
            call=call,
            condition=condition,
            channel=channel,
            understood=transcript.understood[channel],
            words=len(own),
            audible_words=sum(seconds > AUDIBLE for seconds in left),
            seconds=STEP * sum(len(word.moments) for word in own),
            audible=sum(left),
            number_seconds=STEP * sum(len(word.moments) for word in own if word.label in NUMBERS),
            number_audible=sum(
                seconds for word, seconds in zip(own, left, strict=True) if word.label in NUMBERS
            ),
            muted=sum(b - a for a, b in mute) / transcript.duration,
        )


# ---------------------------------------------------------------- speaking and hearing


def heard(call: str, condition: str, cache: Path) -> tuple[list[Said], Transcript]:
    """Return what was said and what was understood of it; from the cache where it is kept."""
    script = make.load(make.SCRIPTS / f"{call}.yaml")
    how = CONDITIONS[condition]
    for who, voice in zip(("agent", "customer"), how.get("voices", (None, None)), strict=True):
        if voice:
            script["voices"][who] = {"name": voice}
        if "stretch" in how:
            script["voices"][who]["stretch"] = how["stretch"]
    script["format"] = {**script["format"], **how.get("format", {})}
    audio, said = spoken(script, how.get("snr"))
    kept = cache / f"{hashlib.sha256(audio).hexdigest()[:20]}.json"
    if not kept.is_file():
        kept.write_bytes(codec.encode(_transcript(call, audio)))
    transcript: Transcript = codec.decode(kept.read_bytes())
    return said, transcript


def spoken(script: Mapping[str, Any], snr: float | None) -> tuple[bytes, list[Said]]:
    """Return the call's bytes, and its personal words with the times of their sound."""
    form, left = script["format"], script.get("left", "agent")
    voices = {who: sound.Voice(**voice) for who, voice in script["voices"].items()}
    turns, marked = [], []
    for turn in script["turns"]:
        speaker, text = make.said(turn)
        plain, places = make.read_markup(text)
        timing = {key: turn[key] for key in ("gap", "within") if key in turn}
        turns.append((speaker, sound.speak(plain, voices[speaker]), timing))
        marked.append((plain, places))
    placed = sound.place(turns)
    mono = form["layout"] == "mono"
    said = [
        Said(0 if mono or turn.speaker == left else 1, label, tuple(turn.start + at for at in when))
        for turn, (text, places) in zip(placed, marked, strict=True)
        for label, when in _personal(text, places, turn.wave)
    ]
    lines = sound.mix(placed, left, form["layout"], script["seed"], script.get("bleed"))
    if snr is not None:
        noise = np.random.default_rng(script["seed"])
        level = 10 ** ((SPEECH - snr) / 20)
        lines = [line + noise.normal(0, level, len(line)) for line in lines]
    if form["rate"] == sound.RATE // 2:
        lines = [sound.narrow(line) for line in lines]
    audio = sound.encode(
        sound.to_pcm(lines), form["rate"], form["container"], form["codec"], form.get("bitrate")
    )
    return audio, said


def _personal(
    text: str, places: Sequence[tuple[int, int, str]], wave: sound.Wave
) -> Iterator[tuple[str, list[float]]]:
    """Yield (label, times of its sound) of every personal word; seconds from the turn's start."""
    if not places:
        return
    words = list(re.finditer(r"[a-z']+", text.lower()))
    times = _aligned([word.group() for word in words], wave)
    step = round(STEP * sound.RATE)
    whole = len(wave) // step
    power = np.mean(np.square(wave[: whole * step].reshape(whole, step)), axis=1)
    loud = power > power.max() * 10 ** (-QUIET / 10)
    for word, (start, end) in zip(words, times, strict=True):
        label = next((name for a, b, name in places if a <= word.start() < b), None)
        if label is not None:
            steps = range(round(start / STEP), min(whole, round(end / STEP)))
            yield label, [(at + 0.5) * STEP for at in steps if loud[at]]


def _aligned(words: Sequence[str], wave: sound.Wave) -> list[tuple[float, float]]:
    """Return each word's time: forced alignment of a clean voice with its own text."""
    for room in (0.0, 0.2):  # a last sound may need room, or be lost in it
        decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", beam=1e-120, pbeam=1e-120)
        padded = np.concatenate([wave, np.zeros(round(room * sound.RATE))])
        decoder.set_align_text(" ".join(words))
        decoder.start_utt()
        pcm = (padded / np.abs(wave).max() * 16000).astype("<i2")
        decoder.process_raw(pcm.tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        found = [
            (part.start_frame * STEP, (part.end_frame + 1) * STEP)
            for part in decoder.seg() or ()
            if not part.word.startswith(("<", "[", "+"))
        ]
        if len(found) == len(words):
            return found
    sys.exit(f"{len(found)} of {len(words)} words could be aligned")


def _transcript(call: str, audio: bytes) -> Transcript:
    shelf = MemoryShelf()
    ref = shelf.put(call, "Audio", audio)
    received = Received(call, call, ref.sha256, len(audio), ref, {}, language="en")
    recording = ingest(received, shelf=shelf)
    speech = transcribe(recording, transcriber=engine.create(engine.Options()), shelf=shelf)
    kind = clustering if recording.channels == 1 else channels
    return diarize(recording, speech, diarizer=kind.create(kind.Options()), shelf=shelf)


if __name__ == "__main__":
    main()
