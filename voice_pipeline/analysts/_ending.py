"""Decides how a call ended, from its closing turns, or says that it is unclear.

What the customer says last weighs most, then what the agent could not do or still has to do; where
nobody knows who is who, bad news counts whoever says it. A caller who orders the note to say
something is not heard here.
"""

from __future__ import annotations

from collections.abc import Sequence

from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import CallOutcome, Claim, Evidence
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.taken_back import taken_back


def outcome(
    reader: Reader, hostile: frozenset[int], actions: Sequence[Claim], told: bool
) -> CallOutcome:
    """Return how the call ended with the quotes that say so.

    Args:
        told: whether the agent stated anything; thanks for an answer settle a question.
    """
    call = reader.call
    good = _said(call, cues().solved, "customer", hostile)
    bad = _unsolved(call, hostile)
    cannot = _said(call, cues().impossible, "agent", hostile, wide=True)
    pending = [
        match
        for match in _said(call, cues().pending, "agent", hostile, wide=True)
        if not call.sentence(match.first, match.last)[0].quote.endswith("?")
    ]
    settled = [
        match
        for match in _said(call, cues().settled, "agent", hostile)
        if not taken_back(call.sentence(match.first, match.last)[0], call.turns)
    ]
    thanked = good or _said(call, cues().thanked, "customer", hostile)
    if bad and not _last_word(call, good, bad):
        return CallOutcome("unresolved", _quotes(call, bad[-2:]))
    if cannot and good and not settled and _last_word(call, cannot, good):
        return CallOutcome("unresolved", _quotes(call, cannot[-1:]))
    if pending and not (settled and good):
        return CallOutcome("partial", _quotes(call, pending[-1:]))
    if cannot and not settled and not good:
        return CallOutcome("unresolved", _quotes(call, cannot[-1:]))
    if settled or actions:
        done = _quotes(call, settled[-1:]) or actions[-1].evidence
        return CallOutcome("resolved", tuple(dict.fromkeys((*_quotes(call, good[-1:]), *done))))
    if thanked and told:
        return CallOutcome("resolved", _quotes(call, thanked[-1:]))
    return CallOutcome("unclear", ())


def _said(
    call: Conversation,
    phrases: Sequence[str],
    side: Side,
    hostile: frozenset[int],
    *,
    wide: bool = False,
) -> list[Match]:
    found = [
        match
        for phrase in phrases
        for match in call.find(parse(phrase), side, "closing", wide=wide)
        if match.first.turn not in hostile
    ]
    return sorted(found, key=lambda match: (call.place[match.first.turn], match.first.word))


def _unsolved(call: Conversation, hostile: frozenset[int]) -> list[Match]:
    polite = {
        (match.first.turn, match.first.word)
        for match in _said(call, cues().polite_no, "customer", frozenset(), wide=True)
    }
    return [
        match
        for match in _said(call, cues().unsolved, "customer", hostile, wide=True)
        if (match.first.turn, match.first.word) not in polite
    ]


def _last_word(call: Conversation, good: Sequence[Match], bad: Sequence[Match]) -> bool:
    """Tell whether the good was said in a turn after the bad: the last word counts."""
    if not good:
        return False
    return call.place[good[-1].last.turn] > call.place[bad[-1].last.turn]


def _quotes(call: Conversation, matches: Sequence[Match]) -> tuple[Evidence, ...]:
    return tuple(
        dict.fromkeys(
            quote for match in matches for quote in call.evidence(match.first, match.last)
        )
    )
