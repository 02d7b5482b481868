"""SubRip (SRT): numbered cues with comma times.

Shape: as VideoLAN and Matroska describe it (matroska.org/technical/subtitles.html, S_TEXT/UTF8); it
has no other specification. A cue times its whole text: words have no times of their own.
"""

from __future__ import annotations

import re

from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._cues import ARROW, blocks, prefixed, times
from voice_pipeline.transcripts._records import Utterance, VendorTranscript
from voice_pipeline.transcripts._values import words

FORMAT = "SRT"
_FIRST = re.compile(r"\d+\s*\n\s*\d+:\d+:\d+[.,]\d+\s*-->|\d+:\d+:\d+,\d+\s*-->")
_TAG = re.compile(r"</?[A-Za-z][^>]*>|\{\\[^}]*\}")


def detect(content: Content) -> bool:
    """Return whether it begins with a numbered cue, or with a cue's comma times."""
    return content.document is None and _FIRST.match(content.text) is not None


def read(content: Content) -> VendorTranscript:
    """Return the cues in their order."""
    found = []
    for block in blocks(content.text):
        at = next((place for place, line in enumerate(block) if ARROW in line), None)
        if at is not None:
            start, end = times(block[at])
            speaker, text = prefixed(_TAG.sub(" ", " ".join(block[at + 1 :])))
            found.append(Utterance(words(text), start, end, speaker))
    return VendorTranscript(FORMAT, tuple(found))
