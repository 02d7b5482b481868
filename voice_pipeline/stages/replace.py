"""Render a redaction as text: one placeholder word for each finding.

Decides what the rest of the pipeline may read. Refuses nothing: whether the text is fit to leave
is for `verify` to say.
"""

from __future__ import annotations

import math

from redaction import Policy
from redaction import replace as place
from redaction.windows import extent
from voice_pipeline.domain import (
    RedactedTranscript,
    RedactedTurn,
    Redaction,
    Transcript,
    Turn,
    Warning,
    Word,
)

# code -> what a reader of the result should know; docs/codes.md has them all
DETAILS = {
    "span_without_time": "personal data without a word time: the whole turn is muted",
    "unanswered_number_question": "a number was asked for and none was recognised in the answer: "
    "the answer is muted",
    "unheard_speech": "speech in which no word was recognised is muted",
}


def replace(
    transcript: Transcript, redaction: Redaction, *, policy: Policy | None = None
) -> RedactedTranscript:
    """Return the transcript with a placeholder word in the place of every finding.

    Args:
        transcript: what was heard.
        redaction: what was found in it.
        policy: says which labels keep their last four digits; without one, none do.
    """
    return RedactedTranscript(
        call=transcript.call,
        language=transcript.language,
        turns=redacted_turns(transcript.turns, redaction, policy),
        duration=transcript.duration,
        transcriber=transcript.transcriber,
        diarizer=transcript.diarizer,
        confidence=call_confidence(transcript),
        warnings=transcript.warnings + warnings_of(redaction),
        sounds=transcript.sounds,
    )


def redacted_turns(
    turns: tuple[Turn, ...], redaction: Redaction, policy: Policy | None = None
) -> tuple[RedactedTurn, ...]:
    """Return every turn, in place and never renumbered, with its placeholders."""
    replaced = place(turns, redaction.findings, policy)
    redacted = []
    for number, (raw, words) in enumerate(zip(turns, replaced, strict=True)):
        start, end = extent(raw) or (None, None)
        kept = tuple(timed(word) for word in words)
        redacted.append(RedactedTurn(number, raw.speaker, raw.channel, start, end, kept))
    return tuple(redacted)


def timed(word: Word) -> Word:
    """Return the word without times that are no number: records hold finite ones or none."""
    if all(at is None or math.isfinite(at) for at in (word.start, word.end)):
        return word
    return Word(word.text, None, None, word.confidence)


def call_confidence(transcript: Transcript) -> float:
    """Return the mean confidence of the call, channels weighted by how long they speak; 1 if none.

    An empty channel says nothing about the call, so it has no weight.
    """
    spoken = [sum(end - start for start, end in channel) for channel in transcript.active]
    pairs = list(zip(transcript.confidence, spoken, strict=False))
    total = sum(weight for _, weight in pairs)
    if not total:
        return 1.0
    return sum(confidence * weight for confidence, weight in pairs) / total


def warnings_of(redaction: Redaction) -> tuple[Warning, ...]:
    """Return each warning of a redaction once, with its sentence."""
    return tuple(Warning(code, DETAILS.get(code, "")) for code in dict.fromkeys(redaction.warnings))
