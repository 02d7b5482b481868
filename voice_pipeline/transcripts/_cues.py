"""Cues of subtitle formats: times, and lines of text that may name who speaks.

Decides what in a line is a speaker and what is speech. A cue times the whole of its text, so its
words have no times of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# `Agent: text`, as meeting software writes it. Only words for roles and numbered speakers count:
# in `Note: ...` nobody is called Note.
_PREFIX = re.compile(
    r"\s*\[?((?:agent|advisor|adviser|representative|operator|customer|caller|client|system|ivr"
    r"|speaker|spk|participant|channel)(?:[ _-]?[0-9a-z]{1,2})?)\]?\s*:\s+(?=\S)",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,6}))?")
ARROW = "-->"


def clock(text: str) -> float | None:
    """Return seconds of `01:02:03.456`, `02:03.456` or `01:02:03,456`; None for anything else."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")


def times(line: str) -> tuple[float | None, float | None]:
    """Return both times of a cue's timing line; settings behind the second are left out."""
    start, _, rest = line.partition(ARROW)
    return clock(start), clock((rest.split() or [""])[0])


def blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each block; an empty line ends one."""
    block: list[str] = []
    for line in text.splitlines():
        if line.strip():
            block.append(line.strip())
        elif block:
            yield block
            block = []
    if block:
        yield block


def prefixed(text: str) -> tuple[str, str]:
    """Return (speaker, text) of a line; the speaker is "" where the line names none."""
    found = _PREFIX.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)
