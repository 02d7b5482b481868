"""Finds what a speaker took back: the last version counts, the first one stays in view, marked.

Values (amounts, dates, references, counts) that the same side replaces within a few turns after
words such as `no sorry` or `actually`, and statements that the same side later denies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_pipeline.analysts._cues import cues
from voice_pipeline.domain import Claim, Evidence
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.phrases import parse
from voice_pipeline.spoken.words import Token, comparable, vocabulary

MARK = "Corrected later"
REACH = 3  # turns after which a value is no correction but another value
LEAD = 8  # words between the words that take back and the new value
SAME = 0.6  # share of telling words from which two statements are about the same
FEWEST = 2  # telling words that a statement has at least
_NEGATIONS = vocabulary("not never no nobody nothing none without")
_TURNS_ROUND = vocabulary("no sorry wait oops pardon")
_TELLING_FROM = 4  # letters


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value where it was said."""

    label: str  # Amount When Reference Quantity Share
    first: Token
    last: Token
    spoken: str


def superseded(call: Conversation, values: Sequence[Value]) -> dict[Value, Value]:
    """Return the values that were taken back, each with the one that counts."""
    takes_back = sorted(
        (call.place[match.first.turn], match.first.word, match.last.word)
        for phrase in cues().corrected
        for match in call.find(parse(phrase))
        if match.first.turn == match.last.turn
    )
    found: dict[Value, Value] = {}
    for at, value in enumerate(values):
        for later in values[at + 1 :]:
            if later.label == value.label and _replaces(call, value, later, takes_back):
                found[value] = later
                break
    return found


def _replaces(
    call: Conversation, value: Value, later: Value, takes_back: Sequence[tuple[int, int, int]]
) -> bool:
    begun, reached = call.place[value.first.turn], call.place[later.first.turn]
    same_side = call.turn(value.first.turn).speaker == call.turn(later.first.turn).speaker
    if value.spoken.lower() == later.spoken.lower() or reached - begun > REACH or not same_side:
        return False
    if _at_once(call, value, later):
        return True
    return any(
        place == reached
        and last < later.first.word <= last + LEAD
        and (place > begun or first > value.last.word)
        for place, first, last in takes_back
    )


def _at_once(call: Conversation, value: Value, later: Value) -> bool:
    """Tell whether nothing but a `no` or `sorry` stands between two values of one turn."""
    if value.first.turn != later.first.turn:
        return False
    between = {
        token.text
        for token in call.tokens[value.first.turn]
        if value.last.word < token.word < later.first.word
    }
    return bool(between) and between <= _TURNS_ROUND


def contradicted(call: Conversation, claims: Sequence[Claim]) -> list[tuple[Claim, Claim]]:
    """Return pairs of statements of one side of which the later denies the earlier."""
    found = []
    read = [(claim, *_telling(call, claim.evidence[0])) for claim in claims]
    for at, (claim, words, denied) in enumerate(read):
        for later, others, denies in read[at + 1 :]:
            a, b = claim.evidence[0], later.evidence[0]
            about = len(words & others) / max(1, len(words | others))
            if (
                denied != denies
                and min(len(words), len(others)) >= FEWEST
                and about >= SAME
                and len(words & others) >= FEWEST
                and call.turn(a.turn).speaker == call.turn(b.turn).speaker
            ):
                found.append((claim, later))
                break
    return found


def _telling(call: Conversation, quote: Evidence) -> tuple[frozenset[str], bool]:
    texts = [token.text for token in call.tokens[quote.turn]]
    quoted = {word.strip(".,;?!").lower() for word in quote.quote.split()}
    telling = frozenset(text[:6] for text in texts if text in quoted and len(text) >= _TELLING_FROM)
    denied = any(text in _NEGATIONS for text in _opened(quote))
    return telling, denied


def _opened(quote: Evidence) -> list[str]:
    return [form for word in quote.quote.split() for form in comparable(word)]


def marked(claim: Claim) -> Claim:
    """Return the claim with the mark that a later statement counts instead."""
    quote = claim.evidence[0].quote
    value = claim.text.partition(": ")[2].partition(f". {quote}")[0]
    return Claim(
        f"{MARK}: {value}. {quote}" if value != quote else f"{MARK}: {quote}", claim.evidence
    )


def with_correction(claim: Claim, corrections: Sequence[tuple[Evidence, Evidence]]) -> Claim:
    """Return a summary's claim with the quote that corrects what it quotes, if one does."""
    quoted = {quote.turn for quote in claim.evidence}
    for old, new in corrections:
        if old.turn in quoted and old.quote in claim.evidence[0].quote and new.turn not in quoted:
            said = claim.text if claim.text.endswith((".", "?", "!")) else f"{claim.text}."
            return Claim(f"{said} Corrected: {new.quote}", (*claim.evidence, new))
    return claim
