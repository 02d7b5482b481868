"""Calls for the tests of analysis and policy: short dialogues as redacted transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from redaction.records import Word
from voice_pipeline.domain import RedactedTranscript, RedactedTurn

DIALOGUES = Path(__file__).with_name("dialogues.yaml")
SECONDS_A_WORD = 0.35


def transcript(lines: Sequence[str], *, confidence: float = 1.0) -> RedactedTranscript:
    """Build a redacted transcript from `speaker: text` lines, with plausible times."""
    turns: list[RedactedTurn] = []
    clock = 0.0
    for number, line in enumerate(lines):
        speaker, _, text = line.partition(":")
        words = []
        begun = clock
        for word in text.split():
            words.append(Word(word, round(clock, 2), round(clock + SECONDS_A_WORD, 2), confidence))
            clock += SECONDS_A_WORD
        turns.append(
            RedactedTurn(number, speaker.strip(), 0, round(begun, 2), round(clock, 2), tuple(words))
        )
        clock += 0.3
    return RedactedTranscript("call", "en", tuple(turns), clock, confidence=confidence)


def dialogues() -> Iterator[Mapping[str, Any]]:
    yield from yaml.safe_load(DIALOGUES.read_text("utf-8"))
