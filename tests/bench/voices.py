"""Diarization error of the clustering diarizer on mono calls of synthetic voices, none left out.

Every voice alone, every pair with and without overlap, ten calls of three people (with a transfer
to a second agent) and six of four, on a telephone line (8 kHz, mu-law, hiss). Beside it, on the
same activity, everybody called one speaker. Thresholds were chosen on seed 1: report seed 2.

    python tests/bench/voices.py [--seed N] [--speakers] [--json FILE]

`--speakers` tells the diarizer how many people there are. Needs flite, festival and espeak-ng;
about five minutes of one core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from synthetic_calls import VOICES, Call, make_call, telephone, wav  # noqa: E402

from voice_pipeline.diarizers import clustering  # noqa: E402
from voice_pipeline.domain import Heard, SpeakerSpan  # noqa: E402
from voice_pipeline.metrics.diarization import COLLAR, compare  # noqa: E402
from voice_pipeline.metrics.report import bootstrap  # noqa: E402
from voice_pipeline.metrics.sound import kept  # noqa: E402
from voice_pipeline.metrics.truth import TrueTurn  # noqa: E402
from voice_pipeline.stages.ingest import ingest  # noqa: E402
from voice_pipeline.testing import MemoryShelf  # noqa: E402

OVERLAP = 0.35  # share of turns that cut in, where any do


@dataclass(frozen=True)
class Row:
    """One call, times in seconds, rates as shares of speech."""

    voices: str
    sexes: str
    overlap: float  # share of speech that two people speak at once
    seconds: float
    people: int
    found: int
    der: float  # collar 0.25 s on either side
    missed: float
    false_alarm: float
    confused: float
    der_no_collar: float
    unheard: float  # share of speech in which no activity was found: no collar, overlaps once
    one_speaker: float  # DER, collar 0.25 s
    one_speaker_no_collar: float


def cases(seed: int) -> Iterator[tuple[tuple[str, ...], float, int]]:
    """Yield voices, share of turns that cut in, turns."""
    names = list(VOICES)
    draw = random.Random(seed)
    for voice in names:
        yield (voice,), 0.0, 10
        yield (voice,), 0.0, 30
    for pair in itertools.combinations(names, 2):
        yield pair, 0.0, 16
        yield pair, OVERLAP, 16
    for three in draw.sample(list(itertools.combinations(names, 3)), 10):
        yield tuple(draw.sample(three, 3)), 0.2, 24
    for four in draw.sample(list(itertools.combinations(names, 4)), 6):
        yield tuple(draw.sample(four, 4)), 0.2, 30


def measure(call: Call, voices: Sequence[str], seed: int, *, told: bool) -> Row:
    """Tell the voices of one call apart and compare."""
    mono = telephone(call.lines.sum(axis=0, keepdims=True), seed)
    shelf = MemoryShelf()
    recording = ingest(kept(shelf, "bench", wav(mono, 8000)), shelf=shelf)
    options = clustering.Options(speakers=len(voices) if told else None)
    spans = clustering.create(options).diarize(
        recording, Heard((), "none"), shelf.open(recording.audio)
    )
    one = [SpeakerSpan(0, span.start, span.end) for span in spans]
    turns = [TrueTurn(str(t.who), "", None, t.start, t.end) for t in call.turns]
    errors = compare(turns, spans, COLLAR)
    spoken, heard = (
        _marked([(t.start, t.end) for t in side], recording.duration)
        for side in (call.turns, spans)
    )
    return Row(
        voices=" ".join(voices),
        sexes="".join(VOICES[voice][0] for voice in voices),
        overlap=round(call.overlapped / sum(t.end - t.start for t in call.turns), 3),
        seconds=round(recording.duration, 1),
        people=len(voices),
        found=len({span.speaker for span in spans}),
        der=errors.rate,
        missed=errors.share("missed"),
        false_alarm=errors.share("false_alarm"),
        confused=errors.share("confused"),
        der_no_collar=compare(turns, spans, 0.0).rate,
        unheard=float((spoken & ~heard).sum() / spoken.sum()),
        one_speaker=compare(turns, one, COLLAR).rate,
        one_speaker_no_collar=compare(turns, one, 0.0).rate,
    )


def _marked(spans: Sequence[tuple[float, float]], duration: float) -> Any:
    marked = np.zeros(round(duration * 100) + 1, bool)
    for start, end in spans:
        marked[round(start * 100) : round(end * 100)] = True
    return marked


def summed(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the means of some calls, with the interval by call of the rate."""

    def mean(sample: Sequence[Row], of: str = "der") -> float:
        return float(np.mean([getattr(row, of) for row in sample]))

    low, high = bootstrap(rows, mean)
    return {
        "calls": name,
        "n": len(rows),
        "der": round(mean(rows), 4),
        "interval": (round(low, 4), round(high, 4)),
        **{
            of: round(mean(rows, of), 4)
            for of in ("missed", "false_alarm", "confused", "der_no_collar", "unheard",
                       "one_speaker", "one_speaker_no_collar")
        },
        "people_right": sum(row.people == row.found for row in rows),
    }  # fmt: skip


GROUPS = {
    "one voice": lambda row: row.people == 1,
    "two voices": lambda row: row.people == 2 and not row.overlap,
    "two voices, overlap": lambda row: row.people == 2 and row.overlap > 0,
    "two of the same sex": lambda row: row.sexes in ("mm", "ff"),
    "three voices, overlap": lambda row: row.people == 3,
    "four voices, overlap": lambda row: row.people == 4,
    "all": lambda row: True,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--speakers", action="store_true", help="say how many people there are")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    for voices, overlap, turns in cases(asked.seed):
        call = make_call(voices, asked.seed, turns=turns, overlap=overlap)
        rows.append(measure(call, voices, asked.seed, told=asked.speakers))
        row = rows[-1]
        print(
            f"{row.voices:28} {row.sexes:4} overlap {row.overlap:5.1%}  people {row.people} found "
            f"{row.found}  DER {row.der:6.1%} = missed {row.missed:.1%} + false alarm "
            f"{row.false_alarm:.1%} + confused {row.confused:.1%}; no collar "
            f"{row.der_no_collar:6.1%}; unheard {row.unheard:.1%}; one speaker "
            f"{row.one_speaker:6.1%}",
            flush=True,
        )  # fmt: skip
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "date": datetime.now(UTC).date().isoformat(),
        "seed": asked.seed,
        "groups": [
            summed(name, own) for name, of in GROUPS.items() if (own := [r for r in rows if of(r)])
        ],
    }
    print(json.dumps(report, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps({**report, "rows": [asdict(r) for r in rows]}, indent=2))


if __name__ == "__main__":
    main()
