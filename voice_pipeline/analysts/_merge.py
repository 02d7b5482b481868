"""From what a model answered to a note: it adds statements and words, and takes nothing away.

The offline note stands below. Request type, route, flags, measures and whatever was missing stay as
they are there; outcome and mood can only become more careful. Every statement of the model carries
whole sentences of the call, and where its wording says more than they do, they are shown instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from voice_pipeline.analysts._quotes import NOBODY, is_plain
from voice_pipeline.analysts._reply import Cited, Ending, Feeling, Item, Promised, Reply
from voice_pipeline.analysts._room import Room
from voice_pipeline.claims import fault
from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    Claim,
    Commitment,
    Concern,
    Evidence,
    Mood,
    RedactedTurn,
    RequestType,
    Unverified,
)
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.dates import dues
from voice_pipeline.spoken.support import asks, denies, modes, reports, unsaid
from voice_pipeline.spoken.words import Token, comparable, tokens

QUESTIONS, CONCERNS = 4, 6  # at most
CITES = 3  # quotes of one statement
UNVERIFIED = 12  # failed statements that are shown
TRUSTED = 0.5  # share of a reply's statements that must hold, or none of it is used
_NAMES = {"agent": "Agent", "customer": "Customer", "unknown": NOBODY}
_SUBJECTS = {"agent": "agent", "customer": "customer", "caller": "customer"}
# How bad an ending is; a model can move a note down this list and never up.
_ENDINGS = ("resolved", "partial", "unresolved")

AnyClaim = TypeVar("AnyClaim", Claim, Commitment)


@dataclass(slots=True)
class Tally:
    """How a reply's statements fared."""

    given: int = 0
    held: int = 0
    quoted: int = 0  # of those held, shown by their quotes because the wording said more
    failed: dict[Unverified, None] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.held / self.given if self.given else 0.0


