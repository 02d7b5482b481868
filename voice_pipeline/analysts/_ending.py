"""Decides how a call ended, from its closing turns, or says that it is unclear.

What the customer says last weighs most, then what the agent could not do or still has to do. A
caller who orders the note to say something is not heard here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import CallOutcome, Claim, Commitment, Evidence
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.phrases import Match, Spoken, parse
from voice_pipeline.spoken.words import tokens

Value = Literal["resolved", "partial", "unresolved", "unclear"]


def outcome(
    reader: Reader,
    hostile: frozenset[int],
    actions: Sequence[Claim],
    commitments: Sequence[Commitment],
    facts: Sequence[Claim],
) -> CallOutcome:
    """Return how the call ended with the quotes that say so."""
    call = reader.call
    good = _said(call, cues().solved, "customer", hostile)
    bad = _unsolved(call, hostile)
    cannot = _said(call, cues().impossible, "agent", hostile)
    pending = [promise for promise in commitments if _is_pending(promise)]
    done = _done(call, actions)
    value: Value
    if bad and not _last_word(call, good, bad):
        return CallOutcome("unresolved", _quotes(call, bad[-2:]))
    if pending:
        value = "partial"
        evidence = pending[-1].evidence
    elif cannot and not good:
        return CallOutcome("unresolved", _quotes(call, cannot[-1:]))
    elif good and (done or facts or actions):
        value = "resolved"
        evidence = (*_quotes(call, good[-1:]), *(actions[-1].evidence if actions else ()))
    elif done:
        value, evidence = "resolved", done
    else:
        return CallOutcome("unclear", ())
    return CallOutcome(value, tuple(dict.fromkeys(evidence)))


def _said(
    call: Conversation, phrases: Sequence[str], side: Side, hostile: frozenset[int]
) -> list[Match]:
    found = [
        match
        for phrase in phrases
        for match in call.find(parse(phrase), side, "closing")
        if match.first.turn not in hostile
    ]
    return sorted(found, key=lambda match: (call.place[match.first.turn], match.first.word))


def _unsolved(call: Conversation, hostile: frozenset[int]) -> list[Match]:
    polite = {
        (match.first.turn, match.first.word)
        for match in _said(call, cues().polite_no, "customer", frozenset())
    }
    return [
        match
        for match in _said(call, cues().unsolved, "customer", hostile)
        if (match.first.turn, match.first.word) not in polite
    ]


def _last_word(call: Conversation, good: Sequence[Match], bad: Sequence[Match]) -> bool:
    """Tell whether the customer was content after having been discontent."""
    if not good:
        return False
    return call.place[good[-1].last.turn] > call.place[bad[-1].last.turn]


def _done(call: Conversation, actions: Sequence[Claim]) -> tuple[Evidence, ...]:
    """Return the evidence of an action in the second half of the call."""
    late = [
        action for action in actions if call.place[action.evidence[0].turn] >= len(call.turns) / 2
    ]
    return late[-1].evidence if late else ()


def _is_pending(promise: Commitment) -> bool:
    if promise.who != "agent":
        return False
    spoken = Spoken([tokens(promise.what.split())])
    return any(spoken.find(parse(phrase)) for phrase in cues().pending)


def _quotes(call: Conversation, matches: Sequence[Match]) -> tuple[Evidence, ...]:
    return tuple(
        dict.fromkeys(
            quote for match in matches for quote in call.evidence(match.first, match.last)
        )
    )
