"""Our own `transcript.json`: turns with speakers, channels, words and times.

Shape: CONTRACTS, the result folder of `process` (docs/transcripts.md). For transcripts that were
corrected by a person or made by another installation; placeholders in it are words like others.
"""

from __future__ import annotations

from typing import Any

from redaction.records import Word
from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._records import Utterance, VendorTranscript, with_text
from voice_pipeline.transcripts._values import mapping, mappings, number, share, string, words

FORMAT = "voice-pipeline"


def detect(content: Content) -> bool:
    """Return whether it has `turns` of speakers."""
    return any(
        "speaker" in turn and ("text" in turn or "words" in turn)
        for turn in mappings(mapping(content.document).get("turns"))
    )


def read(content: Content) -> VendorTranscript:
    """Return the turns as they are."""
    document = mapping(content.document)
    found = []
    for turn in mappings(document.get("turns")):
        said = tuple(word for item in mappings(turn.get("words")) for word in _words(item))
        channel = turn.get("channel")
        one = Utterance(
            said or words(turn.get("text")),
            number(turn.get("start")),
            number(turn.get("end")),
            string(turn.get("speaker")),
            channel if isinstance(channel, int) and not isinstance(channel, bool) else None,
        )
        found.append(with_text(one, turn.get("text")))
    return VendorTranscript(FORMAT, tuple(found), string(document.get("language")))


def _words(item: Any) -> tuple[Word, ...]:
    start, end = number(item.get("start")), number(item.get("end"))
    return words(item.get("text"), start, end, share(item.get("confidence")))
