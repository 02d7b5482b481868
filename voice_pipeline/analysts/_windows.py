"""What a model is sent: the turns of a call as data, in windows that it can hold.

A request's turns are one JSON array between two copies of a random marker, and nothing that was
said stands anywhere else. It sends redacted turns: the type it takes has no others.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import Any

from voice_pipeline.analysts._chat import CHARS_A_TOKEN
from voice_pipeline.domain import RedactedTranscript

OVERLAP = 10  # turns that two windows share, so that no question loses its answer
_SHARED = 0.5  # ... but no more than this part of a window

Piece = dict[str, Any]  # {"turn", "speaker", "text"}


def windows(transcript: RedactedTranscript, tokens: int) -> list[list[Piece]]:
    """Cut a call into windows of whole turns; one of more than half a window is sent in parts."""
    room = tokens * CHARS_A_TOKEN
    pieces = [
        {"turn": turn.turn, "speaker": turn.speaker, "text": part}
        for turn in transcript.turns
        for part in _parts(turn.text, room // 2)
    ]
    found: list[list[Piece]] = []
    start = 0
    while start < len(pieces):
        end, size = start, 0
        while end < len(pieces) and (end == start or size + _size(pieces[end]) <= room):
            size += _size(pieces[end])
            end += 1
        found.append(pieces[start:end])
        if end == len(pieces):
            break
        shared, back = 0, end
        while end - back < OVERLAP and back > start + 1:
            shared += _size(pieces[back - 1])
            if shared > room * _SHARED:
                break
            back -= 1
        start = back
    return found


def message(window: Sequence[Piece]) -> str:
    """Return the user message of a window.

    `<`, `>` and `|` are escaped, so that no turn can spell a chat template's control words.
    """
    marker = secrets.token_hex(8)
    text = json.dumps(
        {"marker": marker, "turns": list(window), "end": marker},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    for letter in "<>|":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def fingerprint(transcript: RedactedTranscript) -> str:
    """Return the sha256 of what is sent of a call, markers aside."""
    said = [[turn.turn, turn.speaker, turn.text] for turn in transcript.turns]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def _parts(text: str, room: int) -> list[str]:
    words = text.split()
    if not words:
        return []
    parts, at = [], 0
    while at < len(words):
        end, size = at, 0
        while end < len(words) and (end == at or size + len(words[end]) < room):
            size += len(words[end]) + 1
            end += 1
        parts.append(" ".join(words[at:end])[:room])
        at = end
    return parts


def _size(piece: Piece) -> int:
    return len(piece["text"].encode()) + 50  # the keys around it
