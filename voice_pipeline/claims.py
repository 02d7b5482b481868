"""Checks every claim of a note against the turns it cites. What fails is shown as unverified.

The turn must exist, the right side must have said it, the quote must stand there word for word,
and every number, amount, date, reference and redacted name of the claim must occur in what it
cites. A promise must be one. It trusts no analyst, the one that comes with the product included.

Quotes are compared exactly after opening contractions and dropping punctuation and case. Nothing
fuzzy: `fifteen` and `fifty` are one letter from alike.
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
    Unverified,
)
from voice_pipeline.spoken.dates import MONTHS, WEEKDAYS, ordinals
from voice_pipeline.spoken.numbers import UNITS, numbers
from voice_pipeline.spoken.support import NEGATIONS, asks, promises
from voice_pipeline.spoken.taken_back import taken_back
from voice_pipeline.spoken.words import Token, comparable, tokens, vocabulary

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_COUNTED = re.compile(r"\d+(?:st|nd|rd|th|k|p|%|am|pm)|[$£€]?[\d,.]+(?:k|%|p)?")
_DATES = frozenset(WEEKDAYS) | frozenset(MONTHS) - {"may", "march"}
_ROLES = vocabulary("Caller Customer Agent Unknown I I'm I've I'll I'd")
_FUNCTION = vocabulary("i am have will would")

Said = TypeVar("Said", Claim, Commitment)


def verify(note: CaseNote, transcript: RedactedTranscript) -> CaseNote:
    """Return the note with every failing claim moved to `unverified`, with the reason as a code.

    The measure `verified_share` says how many of its claims hold, 0..1; a note without claims has
    none.
    """
    turns = {turn.turn: turn for turn in transcript.turns}
    failed: dict[Unverified, None] = {}
    held = 0

    def kept(claims: Sequence[Said], *speakers: str) -> tuple[Said, ...]:
        nonlocal held
        good: list[Said] = []
        for claim in claims:
            who = (claim.who,) if isinstance(claim, Commitment) else speakers
            if why := fault(claim, turns, who):
                failed[Unverified(claim.text, claim.evidence, why)] = None
            else:
                good.append(claim)
        held += len(good)
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
    unverified = tuple(dict.fromkeys((*note.unverified, *failed)))
    given = held + len(unverified)
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
        concerns=tuple(
            concern
            for concern in note.concerns
            if concern.evidence and not any(_quote_fault(e, turns) for e in concern.evidence)
        ),
        unverified=unverified,
        measures={**note.measures, **({"verified_share": round(held / given, 3)} if given else {})},
    )


def fault(
    claim: Claim | Commitment, turns: dict[int, RedactedTurn], speakers: Sequence[str] = ()
) -> str | None:
    """Return why a claim cannot be trusted, as a code; None where every check passes.

    Args:
        speakers: sides of which one must have said all cited words; empty: anyone may.
    """
    if not claim.evidence:
        return "no_evidence"
    for evidence in claim.evidence:
        if found := _quote_fault(evidence, turns):
            return found
    cited = [turns[evidence.turn] for evidence in claim.evidence]
    if any(_side(turn) not in (*speakers, "unknown") for turn in cited if speakers):
        return "speaker"
    if isinstance(claim, Commitment) and (found := _promise_fault(claim)):
        return found
    bound = isinstance(claim, Commitment) or all(_side(turn) == "agent" for turn in cited)
    if bound and any(taken_back(evidence, [*turns.values()]) for evidence in claim.evidence):
        return "taken_back"
    stated = claim.text
    if isinstance(claim, Commitment):
        stated = f"{claim.text} . {claim.what} . {claim.due_text}"
    return _value_fault(stated, cited) or (
        "negation" if _turned_round(_tokens(claim.text), claim.evidence) else None
    )


def _promise_fault(claim: Commitment) -> str | None:
    if claim.who not in ("agent", "customer", "unknown"):
        return "speaker"
    quotes = [_plain(evidence.quote) for evidence in claim.evidence]
    if claim.due_text and not any(_within(_plain(claim.due_text), quote) for quote in quotes):
        return "due"
    if not any(
        promises(evidence.quote) and not asks(evidence.quote) for evidence in claim.evidence
    ):
        return "no_promise"
    return None


def _value_fault(stated: str, cited: Sequence[RedactedTurn]) -> str | None:
    """Return what the cited turns lack of the numbers, dates, references and names of a text."""
    said = [token for turn in cited for token in _tokens(turn.text)]
    claimed = _tokens(stated)
    spoken = set().union(*(_values(turn.text) | _whole_values(turn.text) for turn in cited))
    if not _values(stated) <= spoken:
        return "number"
    heard = {token.text for token in said}
    if any(token.text in _DATES and token.text not in heard for token in claimed):
        return "date"
    if not ordinals(claimed) <= ordinals(said):
        return "date"
    runs = _spelled(said)
    if any(
        code not in heard and not any(code in run for run in runs) for code in _references(claimed)
    ):
        return "reference"
    if any(name not in heard for name in _names(stated)):
        return "name"
    return None


def _references(claimed: Sequence[Token]) -> set[str]:
    """Return the codes of letters and digits, such as `ab12`; ordinals and sums are no codes."""
    return {
        token.text
        for token in claimed
        if re.search(r"\d", token.text)
        and re.search(r"[^\W\d_]", token.text)
        and not token.text.startswith("[")
        and not _COUNTED.fullmatch(token.text)
    }


def _spelled(said: Sequence[Token]) -> list[str]:
    """Return the runs of spoken letters and digits: `a b one two` is `ab12`."""
    runs = [""]
    for token in said:
        single = str(UNITS[token.text]) if UNITS.get(token.text, 10) < 10 else token.text
        if len(single) == 1 or single.isdigit():
            runs[-1] += single
        elif runs[-1]:
            runs.append("")
    return runs


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
    denied = any(word in NEGATIONS for word in words)
    return denied != any(word in NEGATIONS for quote in quotes for word in quote)


def _tokens(text: str) -> list[Token]:
    return tokens(text.split())


def _plain(text: str) -> list[str]:
    return [form for word in text.split() for form in comparable(word)]


def _side(turn: RedactedTurn) -> str:
    return turn.speaker.rstrip("0123456789").rstrip("_")
