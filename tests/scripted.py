"""A transcriber that knows the truth of the sample calls: for tests of everything around hearing.

Used as `--transcriber scripted:create` with tests/ on the path. A segment gets the words of its
channel's true turns that start inside it, spread evenly over the turn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from voice_pipeline.domain import Segment, SegmentSpeech, Word
from voice_pipeline.ports import Progress, TranscriberTraits

TRUTH = Path(__file__).parents[1] / "samples" / "truth.jsonl"


class Scripted:
    name = "scripted"
    made_by = "scripted 1"
    traits = TranscriberTraits(frozenset({"en"}), False, True, False, "knows the sample calls")

    def __init__(self, call: str) -> None:
        lines = (json.loads(line) for line in TRUTH.read_text("utf-8").splitlines())
        self._turns = next(truth for truth in lines if truth["id"] == call)["turns"]

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        progress(1.0)
        return [SegmentSpeech(self._words(segment), "en") for segment in segments]

    def _words(self, segment: Segment) -> tuple[Word, ...]:
        end = segment.offset + len(segment.samples) / 16_000
        found = []
        for turn in self._turns:
            if turn["channel"] != segment.channel:
                continue
            texts = turn["text"].split()
            step = (turn["end"] - turn["start"]) / len(texts)
            for place, text in enumerate(texts):
                at = turn["start"] + place * step
                if segment.offset <= at < end:
                    found.append(Word(text.strip(".,?!"), at, min(at + step, end), 0.95))
        return tuple(found)


def create() -> Scripted:
    return Scripted("card-dispute")
