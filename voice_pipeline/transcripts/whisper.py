"""WhisperX, OpenAI's verbose JSON and Whisper's own JSON: `segments` with text, times and words.

Shape: the README of m-bain/whisperX (its JSON output), OpenAI's API reference of
`/v1/audio/transcriptions` (`verbose_json`), and what openai-whisper, faster-whisper and speaches
write. WhisperX leaves out the times of words with digits: they stay without, nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._records import (
    Said,
    Utterance,
    VendorTranscript,
    runs,
    with_text,
)
from voice_pipeline.transcripts._values import mapping, mappings, number, share, string, words

FORMAT = "Whisper"


def detect(content: Content) -> bool:
    """Return whether it lists segments of timed text, as an object or as a bare list."""
    return any("text" in one and "start" in one for one in _segments(content.document)) and not (
        {"transcript", "vcon", "turns"} & set(mapping(content.document))
    )


def read(content: Content) -> VendorTranscript:
    """Return a segment as an utterance, cut where its words name several speakers."""
    document = mapping(content.document)
    segments = _segments(content.document)
    loose = list(_said(mappings(document.get("words")), ""))
    found: list[Utterance] = []
    for segment in segments:
        start, end = number(segment.get("start")), number(segment.get("end"))
        who = string(segment.get("speaker"))
        said = list(_said(mappings(segment.get("words")), who)) or _inside(loose, start, end)
        parts = runs(said)
        if len({one.speaker for one in said}) > 1 and len(parts) > 1:
            found += parts  # each with its speaker; the segment's text belongs to none of them
            continue
        spoken = tuple(one.word for one in said) or words(segment.get("text"))
        speaker = said[0].speaker if said else who
        found.append(with_text(Utterance(spoken, start, end, speaker), segment.get("text")))
    left = runs(loose)  # words that lie in no segment
    return VendorTranscript(
        FORMAT,
        (*found, *left),
        string(document.get("language")),
        number(document.get("duration")),
    )


def _segments(document: Any) -> list[Mapping[str, Any]]:
    listed = document if isinstance(document, list) else mapping(document).get("segments")
    return mappings(listed)


def _said(items: Sequence[Mapping[str, Any]], speaker: str) -> Iterator[Said]:
    for item in items:
        sure = next(
            (
                found
                for key in ("score", "probability", "confidence")
                if (found := share(item.get(key))) is not None
            ),
            None,
        )
        start, end = number(item.get("start")), number(item.get("end"))
        text = item["word"] if "word" in item else item.get("text")
        for word in words(text, start, end, sure):
            yield Said(word, string(item.get("speaker")) or speaker)


def _inside(loose: list[Said], start: float | None, end: float | None) -> list[Said]:
    """Take the words that begin before this segment ends; those of OpenAI stand beside it."""
    if end is None:
        return []
    count = 0
    for one in loose:
        if one.word.start is not None and one.word.start >= end:
            break
        count += 1
    taken, loose[:count] = loose[:count], []
    return taken
