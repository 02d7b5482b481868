"""Puts at most three statements on top of a note, and says how urgent the call is.

Why they called, what was done, what comes next; else how it ended. Urgency is that of the request
type, raised by words of the caller that the pack lists; nothing that is said lowers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from voice_pipeline.analysts._intent import Intent
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import CallOutcome, Claim, Commitment
from voice_pipeline.next_step import first_due

SUMMARY = 3
TELLING_WORDS = 5  # `that is done` does not say what was done
Level = Literal["low", "normal", "high", "urgent"]
LEVELS: tuple[Level, ...] = ("low", "normal", "high", "urgent")


def summary_of(
    reason: Claim | None,
    actions: Sequence[Claim],
    commitments: Sequence[Commitment],
    ending: CallOutcome,
) -> tuple[Claim, ...]:
    """Return the statements on top of a note, each once."""
    found = [reason] if reason else []
    telling = [claim for claim in actions if len(claim.evidence[0].quote.split()) >= TELLING_WORDS]
    if telling:
        found.append(max(telling, key=lambda claim: len(claim.text)))
    if promise := first_due(commitments):
        found.append(Claim(promise.text, promise.evidence))
    if len(found) < SUMMARY and ending.evidence:
        quote = ending.evidence[-1]
        shown = [past.quote for claim in found for past in claim.evidence]
        if not any(quote.quote in past or past in quote.quote for past in shown):
            found.append(Claim(f"End of the call: {quote.quote}", (quote,)))
    unique = {claim.evidence[0].quote: claim for claim in found}
    return tuple(unique.values())[:SUMMARY]


def urgency_of(reader: Reader, intent: Intent, but: frozenset[int]) -> tuple[Level, int | None]:
    """Return the urgency, and the turn whose words raised it, if any did."""
    kind = reader.pack.kind(intent.label)
    level: Level = kind.urgency if kind and intent.decision == "auto" else "normal"
    turn = None
    for rule in reader.pack.note.urgency:
        if LEVELS.index(rule.level) <= LEVELS.index(level):
            continue
        excused = {
            (match.first.turn, word)
            for match in reader.said(rule.unless, "customer", but, wide=True)
            for word in range(match.first.word, match.last.word + 1)
        }
        for match in reader.said(rule.phrases, "customer", but, wide=True):
            if (match.first.turn, match.first.word) not in excused:
                level, turn = rule.level, match.first.turn
                break
    return level, turn
