"""Amazon Transcribe, batch jobs: `results` with `items`, `channel_labels` or `speaker_labels`.

Shape: docs.aws.amazon.com/transcribe/latest/dg, pages how-input (output), channel-id-output-batch,
diarization-output-batch, how-alternatives. Other hearings (`segments[].alternatives`) become forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redaction.records import Word
from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._records import (
    MOST_FORMS,
    Said,
    Utterance,
    VendorTranscript,
    runs,
    with_alternates,
)
from voice_pipeline.transcripts._values import mapping, mappings, number, share, string, words

FORMAT = "Amazon Transcribe"


def detect(content: Content) -> bool:
    """Return whether `results` holds items or channel labels."""
    results = mapping(mapping(content.document).get("results"))
    return isinstance(results.get("items"), list) or isinstance(results.get("channel_labels"), dict)


def read(content: Content) -> VendorTranscript:
    """Return the words by channel where channels were identified, else by speaker label."""
    results = mapping(mapping(content.document).get("results"))
    channels = mappings(mapping(results.get("channel_labels")).get("channels"))
    segments = mappings(results.get("segments"))
    found: list[Utterance] = []
    for place, channel in enumerate(channels):
        label = string(channel.get("channel_label"))
        number_of = re.search(r"\d+$", label)
        index = int(number_of[0][:4]) if number_of else place
        own = [s for s in segments if string(s.get("channel_label")) == label]
        said = list(_said(mappings(channel.get("items")), {}))
        found += with_alternates(runs(said, index), _alternates(own))
    if not channels:
        said = list(_said(mappings(results.get("items")), _speakers(results)))
        found = with_alternates(runs(said), _alternates(segments))
    return VendorTranscript(FORMAT, tuple(found), _language(mapping(content.document), results))


def _said(items: Sequence[Mapping[str, Any]], speakers: Mapping[str, str]) -> Iterator[Said]:
    held: Said | None = None
    for item in items:
        best = next(iter(mappings(item.get("alternatives"))), {})
        if string(item.get("type")) == "punctuation" and held is not None:
            mark = string(best.get("content")).strip()
            held = replace(held, word=replace(held.word, text=f"{held.word.text}{mark}"))
            continue
        start, end = number(item.get("start_time")), number(item.get("end_time"))
        who = string(item.get("speaker_label")) or speakers.get(string(item.get("start_time")), "")
        for word in words(best.get("content"), start, end, share(best.get("confidence"))):
            if held is not None:
                yield held
            held = Said(word, who)
    if held is not None:
        yield held


def _speakers(results: Mapping[str, Any]) -> dict[str, str]:
    """Return speaker by start time, as files without labels on their items have it."""
    segments = mappings(mapping(results.get("speaker_labels")).get("segments"))
    return {
        string(item.get("start_time")): string(item.get("speaker_label"))
        or string(segment.get("speaker_label"))
        for segment in segments
        for item in mappings(segment.get("items"))
    }


def _alternates(segments: Sequence[Mapping[str, Any]]) -> list[tuple[Word, ...]]:
    """Return the second, third ... hearing of the whole channel; the first is in the items."""
    lists = [mappings(segment.get("alternatives")) for segment in segments]
    depth = min(max((len(own) for own in lists), default=0), MOST_FORMS + 1)
    return [
        tuple(
            one.word
            for own in lists
            if own
            for one in _said(mappings(own[min(rank, len(own) - 1)].get("items")), {})
        )
        for rank in range(1, depth)
    ]


def _language(document: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    identified = mappings(results.get("language_identification"))
    return (
        string(results.get("language_code"))
        or string(document.get("language_code"))
        or next((string(one.get("code")) for one in identified), "")
    )
