"""Reads reason, facts, actions and commitments out of a call, each as a verbatim quote.

A form, not prose: selecting sentences and rewriting them by rules changes meanings. What a caller
says to the machine that reads the call is left out of the note; the rules flag it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from voice_pipeline.analysts._cues import cues
from voice_pipeline.domain import Claim, Commitment, Evidence
from voice_pipeline.policy.pack import Pack, RequestKind
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.dates import Due, dues
from voice_pipeline.spoken.numbers import NOT_MONEY, numbers
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.words import Token, vocabulary

MOST_FACTS = 12
FILLED_FACTS = 7  # up to this many, other statements are quoted as well
STATEMENT_WORDS = 5
MOST_ACTIONS = 6
MOST_COMMITMENTS = 6
REASON_WORDS = 4  # fewer words are no reason but a greeting or an answer
HOSTILE = ("instruction_words", "outcome_orders")  # signals whose speech is not for the note

_IRREGULAR = vocabulary(
    "sent put made taken written paid given set reset done spoken begun told found cut "
    "built drawn sold bought left"
)
_NO_ACTION = vocabulary(
    "noticed received needed wanted tried asked expected looked checked heard called "
    "promised mentioned offered found told spoken left"
)
_ASKING = vocabulary(
    "can could will would shall do does did is are have has what which who when where how why"
)
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
            len(self.call.tokens[turn.turn]) >= REASON_WORDS and not _asks(turn.text)
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
                return _claim(self.call.whole(number), "Caller")
            first = min(cued, key=lambda match: match.first.word)
            return _claim(self.call.evidence(first.first, first.last)[0], "Caller")
        return None

    def facts(self, but: frozenset[int], skip: frozenset[int]) -> tuple[Claim, ...]:
        """Return amounts, dates, references and statements, first the caller's trouble."""
        claims: dict[tuple[int, str], tuple[int, Claim]] = {}
        for rank, side, phrases in ((0, "customer", cues().problem), (2, "agent", cues().stated)):
            for match in self.said(phrases, "customer" if side == "customer" else "agent", but):
                quote, inside = self.call.sentence(match.first, match.last)
                if len(inside) >= REASON_WORDS and not _asks(quote.quote) and not _redacted(inside):
                    claims.setdefault(
                        (quote.turn, quote.quote), (rank, _claim(quote, side.title()))
                    )
        for turn in self.call.turns:
            if turn.turn in but:
                continue
            for label, first, last in self._values(self.call.tokens[turn.turn]):
                quote, inside = self.call.sentence(first, last)
                spoken = " ".join(
                    word.text for word in turn.words[first.word : last.word + 1]
                ).rstrip(".,;?!")
                if label == "When" and (turn.turn in skip or _asks(quote.quote)):
                    continue
                claims.pop((quote.turn, quote.quote), None)
                claim = Claim(f"{label}: {spoken}. {quote.quote}", (quote,))
                claims.setdefault((-turn.turn - 1, f"{label} {spoken.lower()}"), (1, claim))
        for quote in self._statements(but):
            who = "Agent" if self.call.side(self.call.turn(quote.turn)) == "agent" else "Customer"
            claims.setdefault((quote.turn, quote.quote), (3, _claim(quote, who)))
        best = sorted(
            claims.values(), key=lambda found: (found[0], self.call.place[_turn(found[1])])
        )
        fresh = [claim for _, claim in best if _turn(claim) not in skip or not _plain_quote(claim)]
        kept = _without_repeats(fresh)
        cued = sum(rank < 3 for rank, _ in best)
        kept = kept[: min(MOST_FACTS, max(FILLED_FACTS, cued))]
        return tuple(sorted(kept, key=lambda claim: self.call.place[_turn(claim)]))

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
                    and not _asks(quote.quote)
                    and not _redacted(inside)
                ):
                    yield quote

    def _values(self, said: list[Token]) -> Iterator[tuple[str, Token, Token]]:
        """Yield label, first and last token of the values in a turn; a corrected one is dropped."""
        found: list[tuple[str, int, int]] = []
        for number in numbers(said):
            around = {token.text for token in said[max(0, number.first - 6) : number.first]}
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

    def actions(self, but: frozenset[int]) -> tuple[Claim, ...]:
        """Return what the agent says was done."""
        found: dict[tuple[int, str], Claim] = {}
        begun = frozenset(cues().begun)
        for match in self.said((*cues().begun, *cues().done), "agent", but):
            quote, inside = self.call.sentence(match.first, match.last)
            after = _after(inside, match.last)[:2]
            if _asks(quote.quote) or "not" in [token.text for token in after]:
                continue
            if match.phrase in begun and not any(_participle(token.text) for token in after):
                continue
            found.setdefault((quote.turn, quote.quote), _claim(quote, "Agent"))
        return tuple(_without_repeats(found.values()))[:MOST_ACTIONS]

    def commitments(self, but: frozenset[int]) -> tuple[Commitment, ...]:
        """Return who promised what until when."""
        found: dict[tuple[int, str], Commitment] = {}
        for who, phrases in (
            ("agent", cues().promised),
            ("customer", cues().customer_promised),
        ):
            for match in self.said(phrases, "agent" if who == "agent" else "customer", but):
                quote, inside = self.call.sentence(match.first, match.last)
                if _asks(quote.quote) or not self._is_promise(match, inside):
                    continue
                due = self._due(match, inside)
                words = [word.text for word in self.call.turn(quote.turn).words]
                due_text = (
                    " ".join(words[inside[due.first].word : inside[due.last].word + 1])
                    if due
                    else ""
                )
                what = " ".join(words[match.first.word : inside[-1].word + 1]).rstrip(".,;!")
                key = (quote.turn, quote.quote)
                if key in found and (found[key].due_text or not due):
                    continue
                found[key] = Commitment(
                    text=f"{who.title()}: {quote.quote}",
                    evidence=(quote,),
                    who=who,
                    what=what,
                    due=due.on if due else None,
                    due_text=due_text.rstrip(".,;!"),
                )
        promised = sorted(found.values(), key=lambda promise: self.call.place[_turn(promise)])
        return tuple(_without_repeats(promised))[:MOST_COMMITMENTS]

    def _is_promise(self, match: Match, inside: list[Token]) -> bool:
        after = " ".join(token.text for token in _after(inside, match.last)[:5])
        texts = [token.text for token in inside]
        if "if" in texts[: max(0, _index(inside, match.first))][-6:]:
            return False
        dated = self._due(match, inside) is not None
        if match.last.text not in ("will", "shall", "to", "sure"):
            return dated or match.last.text in ("call", "letter", "refund", "replacement")
        empty = any(
            f"{after} ".startswith(words.replace("_", " ") + " ")
            for words in cues().no_promise.split()
        )
        if match.first.text in ("it", "you") and not dated:
            return any(
                after.startswith(verb)
                for verb in ("receive", "get", "hear", "be refunded", "be credited")
            )
        return bool(after) and not empty

    def _due(self, match: Match, inside: list[Token]) -> Due | None:
        points = dues(inside, self.today)
        start = _index(inside, match.first)
        return next((due for due in points if due.last >= start), points[-1] if points else None)

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


