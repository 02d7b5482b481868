"""What an alert says of a call: which flags it has, and where to look. No word that was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from voice_pipeline.domain import Severity
from voice_pipeline.ports import Parcel

SEVERITIES: tuple[str, ...] = get_args(Severity)  # rising


def flags(parcel: Parcel, least: str) -> list[tuple[str, str]]:
    """Return (severity, category) of the call's flags from `least` on, the worst first, once each.

    Anything that is not a known severity and a plain category is left out: text that somebody
    made up cannot come along.
    """
    given = parcel.note.get("escalations")
    found = {
        (str(one.get("severity")), str(one.get("category")))
        for one in (given if isinstance(given, list | tuple) else ())
        if isinstance(one, Mapping) and re.fullmatch(r"[a-z_]{1,60}", str(one.get("category")))
    }
    worst = SEVERITIES[SEVERITIES.index(least) :]
    kept = [one for one in found if one[0] in worst]
    return sorted(kept, key=lambda one: (-worst.index(one[0]), one[1]))


def title(parcel: Parcel, found: list[tuple[str, str]]) -> str:
    """Return one line: how urgent, what, which call."""
    test = "Test: " if parcel.test else ""
    again = " (revised)" if parcel.number > 1 else ""
    what = ", ".join(dict.fromkeys(category for _, category in found)) or "no flags"
    return f"{test}{found[0][0] if found else 'none'}: {what}, call {plain(parcel.call)}{again}"


def plain(text: str) -> str:
    """Return an id or a queue's name without what a mail or a chat would read as more."""
    return re.sub(r"[^\w.-]", "_", text)[:80]


def lines(parcel: Parcel, found: list[tuple[str, str]]) -> list[str]:
    """Return what an alert says, a line each."""
    queue: Any = parcel.metadata.get("queue")
    told = [title(parcel, found), *(f"- {severity}: {category}" for severity, category in found)]
    if queue:
        told.append(f"Queue: {plain(str(queue))}")
    if parcel.link:
        told.append(parcel.link)
    return told
