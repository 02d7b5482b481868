"""How long a note is: what the pack's `length` leaves room for, whoever writes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """How much of each part a note of a length holds."""

    summary: int  # never more than three: longer summaries go unread (vendors' forums)
    facts: int
    filled: int  # facts up to which statements that no phrase speaks for are quoted as well
    actions: int
    commitments: int


ROOM = {
    "short": Room(summary=2, facts=5, filled=3, actions=2, commitments=3),
    "normal": Room(summary=3, facts=12, filled=7, actions=6, commitments=6),
    "long": Room(summary=3, facts=40, filled=40, actions=20, commitments=20),
}
