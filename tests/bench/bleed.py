"""Words on the wrong side, and words kept under double talk, where sides are heard on each other.

Two-channel telephone calls of synthetic voices, a third of whose turns cut in; each side is mixed
into the other, softer and later. Measured twice, with the cross-channel gate and without it:

- by truth: every true word (timed by aligning the clean voice) against what is listened to. A word
  is kept where four fifths of it are listened to on its own channel, and on the wrong side where
  half of it is on the other, which without bleed is not listened to then;
- by the download-free recognizer: words it hears on a channel whose party says nothing while the
  other one speaks; and of the true words under double talk, the share that it has right, beside the
  same calls without bleed.

    python tests/bench/bleed.py [--calls N] [--seed N] [--truth-only] [--json FILE]

Needs flite and festival; the recognizer takes about ten minutes of one core.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from synthetic_calls import RATE, Call, make_call, telephone, wav, word_times  # noqa: E402

from voice_pipeline.audio import activity  # noqa: E402
from voice_pipeline.metrics.alignment import align  # noqa: E402
from voice_pipeline.metrics.asr import normalise  # noqa: E402
from voice_pipeline.metrics.report import bootstrap, wilson  # noqa: E402
from voice_pipeline.metrics.sound import kept  # noqa: E402
from voice_pipeline.stages.ingest import ingest  # noqa: E402
from voice_pipeline.stages.transcribe import transcribe  # noqa: E402
from voice_pipeline.testing import MemoryShelf  # noqa: E402
from voice_pipeline.transcribers import pocketsphinx  # noqa: E402

PAIRS = (("rms", "slt"), ("awb", "slt"), ("rms", "awb"), ("hts", "rms"), ("kal16", "hts"),
         ("slt", "hts"))  # fmt: skip
CONDITIONS = ((None, 0.0), (-30.0, 0.01), (-20.0, 0.01), (-20.0, 0.15), (-12.0, 0.01),
              (-12.0, 0.15))  # fmt: skip
LISTENED = 0.8  # share of a word that must be listened to
HALF = 0.5
NEAR = 0.1  # seconds beside a turn that still belong to it: recognizers' times are not exact


@dataclass(frozen=True)
class Spoken:
    """A true word."""

    line: int
    text: str
    start: float
    end: float
    both: bool  # at least half of it under the other party's speech


def words_of(call: Call) -> list[Spoken]:
    """Return the words of the turns that could be aligned."""
    found = []
    for turn in call.turns:
        times = word_times(turn.voice, turn.text)
        for text, (start, end) in zip(turn.text.split(), times or (), strict=bool(times)):
            start, end = turn.start + start, turn.start + end
            other = sum(
                max(0.0, min(end, t.end) - max(start, t.start))
                for t in call.turns
                if t.line != turn.line
            )
            found.append(Spoken(turn.line, text, start, end, other >= HALF * (end - start)))
    return found


def with_bleed(call: Call, level: float | None, delay: float) -> NDArray[np.float64]:
    """Return the lines, each with the other one mixed in."""
    if level is None:
        return call.lines
    late = round(delay * RATE)
    echo = np.pad(call.lines[::-1], ((0, 0), (late, 0)))[:, : call.lines.shape[1]]
    mixed: NDArray[np.float64] = call.lines + 10 ** (level / 20) * echo
    return mixed


@contextmanager
def gating(on: bool) -> Iterator[None]:
    """Switch the cross-channel gate off while the block runs, for comparison."""
    module = sys.modules["voice_pipeline.audio.listen"]
    gate = module.gate  # type: ignore[attr-defined]
    if not on:
        module.gate = lambda levels, active, echoes: active  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.gate = gate  # type: ignore[attr-defined]


Heard = tuple[tuple[tuple[float, float], ...], ...]  # per channel, what is listened to


def listened_to(sound: bytes) -> Heard:
    shelf = MemoryShelf()
    return activity(io.BytesIO(sound), ingest(kept(shelf, "bench", sound), shelf=shelf))


def by_truth(spoken: Sequence[Spoken], heard: Heard, clean: Heard) -> dict[str, int]:
    """Count true words by where they are listened to; `clean` is the same call without bleed."""

    def share(word: Spoken, spans: Sequence[tuple[float, float]]) -> float:
        inside = sum(max(0.0, min(word.end, b) - max(word.start, a)) for a, b in spans)
        return inside / (word.end - word.start)

    double = [word for word in spoken if word.both]
    return {
        "words": len(spoken),
        "wrong_side": sum(
            share(word, heard[1 - word.line]) - share(word, clean[1 - word.line]) >= HALF
            for word in spoken
        ),
        "kept": sum(share(word, heard[word.line]) >= LISTENED for word in spoken),
        "double": len(double),
        "double_kept": sum(share(word, heard[word.line]) >= LISTENED for word in double),
    }


def by_ear(call: Call, spoken: Sequence[Spoken], sound: bytes, engine: Any) -> dict[str, int]:
    """Count words that the recognizer hears."""
    shelf = MemoryShelf()
    recording = ingest(kept(shelf, "bench", sound, language="en"), shelf=shelf)
    heard = transcribe(recording, transcriber=engine, shelf=shelf)
    wrong = right = double = missed = 0
    for speech in heard.speech:
        own = [t for t in call.turns if t.line == speech.channel]
        other = [t for t in call.turns if t.line != speech.channel]
        for word in speech.words:
            at = ((word.start or 0.0) + (word.end or 0.0)) / 2
            beside = all(not t.start - NEAR < at < t.end + NEAR for t in own)
            wrong += beside and any(t.start <= at <= t.end for t in other)
        mine = sorted((w for w in spoken if w.line == speech.channel), key=lambda w: w.start)
        aligned = align(
            [word.text for word in mine], normalise(" ".join(w.text for w in speech.words))
        )
        right += sum(word.both and at in aligned.right for at, word in enumerate(mine))
        double += sum(word.both for word in mine)
        missed += len(mine) - len(aligned.right)
    return {
        "words": len(spoken), "wrong_side": wrong, "double": double, "double_right": right,
        "not_right": missed,
    }  # fmt: skip


def share(name: str, rows: Sequence[dict[str, int]], hits: str, of: str) -> dict[str, Any]:
    """Return a share with its interval, by call where there are several calls."""
    top, whole = sum(row[hits] for row in rows), sum(row[of] for row in rows)

    def rate(sample: Sequence[dict[str, int]]) -> float:
        return sum(row[hits] for row in sample) / max(1, sum(row[of] for row in sample))

    low, high = bootstrap(rows, rate) if top else wilson(top, whole)
    return {name: round(rate(rows), 4), "n": whole, "interval": (round(low, 4), round(high, 4))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=len(PAIRS))
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--truth-only", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    calls = [make_call(p, asked.seed, turns=18, overlap=0.5) for p in PAIRS[: asked.calls]]
    spoken = [words_of(call) for call in calls]
    engine = pocketsphinx.create(pocketsphinx.Options())
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "date": datetime.now(UTC).date().isoformat(),
        "seed": asked.seed,
        "calls": len(calls),
        "rows": [],
    }
    clean = [listened_to(wav(telephone(call.lines, asked.seed), 8000)) for call in calls]
    for level, delay in CONDITIONS:
        sounds = [wav(telephone(with_bleed(c, level, delay), asked.seed), 8000) for c in calls]
        for gated in (True, False):
            with gating(gated):
                truth = [
                    by_truth(words, listened_to(sound), without)
                    for words, sound, without in zip(spoken, sounds, clean, strict=True)
                ]
                row: dict[str, Any] = {
                    "bleed": level, "delay": delay, "gate": gated,
                    "truth": [
                        share("wrong_side", truth, "wrong_side", "words"),
                        share("kept", truth, "kept", "words"),
                        share("double_talk_kept", truth, "double_kept", "double"),
                    ],
                }  # fmt: skip
                if not asked.truth_only and delay < 0.1:
                    ear = [
                        by_ear(c, w, s, engine)
                        for c, w, s in zip(calls, spoken, sounds, strict=True)
                    ]
                    row["recognizer"] = [
                        share("wrong_side", ear, "wrong_side", "words"),
                        share("double_talk_right", ear, "double_right", "double"),
                        share("not_right", ear, "not_right", "words"),
                    ]
            print(json.dumps(row), flush=True)
            report["rows"].append(row)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
