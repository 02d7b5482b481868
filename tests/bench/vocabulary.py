"""An organisation's own words, before and after `stages/respell.py`, and what it breaks.

Invented names of products and agents are spoken in invented sentences by synthetic voices, sent
through a telephone, heard by the download-free recognizer and respelled as turns of an agent. A
name's sentences are also respelled with the other half's names: every change there is false, and
so is every change in sentences without a name. `dev` names set the threshold, `test` names did not.

    python tests/bench/vocabulary.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "samples"), str(ROOT / "tests")]

import line_sounds  # noqa: E402
import sound  # noqa: E402
from recordings import AGENT, CUSTOMER  # noqa: E402
from scipy.signal import resample_poly  # noqa: E402

from redaction.records import Word  # noqa: E402
from voice_pipeline.domain import Segment, Transcript, Turn  # noqa: E402
from voice_pipeline.metrics.report import wilson  # noqa: E402
from voice_pipeline.policy.pack import Words  # noqa: E402
from voice_pipeline.stages import respell as stage  # noqa: E402
from voice_pipeline.stages.doubt import plain  # noqa: E402
from voice_pipeline.transcribers import pocketsphinx  # noqa: E402

NAMES = {
    "dev": ("FibreMax", "Northwind", "Solara", "Halcyon", "Kestrel Router", "Siobhan", "Priya",
            "BrightSaver"),
    "test": ("TeleZone", "Meridian Plus", "EcoFlex", "Zephyr", "Castellan", "Anouk", "Thaddeus",
             "QuickPay"),
}  # fmt: skip
SENTENCES = (
    "I am calling about my {} and the bill that came with it.",
    "When does {} begin, and what will it cost me?",
    "You said that {} would be cheaper than this.",
)
VOICES = ("awb", "kal16", "rms", "slt", "hts")
THRESHOLDS = (0.0, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cache", type=Path, default=ROOT / "out" / "vocabulary.json")
    asked = parser.parse_args()
    heard = _heard(asked.cache)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "date": datetime.now(UTC).date().isoformat(),
        "threshold in force": stage.ALIKE,
        "figures": [measure(heard, part, limit) for part in NAMES for limit in THRESHOLDS],
    }
    print(json.dumps(report, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1))


def measure(heard: dict[str, list[list[Word]]], part: str, limit: float) -> dict[str, Any]:
    stage.ALIKE = limit
    wanted = Words(hotwords=NAMES[part])
    other = [name for half, names in NAMES.items() if half != part for name in names]
    right = total = 0
    for name in NAMES[part]:
        for words in heard[name]:
            total += 1
            right += plain(name) in plain(" ".join(w.text for w in _respelled(words, wanted)))
    without = [words for name in (*other, "") for words in heard[name]]
    false = sum(_changed(words, _respelled(words, wanted)) for words in without)
    low, high = wilson(right, total)
    return {
        "names": part,
        "threshold": limit,
        "right": right,
        "of": total,
        "share": round(right / total, 3),
        "interval": [round(low, 3), round(high, 3)],
        "false corrections": false,
        "in words": sum(len(words) for words in without),
    }


def _changed(before: Sequence[Word], after: Sequence[Word]) -> int:
    """Return how many names were written where there are none."""
    texts = {word.text for word in before}
    return sum(word.text not in texts for word in after)


def _respelled(words: Sequence[Word], wanted: Words) -> tuple[Word, ...]:
    turn = Turn("agent", tuple(words))
    call = Transcript("call", "en", (turn,), "", "", (1.0,), (1.0,), ((),))
    return stage.respell(call, wanted).turns[0].words


def _heard(cache: Path) -> dict[str, list[list[Word]]]:
    """Return what was heard of each name's sentences, one list of words a voice and sentence."""
    if cache.is_file():
        kept = json.loads(cache.read_text())
        return {
            name: [[Word(*word) for word in said] for said in all_] for name, all_ in kept.items()
        }
    engine = pocketsphinx.create(pocketsphinx.Options())
    texts = {
        name: [sentence.format(name) for sentence in SENTENCES]
        for names in NAMES.values()
        for name in names
    } | {"": [*AGENT, *CUSTOMER]}
    heard: dict[str, list[list[Word]]] = {}
    for name, sentences in texts.items():
        clips = [_spoken(text, voice) for voice in VOICES for text in sentences]
        heard[name] = [
            list(speech.words)
            for speech in engine.transcribe(clips, language="en", progress=lambda share: None)
        ]
        print(name, [" ".join(w.text for w in words) for words in heard[name]][:2],
              file=sys.stderr, flush=True)  # fmt: skip
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(
        json.dumps(
            {
                name: [[[w.text, w.start, w.end, w.confidence] for w in words] for words in all_]
                for name, all_ in heard.items()
            }
        )
    )
    return heard


def _spoken(text: str, voice: str) -> Segment:
    wave = resample_poly(sound.speak(text, sound.Voice(voice)), 1, 2)
    narrow = line_sounds.telephone(line_sounds.level(wave, -22.0)) / 32768
    return Segment("call", 0, 0.0, resample_poly(narrow, 2, 1).astype(np.float32), "telephone")


if __name__ == "__main__":
    main()
