"""Writes the case note of a call from its redacted transcript."""

from __future__ import annotations

from voice_pipeline.domain import CaseNote, Recording, RedactedTranscript
from voice_pipeline.ports import Analyst


def analyse(recording: Recording, transcript: RedactedTranscript, *, analyst: Analyst) -> CaseNote:
    """Return the analyst's note, without flags, route and review."""
    return analyst.analyse(transcript, recording.metadata)
