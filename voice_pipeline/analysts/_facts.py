"""Reads the facts of a call: amounts, dates, references, counts, and what was stated.

One sentence is one fact a value, or one fact. What was taken back stays in view with a mark, and
what counts instead stands unmarked. Questions, courtesies and bare digits are no facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from voice_pipeline.analysts._corrections import Value, contradicted, marked, superseded
from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._quotes import (
    asks,
    is_plain,
    is_redacted,
    says_something,
    turn_of,
    without_repeats,
)
from voice_pipeline.analysts._reading import REASON_WORDS, Reader
from voice_pipeline.domain import Claim, Evidence
from voice_pipeline.spoken.dates import dues
from voice_pipeline.spoken.numbers import NOT_MONEY, numbers
from voice_pipeline.spoken.words import Token, vocabulary

STATEMENT_WORDS = 5
_NO_COUNT = vocabulary("of am pm times second people oclock working business")
_SPANS = vocabulary("day days week weeks month months hour hours minute minutes year years")
_REFERENCE_CUES = vocabulary(
    "order reference booking reservation tracking ticket case claim confirmation payment "
    "invoice incident job"
)
# what agents say while they work; it states nothing about the case
_WORKING = vocabulary("let bear hold hang give")

Correction = tuple[Evidence, Evidence]  # what was said first, what counts


def facts(
    reader: Reader, but: frozenset[int], skip: frozenset[int], most: int, filled: int
) -> tuple[tuple[Claim, ...], tuple[Correction, ...]]:
    """Return the facts, and the corrections among them.

    Args:
        but: turns that speak to the machine.
        skip: turns that are quoted as reason or promise already: only their values are facts.
        most: facts that phrases or values speak for.
        filled: up to this many, other statements are quoted as well.
    """
    ranked: dict[tuple[int, str], tuple[int, Claim]] = {}
    typed: dict[Value, Claim] = {}
    for value in _values(reader, but):
        quote, inside = reader.call.sentence(value.first, value.last)
        timed = value.label == "When" or _is_span(value)
        bare = len(inside) < REASON_WORDS  # a time alone says nothing of what happens then
        if timed and (value.first.turn in skip or asks(quote.quote) or bare):
            continue
        typed[value] = Claim(f"{value.label}: {value.spoken}. {quote.quote}", (quote,))
    replaced = {
        old: new for old, new in superseded(reader.call, list(typed)).items() if new in typed
    }
    for value, claim in typed.items():
        shown = marked(claim) if value in replaced else claim
        ranked.setdefault(
            (-value.first.turn - 1, shown.text.partition(". ")[0].lower()), (1, shown)
        )
    valued = {claim.evidence[0] for claim in typed.values()}
    plain = [found for found in _stated(reader, but) if found[1].evidence[0] not in valued]
    for rank, claim in plain:
        ranked.setdefault((turn_of(claim), claim.evidence[0].quote), (rank, claim))
    spoken = [claim for _, claim in ranked.values()]
    denied = dict(contradicted(reader.call, sorted(spoken, key=partial(_place, reader))))
    best = sorted(
        ((rank, marked(claim) if claim in denied else claim) for rank, claim in ranked.values()),
        key=lambda found: (found[0], _place(reader, found[1])),
    )
    fresh = [claim for _, claim in best if turn_of(claim) not in skip or not is_plain(claim)]
    cued = sum(rank < 3 for rank, _ in best)
    kept = without_repeats(fresh)[: min(most, max(filled, cued))]
    corrections = [
        (typed[old].evidence[0], typed[new].evidence[0]) for old, new in replaced.items()
    ]
    corrections += [(old.evidence[0], new.evidence[0]) for old, new in denied.items()]
    return tuple(sorted(kept, key=partial(_place, reader))), tuple(corrections)


def _place(reader: Reader, claim: Claim) -> int:
    return reader.call.place[turn_of(claim)]


def _stated(reader: Reader, but: frozenset[int]) -> Iterator[tuple[int, Claim]]:
    """Yield plain statements with their rank: the caller's trouble, the agent's word, the rest."""
    for rank, side, phrases in ((0, "customer", cues().problem), (2, "agent", cues().stated)):
        for match in reader.said(phrases, "customer" if side == "customer" else "agent", but):
            quote, inside = reader.call.sentence(match.first, match.last)
            if len(inside) >= REASON_WORDS and _states(quote, inside):
                yield rank, reader.claim(quote, side.title())
    for turn in reader.call.turns[1:-1]:
        if turn.turn in but:
            continue
        who = "Agent" if reader.call.side(turn) == "agent" else "Customer"
        for quote, inside in reader.sentences(turn.turn):
            if len(inside) < STATEMENT_WORDS or not says_something(inside):
                continue
            if _states(quote, inside) and (who == "Customer" or inside[0].text not in _WORKING):
                yield 3, reader.claim(quote, who)


def _states(quote: Evidence, inside: list[Token]) -> bool:
    return not asks(quote.quote) and not is_redacted(inside)


def _is_span(value: Value) -> bool:
    return value.label == "Quantity" and value.spoken.lower().split()[-1] in _SPANS


def _values(reader: Reader, but: frozenset[int]) -> Iterator[Value]:
    """Yield the values of a call in order."""
    for turn in reader.call.turns:
        if turn.turn in but:
            continue
        said = reader.call.tokens[turn.turn]
        words = [word.text for word in turn.words]
        for label, first, last in _in_turn(reader, said):
            spoken = " ".join(words[said[first].word : said[last].word + 1]).rstrip(".,;?!")
            yield Value(label, said[first], said[last], spoken)


def _in_turn(reader: Reader, said: list[Token]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for number in numbers(said):
        around = {token.text for token in said[max(0, number.first - 6) : number.first]}
        around |= _asked_before(reader, said[number.first].turn)
        if number.kind == "money":
            found.append(("Amount", number.first, number.last))
        elif number.kind == "reference" and around & _REFERENCE_CUES:
            found.append(("Reference", number.first, number.last))
        elif number.kind == "percent":
            found.append(("Share", number.first, number.last))
        elif number.kind == "number" and number.last + 1 < len(said):
            unit = said[number.last + 1].text
            if unit in NOT_MONEY and unit not in _NO_COUNT:
                found.append(("Quantity", number.first, number.last + 1))
    found += [("When", due.first, due.last) for due in dues(said, reader.today)]
    return sorted(found, key=lambda value: value[1:])


def _asked_before(reader: Reader, turn: int) -> set[str]:
    """Return the words of the turn before: `do you have the order number`."""
    place = reader.call.place[turn]
    before = reader.call.turns[place - 1].turn if place else None
    return {token.text for token in reader.call.tokens[before]} if before is not None else set()
