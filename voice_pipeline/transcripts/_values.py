"""Values of foreign JSON, read without trust: what has another type than expected reads as nothing.

Decides what counts as a time, a confidence, a word. Refuses to raise: a file may hold anything, and
what cannot be read counts as not said, which later mutes or holds, never as said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from redaction.records import Word

LONGEST_WORD = 200  # characters: longer ones are cut into several, so that no search meets them


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, empty where it is none."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a list, empty where it is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: Any) -> str:
    """Return a string, or a number as one; "" for anything else."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _storable(f"{value}")
    return ""


def number(value: Any, scale: float = 1.0) -> float | None:
    """Return a finite number, also of a string such as "4.86"; None for anything else."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        found = float(value) * scale
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def share(value: Any) -> float | None:
    """Return a confidence of 0..1; None where there is none, or none of that range."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def words(
    value: Any,
    start: float | None = None,
    end: float | None = None,
    confidence: float | None = None,
) -> tuple[Word, ...]:
    """Return the words of a text; each has the time of the whole, none is placed inside it."""
    return tuple(
        Word(token[at : at + LONGEST_WORD], start, end, confidence)
        for token in string(value).split()
        for at in range(0, len(token), LONGEST_WORD)
    )


def _storable(text: str) -> str:
    """Without lone surrogates, which no record can hold, and without control characters."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() or c.isspace() else " " for c in text)
