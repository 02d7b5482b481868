"""Reads reason, facts, actions and commitments out of a call, each as a verbatim quote.

A form, not prose: selecting sentences and rewriting them by rules changes meanings. What a caller
says to the machine that reads the call is left out of the note; the rules flag it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from voice_pipeline.domain import Claim, Commitment, Evidence
from voice_pipeline.policy.pack import Pack, RequestKind
from voice_pipeline.spoken.conversation import Conversation, Side
from voice_pipeline.spoken.dates import Due, dues
from voice_pipeline.spoken.numbers import NOT_MONEY, numbers
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.words import Token

MOST_FACTS = 12
MOST_ACTIONS = 6
MOST_COMMITMENTS = 6
REASON_WORDS = 4  # fewer words are no reason but a greeting or an answer
HOSTILE = ("instruction_words", "outcome_orders")  # signals whose speech is not for the note

NEED = (
    "i want|need|require", "i would like", "want|need|like to", "i am calling|ringing|phoning",
    "calling|ringing|phoning about|because|to|regarding", "i have a|an problem|question|issue",
    "can|could you (please) help|tell|check|send|change|explain", "can|could i (please)",
    "problem|trouble|issue with", "my ... has|is|was|have|are|had not|been|gone|down|broken|dead",
    "there is|are (a|an|some) charge|problem|issue|payment|transaction|payments|transactions",
    "not|never working|work|arrived|received|come|recogni*|get|understand|got|sign|signed",
    "charged|billed|lost|stolen|moved|moving|forgot|forgotten|died|passed|broken|cancelled|locked",
    "i was|have been charged|told|billed|scammed|waiting|trying", "you keep|took|have|charged|sent",
    "someone|somebody|man|woman ... called|used|told|said", "how do i", "when|where|what is|are|can",
    "looking for|to", "i had an|a", "wondering|enquir*|inquir*", "it is about",
)  # fmt: skip
PROBLEM = (
    "not|never|nobody|nothing working|work|works|arrived|come|came|received|called|signed|hurt|fixed",
    "is|been|went|has|have|are (still) dead|down|broken|damaged|missing|lost|late|wrong|faulty|worse",
    "no hot|signal|water|heating|power|internet", "charged twice", "gone up",
    "died|passed_away", "stolen|hacked|scammed", "sent|gave|paid|lost ... money|code|pounds|dollars",
    "said (he|she|they) was|were from", "told me|us (to|that)", "do not have", "third|second|fourth time|call",
    "last week|time|month", "accident|crash|leak|flood|fire", "i never", "stop sending|calling",
    "another company", "want|need ... cop*|form|refund|money|manager|data|engineer", "because",
    "will take you", "live on|alone", "offered me", "lost my", "in hospital",
)  # fmt: skip
STATED = (
    "i|we can see", "says|said that", "there is|are", "we need", "you need to", "it takes|will_take",
    "takes", "open|closed (from|on|all|until)", "costs|cost", "the (full) price", "can offer you",
    "is|are free", "is|are|was|were (a) holiday", "left it|at", "the amount", "looks like",
    "will be|have|get|receive|come|start|go|send|delete|write", "starts on", "can not", "we have to",
    "send it to", "is|was delivered|due|overdue|scheduled|booked|available|active",
)  # fmt: skip
DONE = (
    "i|we have (just|now|also|already)", "i|we (just|now|also) cancelled|canceled|sent|ordered|booked|changed|reset|processed|issued|credited|refunded|updated|blocked|stopped|raised|opened|closed|removed|added|arranged|transferred|submitted|logged|applied|waived|scheduled|registered|replaced|started|escalated|put|made|took|placed|reported|filed|created|reactivated|unlocked|corrected",
    "has|have (now|just|already) been", "that|it|this|you is|are (all|now) done|sorted|set|sent|cancelled|canceled|booked|updated|changed|processed|removed|complete|completed|fixed|active",
    "i am|we are (just|now) cancelling|canceling|sending|ordering|booking|changing|resetting|processing|issuing|crediting|refunding|updating|blocking|stopping|raising|opening|closing|removing|adding|arranging|transferring|submitting|logging|applying|waiving|scheduling",
)  # fmt: skip
_IRREGULAR = frozenset(
    ["sent", "put", "made", "taken", "written", "paid", "given", "set", "reset", "done", "spoken", "begun", "told", "found", "cut", "built", "drawn", "sold", "bought", "left"]
)
_NO_ACTION = frozenset(
    ["noticed", "received", "needed", "wanted", "tried", "asked", "expected", "looked", "checked", "heard", "called", "promised", "mentioned", "offered", "found", "told", "spoken", "left"]
)
PROMISED = (
    "i|we|he|she|they|it|you|someone|somebody|colleague|manager|team|department|engineer|technician|specialist|advisor|supervisor|driver|copies|refund|money|parcel|package|replacement|letter|form|card will|shall",
    "i|we|they|he|she am|are|is going to", "i|we|they (will) make_sure",
    "i|we can send|call|book|arrange|refund|offer|have|get|put|schedule|deliver",
    "let me call|send|arrange|get",
    "to call|send|contact you by|on|tomorrow|within|before", "expect a|an|the call|letter|email|refund|delivery|parcel",
)  # fmt: skip
CUSTOMER_PROMISED = (
    "i|we will (then|also|just) send|call|ring|pay|bring|come|return|email|post|transfer|check|drop|fill|upload|stay",
    "i am going to send|call|pay|bring|return|email",
)
_EMPTY_AFTER_WILL = ["help", "need", "not", "spell", "read", "ask_you", "try_to_help", "explain", "see", "say", "just_take", "take_your", "take_a", "have_a", "be_happy", "be_able_to_help", "be_with", "be_right", "bear", "put_you", "transfer_you", "wait", "hold", "look_at_that_now", "tell_you", "have_to", "be_glad", "want", "never", "miss", "call_it"]  # fmt: skip
_CORRECTED = frozenset(["no", "sorry", "actually", "wait", "mean", "rather", "correction"])
_REFERENCE_CUES = frozenset(
    ["order", "reference", "booking", "reservation", "tracking", "ticket", "case", "claim", "confirmation", "payment", "invoice", "incident", "job"]
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
        cued = {match.first.turn for match in self.said(NEED, "customer", but)}
        return [turn.turn for turn in early if turn.turn in cued] + [
            turn.turn for turn in early if turn.turn not in cued
        ]

    # ------------------------------------------------------------ claims

    def reason(self, openings: Sequence[int]) -> Claim | None:
        for number in openings:
            cued = [
                match
                for cue in NEED
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
        for rank, side, cues in ((0, "customer", PROBLEM), (2, "agent", STATED)):
            for match in self.said(cues, "customer" if side == "customer" else "agent", but):
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
                claim = Claim(f"{label}: {spoken}. {quote.quote}", (quote,))
                claims.setdefault((-turn.turn - 1, f"{label} {spoken.lower()}"), (1, claim))
        best = sorted(
            claims.values(), key=lambda found: (found[0], self.call.place[_turn(found[1])])
        )
        fresh = [claim for _, claim in best if _turn(claim) not in skip or not _plain_quote(claim)]
        kept = _without_repeats(fresh)[:MOST_FACTS]
        return tuple(sorted(kept, key=lambda claim: self.call.place[_turn(claim)]))

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
        for match in self.said(DONE, "agent", but):
            quote, inside = self.call.sentence(match.first, match.last)
            after = _after(inside, match.last)[:2]
            if _asks(quote.quote) or "not" in [token.text for token in after]:
                continue
            last = match.last.text
            if last in ("have", "been", "just", "now", "also", "already") and not any(
                _participle(token.text) for token in after
            ):
                continue
            found.setdefault((quote.turn, quote.quote), _claim(quote, "Agent"))
        return tuple(_without_repeats(found.values()))[:MOST_ACTIONS]

    def commitments(self, but: frozenset[int]) -> tuple[Commitment, ...]:
        """Return who promised what until when."""
        found: dict[tuple[int, str], Commitment] = {}
        for who, cues in (("agent", PROMISED), ("customer", CUSTOMER_PROMISED)):
            for match in self.said(cues, "agent" if who == "agent" else "customer", but):
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
            (after + " ").startswith(words.replace("_", " ") + " ") for words in _EMPTY_AFTER_WILL
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
        kinds = {
            "money" if number.kind == "money" else number.kind
            for said in self.call.tokens.values()
            for number in numbers(said)
        }
        if any(dues(said, None) for said in self.call.tokens.values()):
            kinds.add("date")  # type: ignore[arg-type]
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
    asking = first in ("can", "could", "will", "would", "shall", "do", "does", "did", "is", "are",
                       "have", "has", "what", "which", "who", "when", "where", "how", "why")  # fmt: skip
    return text.endswith("?") or (asking and not text.endswith("."))


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
