"""Reads what else the caller wanted, what stayed unanswered, and why somebody leaves.

Each is quoted with its turn. It leaves out what it is not sure of: a question counts as open only
where the agent says so or says nothing more, a further request only where the gates are passed.
"""

from __future__ import annotations

from collections.abc import Iterator

from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._intent import Intent, Intents
from voice_pipeline.analysts._quotes import asks, claim_of, is_redacted, without_repeats
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import Claim, Evidence, OtherRequest
from voice_pipeline.spoken.conversation import is_back_channel
from voice_pipeline.spoken.phrases import parse
from voice_pipeline.spoken.words import Token

MOST_OTHERS = 2
READ = 12  # turns that may carry a further request and are classified
REQUEST_WORDS = 5
SAID_SO = 0.4  # confidence that is enough where the caller says that it is a further request
MOST_QUESTIONS = 4
QUESTION_WORDS = 4
LEAVING = ("cancellation_words", "retention_words")  # signals of somebody who leaves


def others(
    reader: Reader, model: Intents, main: Intent, but: frozenset[int]
) -> tuple[OtherRequest, ...]:
    """Return further requests, each with the turn that decided."""
    call = reader.call
    cued = dict.fromkeys(m.first.turn for m in reader.said(cues().need, "customer", but))
    marked = {m.first.turn for m in reader.said(cues().further, "customer", but)}
    asking = {m.first.turn for m in reader.said(cues().asks_for, "customer", but)}
    found: dict[str, OtherRequest] = {}
    for turn in [turn for turn in (*marked, *cued) if turn != main.turn][:READ]:
        follow_up = asks(call.turn(turn).text) and turn not in asking
        if len(call.tokens[turn]) < REQUEST_WORDS or follow_up:
            continue
        intent = model.of_texts([call.turn(turn).text], [turn])
        kind = reader.pack.kind(intent.label)
        if kind is None or kind.gives_way or not kind.automatic or intent.label == main.label:
            continue
        said_so = turn in marked or (turn in asking and bool(marked))
        if intent.decision == "auto" or (said_so and intent.confidence >= SAID_SO):
            best = found.get(intent.label)
            if best is None or intent.confidence > best.confidence:
                found[intent.label] = OtherRequest(
                    intent.label, round(intent.confidence, 3), (call.whole(turn),)
                )
    ranked = sorted(found.values(), key=lambda other: -other.confidence)
    return tuple(ranked[:MOST_OTHERS])


def open_questions(reader: Reader, but: frozenset[int]) -> tuple[Claim, ...]:
    """Return what the customer asked and nobody answered."""
    found = [
        claim_of(quote, "Customer")
        for quote in _questions(reader, but)
        if not _answered(reader, quote.turn)
    ]
    return tuple(without_repeats(found))[-MOST_QUESTIONS:]


def _questions(reader: Reader, but: frozenset[int]) -> Iterator[Evidence]:
    for turn in reader.call.by("customer"):
        if turn.turn in but or reader.call.side(turn) != "customer":
            continue
        for quote, inside in reader.sentences(turn.turn):
            if len(inside) >= QUESTION_WORDS and asks(quote.quote) and not is_redacted(inside):
                yield quote


def _answered(reader: Reader, turn: int) -> bool:
    """Tell whether the agent answers: what comes next says something and is no evasion."""
    call = reader.call
    for later in call.turns[call.place[turn] + 1 :]:
        if call.side(later) != "agent" or is_back_channel(call.tokens[later.turn]):
            continue
        evasive = any(
            match.first.turn == later.turn
            for phrase in cues().unanswered
            for match in call.find(parse(phrase), "agent")
        )
        return not evasive
    return False


def leaving_reason(reader: Reader, main: Intent, but: frozenset[int]) -> Claim | None:
    """Return why a customer who leaves, or says so, does it; None where nobody leaves."""
    if main.label != "cancellation" and not reader.signalled(LEAVING, but):
        return None
    ranked: list[tuple[int, int, Evidence]] = []
    for rank, phrase in enumerate(cues().leaving):
        for match in reader.call.find(parse(phrase), "customer"):
            if match.first.turn in but or match.first.turn != match.last.turn:
                continue
            quote, inside = reader.call.sentence(match.first, match.last)
            if not asks(quote.quote) and _says_why(inside):
                ranked.append((rank, reader.call.place[quote.turn], quote))
    if not ranked:
        return None
    return reader.claim(min(ranked, key=lambda found: found[:2])[2], "Customer")


def _says_why(inside: list[Token]) -> bool:
    return len(inside) >= QUESTION_WORDS and not is_redacted(inside)
