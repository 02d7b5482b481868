"""Decides how a call ended, from its closing turns, or says that it is unclear.

What the customer says last weighs most, then what the agent could not do or still has to do. A
caller who orders the note to say something is not heard here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import CallOutcome, Claim, Commitment, Evidence
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.phrases import Match, parse

SOLVED = (
    "that works|worked (now)", "works|working now|again", "i am in", "it is (all) fixed|sorted|working",
    "that is (all) sorted|fixed|perfect|great|brilliant|everything|all|fine|wonderful|lovely",
    "perfect|brilliant|fantastic|wonderful|excellent|lovely|great", "will stay with you",
    "thank you (so|very) much", "thanks (so|very|a) much|lot", "you have been (very|so|really) helpful|great",
    "that was easy|quick", "thank you for your help", "good thank|thanks", "that answers my",
    "solved my|the", "all i needed|wanted",
)  # fmt: skip
UNSOLVED = (
    "still not|no", "still does_not|broken|down|dead|waiting", "not (been) fixed|sorted|resolved|solved",
    "does_not|did_not help", "not good_enough|helpful|acceptable", "no help", "waste of time",
    "not happy|satisfied", "back to square", "you can not|will_not (tell|help|do)", "i give up",
    "forget it", "useless", "what am i supposed", "nobody can|could help", "getting|got nowhere",
    "will go elsewhere|somewhere", "hang|hanging_up", "not what i asked|wanted", "nothing|not changed",
    "not today",
)  # fmt: skip
POLITE_NO = ("no_problem", "no thank|thanks|that", "not a problem")
IMPOSSIBLE = (
    "nothing (else|more) i|we can", "unable to help|resolve|fix|do", "can not help|fix|resolve|do",
    "not able to help|fix|resolve|do", "not possible", "not at this|the time|moment", "not today",
    "can not see when|where|why",
)  # fmt: skip
# A promise to do one of these means that the matter is still open.
PENDING = ["call", "ring", "phone", "contact", "write", "investigate", "check", "ask", "try", "review", "escalate", "raise", "delete", "speak", "talk", "find", "chase", "look", "come", "dispute", "decide", "visit", "inspect", "repair", "fix", "replace", "collect"]  # fmt: skip
PENDING_PHRASES = (
    "get|come back to you", "in|be touch", "send somebody|someone|technician|engineer|form|replacement|it",
    "we|you need|have to|copy", "before we can", "the dispute|investigation takes", "there (by|at|on)",
    "transfer|transferring you", "under investigation",
)  # fmt: skip

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
    good = _said(call, SOLVED, "customer", hostile)
    bad = _unsolved(call, hostile)
    cannot = _said(call, IMPOSSIBLE, "agent", hostile)
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
    call: Conversation, cues: Sequence[str], side: Side, hostile: frozenset[int]
) -> list[Match]:
    found = [
        match
        for cue in cues
        for match in call.find(parse(cue), side, "closing")
        if match.first.turn not in hostile
    ]
    return sorted(found, key=lambda match: (call.place[match.first.turn], match.first.word))


def _unsolved(call: Conversation, hostile: frozenset[int]) -> list[Match]:
    polite = {
        (match.first.turn, match.first.word)
        for match in _said(call, POLITE_NO, "customer", frozenset())
    }
    return [
        match
        for match in _said(call, UNSOLVED, "customer", hostile)
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
    words = promise.what.lower().replace(",", " ").split()
    if any(word in PENDING for word in words[:6]):
        return True
    from voice_pipeline.spoken.phrases import Spoken
    from voice_pipeline.spoken.words import tokens

    spoken = Spoken([tokens(promise.what.split())])
    return any(spoken.find(parse(phrase)) for phrase in PENDING_PHRASES)


def _quotes(call: Conversation, matches: Sequence[Match]) -> tuple[Evidence, ...]:
    return tuple(
        dict.fromkeys(
            quote for match in matches for quote in call.evidence(match.first, match.last)
        )
    )
