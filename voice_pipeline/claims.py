"""Checks every claim of a note against the turns it cites. What fails is shown as unverified.

The turn must exist, the right side must have said it, the quote must stand there word for word,
and every number, amount and redacted name of the claim must occur in what it cites. It trusts no
analyst, the one that comes with the product included.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    Claim,
    Commitment,
    Evidence,
    Mood,
    RedactedTranscript,
    RedactedTurn,
)
from voice_pipeline.spoken.dates import MONTHS, WEEKDAYS
from voice_pipeline.spoken.numbers import numbers
from voice_pipeline.spoken.words import Token, comparable, tokens, vocabulary

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_NEGATIONS = vocabulary("not no never nobody none nothing neither nor without unable")
_DATES = frozenset(WEEKDAYS) | frozenset(MONTHS) - {"may", "march"}
_ROLES = vocabulary("Caller Customer Agent I I'm I've I'll I'd")
_FUNCTION = vocabulary("i am have will would")

Said = TypeVar("Said", Claim, Commitment)


def verify(note: CaseNote, transcript: RedactedTranscript) -> CaseNote:
    """Return the note with every failing claim moved to `unverified`."""
    turns = {turn.turn: turn for turn in transcript.turns}
    failed: list[Claim] = []

    def kept(claims: Sequence[Said], *speakers: str) -> tuple[Said, ...]:
        good: list[Said] = []
        for claim in claims:
            who = (claim.who,) if isinstance(claim, Commitment) else speakers
            if fault(claim, turns, who):
                failed.append(Claim(claim.text, claim.evidence))
            else:
                good.append(claim)
        return tuple(good)

    reason = kept([note.reason] if note.reason else [], "customer")
    summary, facts = kept(note.summary), kept(note.facts)
    actions, commitments = kept(note.actions, "agent"), kept(note.commitments)
    questions = kept(note.open_questions, "customer")
    leaving = kept([note.cancellation_reason] if note.cancellation_reason else [], "customer")
    sections = tuple(replace(part, claims=kept(part.claims)) for part in note.sections)
    outcome = note.outcome
    if any(_quote_fault(evidence, turns) for evidence in outcome.evidence):
        outcome = CallOutcome("unclear", ())
    return replace(
        note,
        reason=reason[0] if reason else None,
        summary=summary,
        facts=facts,
        actions=actions,
        commitments=commitments,
        open_questions=questions,
        cancellation_reason=leaving[0] if leaving else None,
        sections=sections,
        also=tuple(o for o in note.also if not any(_quote_fault(e, turns) for e in o.evidence)),
        mood_start=_sound(note.mood_start, turns),
        mood_end=_sound(note.mood_end, turns),
        outcome=outcome,
        unverified=(*note.unverified, *dict.fromkeys(failed)),
    )


def fault(
    claim: Claim | Commitment, turns: dict[int, RedactedTurn], speakers: Sequence[str] = ()
) -> str | None:
    """Return why a claim cannot be trusted, as a code; None where every check passes.

    Args:
        speakers: sides of which one must have said the cited words; empty: anyone may.
    """
    if not claim.evidence:
        return "no_evidence"
    for evidence in claim.evidence:
        if found := _quote_fault(evidence, turns):
            return found
    cited = [turns[evidence.turn] for evidence in claim.evidence]
    if speakers and not any(_side(turn) in (*speakers, "unknown") for turn in cited):
        return "speaker"
    said = [token for turn in cited for token in _tokens(turn.text)]
    claimed = _tokens(claim.text)
    spoken = set().union(*(_values(turn.text) | _whole_values(turn.text) for turn in cited))
    if not _values(claim.text) <= spoken:
        return "number"
    heard = {token.text for token in said}
    if any(token.text in _DATES and token.text not in heard for token in claimed):
        return "date"
    if any(name not in heard for name in _names(claim.text)):
        return "name"
    if _turned_round(claimed, claim.evidence):
        return "negation"
    return None


def _sound(mood: Mood | None, turns: dict[int, RedactedTurn]) -> Mood | None:
    """Return the mood if the customer said every word it rests on."""
    if mood is None or any(
        _quote_fault(quote, turns) or _side(turns[quote.turn]) not in ("customer", "unknown")
        for quote in mood.evidence
    ):
        return None
    return mood


def _quote_fault(evidence: Evidence, turns: dict[int, RedactedTurn]) -> str | None:
    turn = turns.get(evidence.turn)
    if turn is None:
        return "turn"
    quoted, spoken = _plain(evidence.quote), _plain(turn.text)
    return None if quoted and _within(quoted, spoken) else "quote"


def _within(part: Sequence[str], whole: Sequence[str]) -> bool:
    width = len(part)
    return any(whole[at : at + width] == part for at in range(len(whole) - width + 1))


def _values(text: str) -> set[str]:
    """Return every number of a text as digits; none reaches from one sentence into the next."""
    return set().union(*(_whole_values(sentence) for sentence in _SENTENCE_END.split(text)))


def _whole_values(text: str) -> set[str]:
    return {number.digits or f"{number.value:g}" for number in numbers(_tokens(text))}


def _names(text: str) -> list[str]:
    """Return placeholders, and words with a capital that no sentence begins with."""
    words = text.split()
    found: list[str] = []
    for before, word in zip([".", *words], words, strict=False):
        capital = word[:1].isupper() and not before.endswith((".", "?", "!", ":", ";"))
        if word.startswith("[") or (capital and word.rstrip(".,;:?!") not in _ROLES):
            found.extend(comparable(word))
    return [name for name in found if name not in _FUNCTION]


def _turned_round(claimed: Sequence[Token], evidence: Sequence[Evidence]) -> bool:
    """Tell whether claim and quotes differ in negation, unless the claim repeats a quote."""
    words = [token.text for token in claimed]
    quotes = [[token.text for token in _tokens(quote.quote)] for quote in evidence]
    if any(_within(quote, words) for quote in quotes):
        return False
    tail = words[-max(1, len(words) // 2) :]
    if any(_within(tail, quote) for quote in quotes):
        return False
    denied = any(word in _NEGATIONS for word in words)
    return denied != any(word in _NEGATIONS for quote in quotes for word in quote)


def _tokens(text: str) -> list[Token]:
    return tokens(text.split())


def _plain(text: str) -> list[str]:
    return [form for word in text.split() for form in comparable(word)]


def _side(turn: RedactedTurn) -> str:
    return turn.speaker.rstrip("0123456789").rstrip("_")
