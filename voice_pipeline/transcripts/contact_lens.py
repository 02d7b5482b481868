"""Contact Lens and Transcribe Call Analytics: `Transcript`, turns by participant.

Shape: docs.aws.amazon.com, Connect administrator guide contact-lens-example-output-files, Connect
API API_connect-contact-lens_Transcript, Transcribe developer guide tca-output-batch (`Items`).
Contact Lens times turns only; Call Analytics times words as well. Refuses chats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redaction.records import Word
from voice_pipeline.errors import BadInput
from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._records import Utterance, VendorTranscript, with_text
from voice_pipeline.transcripts._values import mapping, mappings, number, share, string, words

FORMAT = "Contact Lens"
MILLI = 0.001  # seconds
TELLING = ("ParticipantId", "ParticipantRole", "BeginOffsetMillis")


def detect(content: Content) -> bool:
    """Return whether it lists turns by participant."""
    return any(key in turn for turn in _turns(mapping(content.document)) for key in TELLING)


def read(content: Content) -> VendorTranscript:
    """Return the turns, words with times where there are `Items`."""
    document = mapping(content.document)
    if string(document.get("Channel")).upper() in ("CHAT", "EMAIL"):
        raise BadInput(
            "this is the analysis of a chat or an e-mail, not of a call", code="transcript_unknown"
        )
    roles = {
        string(one.get("ParticipantId")): string(one.get("ParticipantRole"))
        for one in mappings(document.get("Participants"))
    }
    found = []
    for turn in _turns(document):
        who = string(turn.get("ParticipantId"))
        one = Utterance(
            tuple(_words(mappings(turn.get("Items")))) or words(turn.get("Content")),
            number(turn.get("BeginOffsetMillis"), MILLI),
            number(turn.get("EndOffsetMillis"), MILLI),
            string(turn.get("ParticipantRole")) or roles.get(who) or who,
        )
        found.append(with_text(one, turn.get("Content")))
    return VendorTranscript(FORMAT, tuple(found), string(document.get("LanguageCode")))


def _turns(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the turns of a post-call file, or of the real-time API's segments."""
    segments = mappings(document.get("Segments"))
    live = [one["Transcript"] for one in segments if isinstance(one.get("Transcript"), dict)]
    return mappings(document.get("Transcript")) or live


def _words(items: Sequence[Mapping[str, Any]]) -> Iterator[Word]:
    held: Word | None = None
    for item in items:
        if string(item.get("Type")).lower() == "punctuation" and held is not None:
            held = replace(held, text=f"{held.text}{string(item.get('Content')).strip()}")
            continue
        start = number(item.get("BeginOffsetMillis"), MILLI)
        end = number(item.get("EndOffsetMillis"), MILLI)
        for word in words(item.get("Content"), start, end, share(item.get("Confidence"))):
            if held is not None:
                yield held
            held = word
    if held is not None:
        yield held
