"""A redacted transcript in the World Transcription Format (draft-howe-vcon-wtf-extension-01).

A turn is a segment, a placeholder is a word with the time of what it stands for. Makes no time up:
a turn with a word that has none lists no words, and one without times of its own has none here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redaction.records import Word
from voice_pipeline.domain import RedactedTranscript, RedactedTurn

TYPE = "wtf_transcription"  # of the analysis, and the extension's name
PROVIDER = "voice-pipeline"


def wtf_body(
    transcript: RedactedTranscript,
    *,
    speakers: Mapping[str, int],
    at: str,
    audio: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the body of the analysis.

    Args:
        transcript: redacted, verified.
        speakers: index of each speaker among the vCon's parties.
        at: when it was made, RFC 3339.
        audio: what is known of the sound: duration (seconds), sample_rate (Hz), channels.
    """
    words: list[dict[str, Any]] = []
    segments = []
    for turn in transcript.turns:
        segment = _segment(turn, speakers[turn.speaker])
        if all(word.start is not None and word.end is not None for word in turn.words):
            segment["words"] = [*range(len(words), len(words) + len(turn.words))]
            words += [
                _word(len(words) + number, word, speakers[turn.speaker])
                for number, word in enumerate(turn.words)
            ]
        segments.append(segment)
    return {
        "transcript": {
            "text": " ".join(turn.text for turn in transcript.turns),
            "language": transcript.language,
            "duration": transcript.duration,
            "confidence": _share(transcript.confidence),
        },
        "segments": segments,
        "words": words,
        "speakers": {
            str(party): {
                "id": party,
                "label": speaker,
                "segments": [t.turn for t in transcript.turns if t.speaker == speaker],
            }
            for speaker, party in speakers.items()
        },
        "metadata": {
            "created_at": at,
            "processed_at": at,
            "provider": PROVIDER,
            "model": transcript.transcriber,
            "audio": dict(audio),
        },
        "extensions": {PROVIDER: {"redacted": True, "diarizer": transcript.diarizer}},
    }


def _segment(turn: RedactedTurn, speaker: int) -> dict[str, Any]:
    segment: dict[str, Any] = {"id": turn.turn, "text": turn.text, "speaker": speaker}
    if turn.start is not None and turn.end is not None:
        segment |= {"start": turn.start, "end": turn.end}
    known = [word.confidence for word in turn.words if word.confidence is not None]
    if known:
        segment["confidence"] = _share(sum(known) / len(known))
    return segment


def _word(number: int, word: Word, speaker: int) -> dict[str, Any]:
    found = {"id": number, "start": word.start, "end": word.end, "text": word.text,
             "speaker": speaker}  # fmt: skip
    return found if word.confidence is None else {**found, "confidence": _share(word.confidence)}


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)