class Merger:
    """Joins the replies about one call with the offline note of that call."""

    def __init__(
        self,
        call: Conversation,
        hostile: frozenset[int],
        today: date | None,
        categories: frozenset[str],
        labels: frozenset[str],
        room: Room,
    ) -> None:
        self._call, self._hostile, self._today = call, hostile, today
        self._categories, self._labels, self._room = categories, labels, room
        self._turns: dict[int, RedactedTurn] = {turn.turn: turn for turn in call.turns}
        self.tally = Tally()

    def note(self, base: CaseNote, replies: Sequence[Reply]) -> CaseNote:
        """Return the offline note with what the replies add; what failed is under `unverified`."""
        reasons = self._claims(replies[0].reason[:1], "customer")
        summary = self._claims(_summary(replies))
        facts = self._claims(item for reply in replies for item in reply.facts)
        actions = self._claims((i for r in replies for i in r.actions), "agent", done=True)
        promised = self._promises(item for reply in replies for item in reply.commitments)
        questions = self._claims((i for r in replies for i in r.open_questions), "customer")
        leaving = self._claims((i for r in replies for i in r.cancellation_reason[:1]), "customer")
        typed = [claim for claim in base.facts if not is_plain(claim)]
        return replace(
            base,
            request_type=self._agreed(base.request_type, replies[0].request_type),
            reason=reasons[0] if reasons else base.reason,
            summary=tuple(summary[: self._room.summary]) or base.summary,
            facts=self._joined(typed, facts or base.facts, self._room.facts),
            actions=self._joined(base.actions, actions, self._room.actions),
            commitments=self._joined(base.commitments, promised, self._room.commitments),
            outcome=self._ending(base.outcome, replies),
            open_questions=self._joined(base.open_questions, questions, QUESTIONS),
            cancellation_reason=base.cancellation_reason or next(iter(leaving), None),
            mood_start=self._mood(base.mood_start, replies[0].sentiment_start),
            mood_end=self._mood(base.mood_end, replies[-1].sentiment_end),
            concerns=self._concerns(replies),
            unverified=(*base.unverified, *list(self.tally.failed)[:UNVERIFIED]),
        )

    def agrees(self, base: CaseNote, replies: Sequence[Reply]) -> dict[str, bool]:
        """Return where model and rules say the same: the only confidence that means something."""
        return {
            "request_type": replies[0].request_type == base.request_type.label,
            "outcome": _last_ending(replies).value == base.outcome.value,
        }

    def _joined(
        self, base: Sequence[AnyClaim], added: Sequence[AnyClaim], most: int
    ) -> tuple[AnyClaim, ...]:
        """Return all of `base` and what `added` quotes beside it, in the order of the call."""
        joined = list(base)
        for claim in added:
            if len(joined) < most and not any(_same(claim, other) for other in base):
                joined.append(claim)
        joined.sort(key=lambda claim: self._call.place.get(claim.evidence[0].turn, 0))
        return tuple(joined)

    # ------------------------------------------------------------ statements

    def _claims(
        self, items: Iterable[Item], side: str | None = None, *, done: bool = False
    ) -> list[Claim]:
        found: dict[tuple[str, ...], Claim] = {}
        for item in items:
            evidence = self._evidence(item.evidence, side)
            given = Claim(item.text, evidence)
            why = self._refused(given, side)
            if not why and done and any(asks(quote.quote) for quote in evidence):
                why = "question"
            if self._failed(given, why):
                continue
            claim = Claim(self._worded(item.text, evidence), evidence)
            found.setdefault(tuple(quote.quote for quote in evidence), claim)
        return list(found.values())

    def _promises(self, items: Iterable[Promised]) -> list[Commitment]:
        found: dict[str, Commitment] = {}
        for item in items:
            evidence = self._evidence(item.evidence, item.who)[:1]
            quote = evidence[0].quote if evidence else ""
            nobodys = bool(evidence) and self._side(evidence[0].turn) == "unknown"
            who = "unknown" if nobodys else item.who
            points = dues(tokens(item.due_text.split()), self._today)
            promise = Commitment(
                text=f"{_NAMES[who]}: {quote}",
                evidence=evidence,
                who=who,
                what=item.what.rstrip(".,;!"),
                due=points[0].on if points else None,
                due_text=item.due_text.rstrip(".,;!"),
            )
            why = self._refused(promise, who)
            if not why and unsaid(item.what, [quote]):
                why = "wording"
            shown = Claim(f"{_NAMES[who]}: {item.what}", evidence)
            if not self._failed(shown, why):
                found.setdefault(quote, promise)
        return list(found.values())

    def _refused(self, claim: Claim | Commitment, side: str | None) -> str | None:
        if any(quote.turn in self._hostile for quote in claim.evidence):
            return "instruction"
        return fault(claim, self._turns, (side,) if side else ())

    def _failed(self, claim: Claim, why: str | None) -> bool:
        self.tally.given += 1
        self.tally.texts.append(claim.text)
        if why is None:
            self.tally.held += 1
            return False
        self.tally.failed[Unverified(claim.text, claim.evidence, why)] = None
        return True

    def _evidence(self, cites: Sequence[Cited], side: str | None = None) -> tuple[Evidence, ...]:
        """Return the cited words as the whole sentences they stand in, with their times.

        A model that quotes `promise a refund` out of `i can not promise a refund` quotes nothing.
        """
        found = [self._sentence(cite) for cite in cites[:CITES]]
        mine = [quote for quote in found if side and self._side(quote.turn) in (side, "unknown")]
        return tuple(dict.fromkeys(mine or found))

    def _sentence(self, cite: Cited) -> Evidence:
        turn = self._turns.get(cite.turn)
        wanted = [form for word in cite.quote.split() for form in comparable(word)]
        if turn is None or not wanted:
            return Evidence(cite.turn, cite.quote)
        said = [
            (form, place) for place, word in enumerate(turn.words) for form in comparable(word.text)
        ]
        for at in range(len(said) - len(wanted) + 1):
            if [form for form, _ in said[at : at + len(wanted)]] == wanted:
                first, last = said[at][1], said[at + len(wanted) - 1][1]
                return self._call.sentence(
                    Token(wanted[0], turn.turn, first), Token(wanted[-1], turn.turn, last)
                )[0]
        return Evidence(cite.turn, cite.quote)

    def _worded(self, text: str, evidence: Sequence[Evidence]) -> str:
        """Return the model's sentence if it says what the quotes say, else the quotes; and by whom.

        Who said it is written in code: a caller's words never stand there as the agent's.
        """
        quotes = [quote.quote for quote in evidence]
        sides = {self._side(quote.turn) for quote in evidence}
        subject = _subject(text)
        said = " ".join(quotes)
        if (
            not text
            or unsaid(text, quotes)
            or modes(text) != modes(said)
            or denies(text) != denies(said)
            or reports(text) != reports(said)
            or (subject and subject not in sides)
        ):
            self.tally.quoted += 1
            text, subject = " / ".join(quotes), None
        if subject is None and len(sides) == 1 and (name := _NAMES.get(next(iter(sides)))):
            return f"{name}: {text}"
        return text

    def _side(self, turn: int) -> str:
        return self._call.side(self._turns[turn]) if turn in self._turns else ""

    # ------------------------------------------------------------ what a model can only darken

    def _agreed(self, offline: RequestType, proposed: str) -> RequestType:
        """A proposal that differs leaves the label and hands the decision to a person.

        Not on a call on which somebody speaks to the machine: there the proposal may be his.
        """
        if self._hostile or proposed not in self._labels or proposed == offline.label:
            return offline
        return replace(offline, decision="human")

    def _ending(self, offline: CallOutcome, replies: Sequence[Reply]) -> CallOutcome:
        ending = _last_ending(replies)
        if ending.value == "unclear" or self._hostile:
            return offline
        known = offline.value if offline.value in _ENDINGS else "resolved"
        if _ENDINGS.index(ending.value) <= _ENDINGS.index(known):
            return offline
        evidence = self._proven(ending.evidence)
        return CallOutcome(ending.value, evidence) if evidence else offline

    def _mood(self, offline: Mood | None, feeling: Feeling) -> Mood | None:
        if offline is None or offline.value != "neutral" or feeling.value != "negative":
            return offline
        evidence = self._proven(feeling.evidence, "customer")
        return Mood("negative", evidence) if evidence else offline

    def _concerns(self, replies: Sequence[Reply]) -> tuple[Concern, ...]:
        found: dict[str, Concern] = {}
        for reply in replies:
            for concern in reply.concerns:
                evidence = self._proven(concern.evidence)
                if concern.category in self._categories and evidence:
                    found.setdefault(concern.category, Concern(concern.category, evidence))
        return tuple(found.values())[:CONCERNS]

    def _proven(self, cites: Sequence[Cited], side: str | None = None) -> tuple[Evidence, ...]:
        """Return evidence that holds in full, or nothing."""
        evidence = self._evidence(cites, side)
        claim = Claim(" ".join(quote.quote for quote in evidence), evidence)
        return () if self._refused(claim, side) else evidence


def _summary(replies: Sequence[Reply]) -> list[Item]:
    """Return the statements on top: those of the first window, then how the last one ends."""
    if len(replies) == 1:
        return list(replies[0].summary)
    return [*replies[0].summary[:1], *replies[-1].summary[-2:], *replies[0].summary[1:]]


def _last_ending(replies: Sequence[Reply]) -> Ending:
    known = [reply.outcome for reply in replies if reply.outcome.value != "unclear"]
    return known[-1] if known else replies[-1].outcome


def _subject(text: str) -> str | None:
    words = [token.text for token in tokens(text.split()[:2])]
    return _SUBJECTS.get(next((word for word in words if word != "the"), ""))


def _same(a: Claim | Commitment, b: Claim | Commitment) -> bool:
    """Tell whether two statements rest on the same words of one turn."""
    return any(
        x.turn == y.turn and (x.quote in y.quote or y.quote in x.quote)
        for x in a.evidence
        for y in b.evidence
    )
