"""Moves statements that promise more than their quotes do to `unverified`, before a note is judged.

Numbers and names of a claim are checked where it is made; a promise needs neither. "The agent will
refund the customer" with the quote "we will look into it" is what this refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from voice_pipeline.domain import CaseNote, Claim, Commitment, Unverified
from voice_pipeline.policy.pack import PROMISES, Pack
from voice_pipeline.spoken.statements import new_statement

Said = TypeVar("Said", Claim, Commitment)


def without_new_promises(note: CaseNote, pack: Pack) -> CaseNote:
    """Return the note whose summary, facts, actions and commitments promise what was promised."""
    promises = pack.drafts.promises if pack.drafts else PROMISES
    failed: list[Unverified] = []

    def kept(claims: Sequence[Said]) -> tuple[Said, ...]:
        good: list[Said] = []
        for claim in claims:
            quotes = [quote.quote for quote in claim.evidence]
            if new_statement(claim.text, quotes, promises) == "promise":
                failed.append(Unverified(claim.text, claim.evidence, "promise"))
            else:
                good.append(claim)
        return tuple(good)

    summary, facts, actions = kept(note.summary), kept(note.facts), kept(note.actions)
    commitments = kept(note.commitments)
    if not failed:
        return note
    return replace(
        note,
        summary=summary,
        facts=facts,
        actions=actions,
        commitments=commitments,
        unverified=(*note.unverified, *dict.fromkeys(failed)),
    )