def _claim(quote: Evidence, who: str) -> Claim:
    return Claim(f"{who}: {quote.quote}", (quote,))


def _turn(claim: Claim | Commitment) -> int:
    return claim.evidence[0].turn


def _plain_quote(claim: Claim) -> bool:
    return claim.text.partition(":")[0] in ("Caller", "Customer", "Agent")


def _asks(text: str) -> bool:
    first = text.split(maxsplit=1)[0].lower() if text else ""
    return text.endswith("?") or (first in _ASKING and not text.endswith("."))


def _redacted(inside: Sequence[Token]) -> bool:
    """Tell whether a sentence is mostly placeholders: an answer to an identity question."""
    hidden = sum(token.text.startswith("[") for token in inside)
    return hidden > 0 and len(inside) - hidden < REASON_WORDS + 1


def _participle(text: str) -> bool:
    return (text.endswith("ed") or text in _IRREGULAR) and text not in _NO_ACTION


def _after(inside: Sequence[Token], last: Token) -> list[Token]:
    return [token for token in inside if token.word > last.word]


def _index(inside: Sequence[Token], token: Token) -> int:
    return next((place for place, other in enumerate(inside) if other.word >= token.word), 0)


def _without_repeats(claims: Iterable[Any]) -> list[Any]:
    """Drop a claim whose quote says what another one's has said already."""
    kept: list[Any] = []
    seen: list[tuple[str, str, frozenset[str]]] = []
    for claim in claims:
        label = claim.text.partition(":")[0]
        quote = claim.evidence[0].quote
        words = frozenset(quote.lower().split())
        value = claim.text.partition(":")[2].partition(". ")[0].strip().lower()
        if any(
            (label == other and value == past)
            or (_same_kind(label, other) and words and len(words & old) / len(words | old) > SAME)
            for other, past, old in seen
        ):
            continue
        seen.append((label, value, words))
        kept.append(claim)
    return kept


SAME = 0.7  # share of words from which two quotes say the same


def _same_kind(a: str, b: str) -> bool:
    people = ("Caller", "Customer", "Agent")
    return a in people and b in people
