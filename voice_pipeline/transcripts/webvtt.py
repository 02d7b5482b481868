"""WebVTT: cues with voice tags, `<v Name>`.

Shape: the W3C's WebVTT (www.w3.org/TR/webvtt1). A cue times its whole text: words have no times of
their own, also where timestamps stand inside (they say when a word begins, not when it ends).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._cues import ARROW, blocks, prefixed, times
from voice_pipeline.transcripts._records import Utterance, VendorTranscript
from voice_pipeline.transcripts._values import string, words

FORMAT = "WebVTT"
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_TAG = re.compile(r"</?[^>]*>")
_LANGUAGE = re.compile(r"^Language:\s*([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*)\s*$", re.MULTILINE)


def detect(content: Content) -> bool:
    """Return whether it begins with the format's own word."""
    return content.document is None and re.match(r"WEBVTT(?=\s|$)", content.text) is not None


def read(content: Content) -> VendorTranscript:
    """Return the cues in their order, one utterance a voice."""
    header, *rest = blocks(content.text)
    found: list[Utterance] = []
    for block in ([line for line in header[1:] if line], *rest):
        at = next((place for place, line in enumerate(block) if ARROW in line), None)
        if at is not None:
            start, end = times(block[at])
            for speaker, text in _voices(" ".join(block[at + 1 :])):
                found.append(Utterance(words(text), start, end, speaker))
    language = _LANGUAGE.search("\n".join(header))
    return VendorTranscript(FORMAT, tuple(found), language[1] if language else "")


def _voices(text: str) -> Iterator[tuple[str, str]]:
    """Yield (speaker, text) for each voice of a cue; text before the first tag has none."""
    before, *tagged = _VOICE.split(text)
    if _plain(before):
        yield prefixed(_plain(before))
    for name, said in zip(tagged[::2], tagged[1::2], strict=True):
        yield string(html.unescape(name)).strip(), _plain(said)


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub(" ", text)).strip()
