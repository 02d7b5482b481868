"""Which promise is the next step of a call: the one that falls due first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from voice_pipeline.domain import Commitment


def first_due(commitments: Sequence[Commitment]) -> Commitment | None:
    """Return the agent's promise that falls due first, else one of nobody known, else the
    customer's; None: none.

    Among promises without a calendar date those that name a time go first, then the fuller one:
    what was promised in passing is repeated in full elsewhere.
    """
    if not commitments:
        return None

    def rank(promise: Commitment) -> tuple[bool, bool, bool, date, int]:
        return (
            promise.who != "agent",
            promise.who == "customer",
            not promise.due_text,
            promise.due or date.max,
            -len(promise.text),
        )

    return min(commitments, key=rank)
