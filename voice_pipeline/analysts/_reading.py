"""Reads reason and actions out of a call, each as a verbatim quote, and what is missing.

A form, not prose: selecting sentences and rewriting them by rules changes meanings. What a caller
says to the machine that reads the call is left out of the note; the rules flag it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._quotes import (
    NOBODY,
    after,
    asks,
    claim_of,
    is_participle,
    without_repeats,
)
from voice_pipeline.domain import Claim, Evidence, RedactedTurn
from voice_pipeline.policy.facts import HOSTILE
from voice_pipeline.policy.pack import Pack, RequestKind
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.dates import dues
from voice_pipeline.spoken.numbers import numbers
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.words import Token, vocabulary

TELLING_WORDS = 8  # a turn of so many words early in a call is about something
REASON_WORDS = 4  # fewer words are no reason but a greeting or an answer


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
            turn
            for signal in self.pack.signals
            if signal.id in HOSTILE
            for phrase in signal.phrases
            for match in self.call.find(parse(phrase), signal.speaker, wide=True)
            for turn in self.call.spanned(match)
        )

    def signalled(self, ids: Sequence[str], but: frozenset[int]) -> bool:
        """Tell whether a signal of the pack stands anywhere outside some turns."""
        return any(
            match.first.turn not in but
            for signal in self.pack.signals
            if signal.id in ids
            for phrase in signal.phrases
            for match in self.call.find(parse(phrase), signal.speaker, signal.where, wide=True)
        )

    def sentences(self, number: int) -> Iterator[tuple[Evidence, list[Token]]]:
        """Yield the sentences of a turn as quotes and tokens."""
        end = -1
        for token in self.call.tokens[number]:
            if token.word > end:
                quote, inside = self.call.sentence(token, token)
                end = inside[-1].word
                yield quote, inside

    def said(
        self, cues: Iterable[str], side: Side, but: frozenset[int], *, wide: bool = False
    ) -> list[Match]:
        """Return the matches of cues in order, one a sentence at most; `wide`: see `find`."""
        found = [
            match
            for cue in cues
            for match in self.call.find(parse(cue), side, wide=wide)
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
        waited = {match.first.turn for match in self.said(cues().waited, "customer", but)}

        def rank(turn: RedactedTurn) -> tuple[bool, bool]:
            words = len(self.call.tokens[turn.turn])
            likely = turn.turn in cued or words >= TELLING_WORDS
            return turn.turn in waited and words < 2 * TELLING_WORDS, not likely

        return [turn.turn for turn in sorted(early, key=rank)]

    def told(self, but: frozenset[int]) -> bool:
        """Tell whether the agent states something after the opening, beside questions."""
        return any(
            len(self.call.tokens[turn.turn]) >= REASON_WORDS and not asks(turn.text)
            for turn in self.call.by("agent")[1:]
            if turn.turn not in but
        )

    # ------------------------------------------------------------ claims

    def claim(self, quote: Evidence, who: str) -> Claim:
        """Return a claim of a side's own words; of nobody's where nobody knows whose they are."""
        return claim_of(quote, self.name(quote.turn, who))

    def name(self, turn: int, who: str) -> str:
        """Return the name under which a turn is quoted: `who`, if it is known that they spoke."""
        return NOBODY if self.call.side(self.call.turn(turn)) == "unknown" else who

    def reason(self, openings: Sequence[int]) -> Claim | None:
        for number in openings:
            cued = [
                match
                for cue in cues().need
                for match in self.call.find(parse(cue), "customer")
                if match.first.turn == match.last.turn == number
            ]
            if len(self.call.turn(number).words) <= 40 or not cued:
                return self.claim(self.call.whole(number), "Caller")
            first = min(cued, key=lambda match: match.first.word)
            return self.claim(self.call.evidence(first.first, first.last)[0], "Caller")
        return None

    def actions(self, but: frozenset[int]) -> tuple[Claim, ...]:
        """Return what the agent says was done."""
        found: dict[tuple[int, str], Claim] = {}
        begun = frozenset(cues().begun)
        for match in self.said((*cues().begun, *cues().done), "agent", but):
            quote, inside = self.call.sentence(match.first, match.last)
            rest = after(inside, match.last)[:2]
            within = [t.text for t in inside if match.first.word <= t.word <= match.last.word]
            if asks(quote.quote) or "not" in [token.text for token in rest] or _may(within):
                continue
            if within[0] in ("i", "we") and _IS & {*within} and not within[-1].endswith("ing"):
                continue  # "we are closed" is no deed
            if match.phrase in begun and not any(is_participle(token.text) for token in rest):
                continue
            found.setdefault((quote.turn, quote.quote), self.claim(quote, "Agent"))
        return tuple(without_repeats(found.values()))

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


def _may(texts: Sequence[str]) -> bool:
    """Tell whether something can or will be done instead of being done: `i can reset it`."""
    return any(text in _MAY for text in texts)


_IS = vocabulary("am are was were")
_MAY = vocabulary("can could will would shall should may might must")
