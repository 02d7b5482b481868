"""Reads reason, facts, actions and commitments out of a call, each as a verbatim quote.

A form, not prose: selecting sentences and rewriting them by rules changes meanings. What a caller
says to the machine that reads the call is left out of the note; the rules flag it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._quotes import (
    after,
    asks,
    claim_of,
    is_participle,
    is_plain,
    is_redacted,
    says_something,
    turn_of,
    without_repeats,
)
from voice_pipeline.domain import Claim, Evidence
from voice_pipeline.policy.pack import Pack, RequestKind
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.dates import dues
from voice_pipeline.spoken.numbers import NOT_MONEY, numbers
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.words import Token, vocabulary

MOST_FACTS = 12
FILLED_FACTS = 7  # up to this many, other statements are quoted as well
STATEMENT_WORDS = 5
MOST_ACTIONS = 6
REASON_WORDS = 4  # fewer words are no reason but a greeting or an answer
HOSTILE = ("instruction_words", "outcome_orders")  # signals whose speech is not for the note

_CORRECTED = vocabulary("no sorry actually wait mean rather correction")
_REFERENCE_CUES = vocabulary(
    "order reference booking reservation tracking ticket case claim confirmation payment "
    "invoice incident job"
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one call."""

    call: Conversation
    pack: Pack
    today: date | None

    # ------------------------------------------------------------ who said what

    def hostile(self) -> frozenset[int]:
        """Return the turns that speak to the machine instead of the other side."""
        return frozenset(
            match.first.turn
            for signal in self.pack.signals
            if signal.id in HOSTILE
            for phrase in signal.phrases
            for match in self.call.find(parse(phrase), signal.speaker)
        )

    def said(self, cues: Iterable[str], side: Side, but: frozenset[int]) -> list[Match]:
        """Return the matches of cues in order, one a sentence at most."""
        found = [
            match
            for cue in cues
            for match in self.call.find(parse(cue), side)
            if match.first.turn == match.last.turn and match.first.turn not in but
        ]
        return sorted(
            found, key=lambda match: (self.call.place[match.first.turn], match.first.word)
        )

    def openings(self, but: frozenset[int]) -> list[int]:
        """Return the caller's turns that may carry the reason of the call, most likely first."""
        turns = [
            turn
            for turn in self.call.by("customer")
            if turn.turn not in but and len(self.call.tokens[turn.turn]) >= REASON_WORDS
        ]
        early = turns[: max(2, round(len(turns) / 3))]
        cued = {match.first.turn for match in self.said(cues().need, "customer", but)}
        return [turn.turn for turn in early if turn.turn in cued] + [
            turn.turn for turn in early if turn.turn not in cued
        ]

    def told(self, but: frozenset[int]) -> bool:
        """Tell whether the agent states something after the opening, beside questions."""
        return any(
            len(self.call.tokens[turn.turn]) >= REASON_WORDS and not asks(turn.text)
            for turn in self.call.by("agent")[1:]
            if turn.turn not in but
        )

    # ------------------------------------------------------------ claims

    def reason(self, openings: Sequence[int]) -> Claim | None:
        for number in openings:
            cued = [
                match
                for cue in cues().need
                for match in self.call.find(parse(cue), "customer")
                if match.first.turn == match.last.turn == number
            ]
            if len(self.call.turn(number).words) <= 40 or not cued:
                return claim_of(self.call.whole(number), "Caller")
            first = min(cued, key=lambda match: match.first.word)
            return claim_of(self.call.evidence(first.first, first.last)[0], "Caller")
        return None

    def facts(self, but: frozenset[int], skip: frozenset[int]) -> tuple[Claim, ...]:
        """Return amounts, dates, references and statements, first the caller's trouble."""
        claims: dict[tuple[int, str], tuple[int, Claim]] = {}
        for rank, side, phrases in ((0, "customer", cues().problem), (2, "agent", cues().stated)):
            for match in self.said(phrases, "customer" if side == "customer" else "agent", but):
                quote, inside = self.call.sentence(match.first, match.last)
                if (
                    len(inside) >= REASON_WORDS
                    and not asks(quote.quote)
                    and not is_redacted(inside)
                ):
                    claims.setdefault(
                        (quote.turn, quote.quote), (rank, claim_of(quote, side.title()))
                    )
        for turn in self.call.turns:
            if turn.turn in but:
                continue
            for label, first, last in self._values(self.call.tokens[turn.turn]):
                quote, inside = self.call.sentence(first, last)
                spoken = " ".join(
                    word.text for word in turn.words[first.word : last.word + 1]
                ).rstrip(".,;?!")
                if label == "When" and (turn.turn in skip or asks(quote.quote)):
                    continue
                claims.pop((quote.turn, quote.quote), None)
                claim = Claim(f"{label}: {spoken}. {quote.quote}", (quote,))
                claims.setdefault((-turn.turn - 1, f"{label} {spoken.lower()}"), (1, claim))
        for quote in self._statements(but):
            who = "Agent" if self.call.side(self.call.turn(quote.turn)) == "agent" else "Customer"
            claims.setdefault((quote.turn, quote.quote), (3, claim_of(quote, who)))
        best = sorted(
            claims.values(), key=lambda found: (found[0], self.call.place[turn_of(found[1])])
        )
        fresh = [claim for _, claim in best if turn_of(claim) not in skip or not is_plain(claim)]
        kept = without_repeats(fresh)
        cued = sum(rank < 3 for rank, _ in best)
        kept = kept[: min(MOST_FACTS, max(FILLED_FACTS, cued))]
        return tuple(sorted(kept, key=lambda claim: self.call.place[turn_of(claim)]))

    def _statements(self, but: frozenset[int]) -> Iterator[Evidence]:
        """Yield sentences of some length that are no question, in the middle of the call."""
        for turn in self.call.turns[1:-1]:
            said = self.call.tokens[turn.turn]
            end = -1
            for token in said:
                if turn.turn in but or token.word <= end:
                    continue
                quote, inside = self.call.sentence(token, token)
                end = inside[-1].word
                if (
                    len(inside) >= STATEMENT_WORDS
                    and says_something(inside)
                    and not asks(quote.quote)
                    and not is_redacted(inside)
                ):
                    yield quote

    def _values(self, said: list[Token]) -> Iterator[tuple[str, Token, Token]]:
        """Yield label, first and last token of the values in a turn; a corrected one is dropped."""
        found: list[tuple[str, int, int]] = []
        for number in numbers(said):
            around = {token.text for token in said[max(0, number.first - 6) : number.first]}
            around |= self._asked_before(said[number.first].turn)
            if number.kind == "money":
                found.append(("Amount", number.first, number.last))
            elif number.kind == "reference" and around & _REFERENCE_CUES:
                found.append(("Reference", number.first, number.last))
            elif number.kind == "percent":
                found.append(("Share", number.first, number.last))
            elif number.kind == "number" and number.last + 1 < len(said):
                unit = said[number.last + 1].text
                if unit in NOT_MONEY and unit not in (
                    "of",
                    "am",
                    "pm",
                    "times",
                    "second",
                    "people",
                ):
                    found.append(("Quantity", number.first, number.last + 1))
        for due in dues(said, self.today):
            found.append(("When", due.first, due.last))
        for place, (label, first, last) in enumerate(found):
            later = [other for other in found[place + 1 :] if other[0] == label]
            between = said[last + 1 : later[0][1]] if later else []
            if not any(token.text in _CORRECTED for token in between):
                yield label, said[first], said[last]

    def _asked_before(self, turn: int) -> set[str]:
        """Return the words of the turn before: `do you have the order number`."""
        place = self.call.place[turn]
        before = self.call.turns[place - 1].turn if place else None
        return {token.text for token in self.call.tokens[before]} if before is not None else set()

    def actions(self, but: frozenset[int]) -> tuple[Claim, ...]:
        """Return what the agent says was done."""
        found: dict[tuple[int, str], Claim] = {}
        begun = frozenset(cues().begun)
        for match in self.said((*cues().begun, *cues().done), "agent", but):
            quote, inside = self.call.sentence(match.first, match.last)
            rest = after(inside, match.last)[:2]
            if asks(quote.quote) or "not" in [token.text for token in rest]:
                continue
            if match.phrase in begun and not any(is_participle(token.text) for token in rest):
                continue
            found.setdefault((quote.turn, quote.quote), claim_of(quote, "Agent"))
        return tuple(without_repeats(found.values()))[:MOST_ACTIONS]

    def missing(self, kind: RequestKind | None) -> tuple[str, ...]:
        """Return what the request type needs and nobody said."""
        if kind is None:
            return ()
        labels = {
            token.text.strip("[]").rstrip("0123456789").rstrip("_").upper()
            for said in self.call.tokens.values()
            for token in said
            if token.text.startswith("[")
        }
        kinds: set[str] = {
            number.kind for said in self.call.tokens.values() for number in numbers(said)
        }
        if any(dues(said, None) for said in self.call.tokens.values()):
            kinds.add("date")
        return tuple(
            need.name
            for need in kind.required
            if not (set(need.labels) & labels)
            and not (set(need.kinds) & set(kinds))
            and not any(self.call.find(parse(phrase)) for phrase in need.phrases)
        )
