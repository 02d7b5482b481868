"""Deepgram, pre-recorded audio: `results.channels[].alternatives[].words`.

Shape: developers.deepgram.com/docs, pages multichannel, utterances, diarization, smart-format.
`punctuated_word` is shown and `word` is its other form where they differ; further alternatives are
forms, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._records import (
    MOST_FORMS,
    Said,
    Utterance,
    VendorTranscript,
    runs,
    same,
    with_alternates,
)
from voice_pipeline.transcripts._values import mapping, mappings, number, share, string, words

FORMAT = "Deepgram"


def detect(content: Content) -> bool:
    """Return whether `results.channels` lists alternatives."""
    channels = mappings(mapping(mapping(content.document).get("results")).get("channels"))
    return any(isinstance(channel.get("alternatives"), list) for channel in channels)


def read(content: Content) -> VendorTranscript:
    """Return the words channel by channel, and by speaker where speakers were told apart."""
    document = mapping(content.document)
    results = mapping(document.get("results"))
    channels = mappings(results.get("channels"))
    found: list[Utterance] = []
    language = ""
    for index, channel in enumerate(channels):
        heard = mappings(channel.get("alternatives"))
        if not heard:
            continue
        language = language or string(channel.get("detected_language"))
        own = index if len(channels) > 1 else None  # one channel may be a mix of many
        spoken = runs(_said(mappings(heard[0].get("words"))), own)
        if not spoken:  # text alone: nothing says when
            spoken = [Utterance(words(heard[0].get("transcript")), channel=own)]
        others = heard[1 : MOST_FORMS + 1]
        hearings = [[one.word for one in _said(mappings(h.get("words")))] for h in others]
        found += with_alternates(spoken, hearings)
    metadata = mapping(document.get("metadata"))
    return VendorTranscript(FORMAT, tuple(found), language, number(metadata.get("duration")))


def _said(items: Sequence[Mapping[str, Any]]) -> Iterator[Said]:
    for item in items:
        start, end = number(item.get("start")), number(item.get("end"))
        sure, who = share(item.get("confidence")), string(item.get("speaker"))
        plain = words(item.get("word"), start, end, sure)
        shown = words(item.get("punctuated_word"), start, end, sure) or plain
        differ = not same(shown, plain) and len(shown) == len(plain) == 1
        if not same(shown, plain) and not differ:  # of several words: keep both, one after another
            shown = (*shown, *plain)
        for place, word in enumerate(shown):
            yield Said(word, who, plain[place] if differ else None)
