"""Computes the typed facts that rules look at, each with the turns it rests on.

Signals (phrases of the pack), amounts near a refund, and what note and transcript say of
themselves. Where nobody knows who speaks, words count for either side. It errs towards finding: a
rule that fires once too often costs a look, a missed one costs a customer. What somebody says on a
call is data here and can switch nothing off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from voice_pipeline.domain import CaseNote, Evidence, RedactedTranscript, music_seconds
from voice_pipeline.policy.pack import Pack, Signal
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.dates import MONTHS, dues
from voice_pipeline.spoken.numbers import NOT_MONEY, Number, numbers
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.words import Token

Value = bool | float | str | tuple[str, ...]
Type = Literal["yes/no", "number", "text", "list"]

REFUND_WORDS = "refund_words"  # the signal that makes an amount a refund
HOSTILE = ("instruction_words", "outcome_orders")  # signals of speech to the machine
REFUND_REACH = 30  # words between a refund word and its amount: about two turns
SMALLEST_BARE_AMOUNT = 10.0  # smaller numbers without a unit are counts
MAX_EVIDENCE = 3  # quotes for one fact

# What rules may name beside the pack's signals and thresholds.
COMPUTED: Mapping[str, tuple[Type, str]] = {
    "refund_amount": ("number", "largest amount named near a refund word, 0 when none"),
    "outcome": ("text", "resolved, partial, unresolved or unclear, as the note says"),
    "request_type": ("text", "label of the note's request type"),
    "request_decision": ("text", "auto, or human when no gate was passed"),
    "request_confidence": ("number", "0 to 1"),
    "word_confidence": ("number", "mean confidence of the words, 0 to 1"),
    "caller_words": ("number", "words the customer said"),
    "agent_words": ("number", "words the agent said"),
    "agent_commitments": ("number", "promises of the agent in the note, or of nobody known"),
    "unverified_claims": ("number", "claims of the note that failed verification"),
    "missing_information": ("number", "things the request type needs and nobody said"),
    "hold_seconds": ("number", "seconds of hold music on the call"),
    "roles_uncertain": ("yes/no", "it is not known, or only guessed, who is agent and customer"),
    "redacted_labels": ("list", "labels of the placeholders in the transcript"),
    "language": ("text", "ISO 639-1"),
    "earlier_contacts": ("number", "calls with the same customer reference shortly before"),
    "open_tickets": ("number", "open tickets of the customer, where the CRM was asked"),
}
# Known only after the rules have run: for the review reasons of routing.yaml.
AFTER_RULES: Mapping[str, tuple[Type, str]] = {
    "flags": ("list", "categories of the rules that fired"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One value that rules look at, with what it rests on."""

    name: str
    value: Value
    evidence: tuple[Evidence, ...] = ()
    by_unknown: bool = False  # it takes one side's words, and nobody knows that they are


Facts = Mapping[str, Fact]


def types(pack: Pack) -> dict[str, Type]:
    """Return the type of every fact that a rule of this pack may name."""
    known: dict[str, Type] = {name: type_ for name, (type_, _) in COMPUTED.items()}
    known.update({signal.id: "yes/no" for signal in pack.signals})
    known.update(dict.fromkeys(type(pack.thresholds).model_fields, "number"))
    return known


def gather(
    transcript: RedactedTranscript,
    note: CaseNote,
    metadata: Mapping[str, str],
    pack: Pack,
    wanted: Collection[str] | None = None,
    context: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Fact]:
    """Compute the facts of a call.

    Args:
        context: what was known of the customer when the call ended.
        metadata: CONTRACTS' keys; `refund_limit` overrides the pack's threshold.
        wanted: names of the signals to look for; None is all of them.
    """
    call = Conversation(transcript)
    found = {name: Fact(name, float(value)) for name, value in pack.thresholds}
    limit = metadata.get("refund_limit", "")
    if _is_amount(limit):
        found["refund_limit"] = Fact("refund_limit", float(limit))
    matches: dict[str, list[Match]] = {}
    for signal in _in_order(_needed(pack.signals, wanted)):
        matches[signal.id] = list(_matches(call, signal, matches))
        found[signal.id] = Fact(
            signal.id,
            bool(matches[signal.id]),
            _evidence(call, matches[signal.id]),
            by_unknown=not any(
                call.surely(match.first.turn, signal.speaker) for match in matches[signal.id]
            ),
        )
    talked = {t for name in HOSTILE for m in matches.get(name, ()) for t in call.spanned(m)}
    found["refund_amount"] = _refund(call, matches.get(REFUND_WORDS, []), talked)
    found.update({fact.name: fact for fact in _of_note(note)})
    found.update({fact.name: fact for fact in _of_transcript(transcript, call)})
    for name in ("earlier_contacts", "open_tickets"):
        found[name] = Fact(name, float(context.get(name, 0)))
    return found


def _needed(signals: tuple[Signal, ...], wanted: Collection[str] | None) -> tuple[Signal, ...]:
    if wanted is None:
        return signals
    names = {*wanted, REFUND_WORDS}
    names |= {signal.answers for signal in signals if signal.id in names and signal.answers}
    return tuple(signal for signal in signals if signal.id in names)


def _in_order(signals: tuple[Signal, ...]) -> list[Signal]:
    """Signals that answer another come after all others."""
    return sorted(signals, key=lambda signal: signal.answers is not None)


def _matches(
    call: Conversation, signal: Signal, earlier: Mapping[str, list[Match]]
) -> Iterator[Match]:
    excused = [
        match
        for phrase in signal.unless
        for match in call.find(parse(phrase), signal.speaker, signal.where, exact=True, wide=True)
    ]
    asked = [call.place[match.last.turn] for match in earlier.get(signal.answers or "", ())]
    for phrase in signal.phrases:
        for match in call.find(parse(phrase), signal.speaker, signal.where, wide=True):
            if any(_overlap(match, other) for other in excused):
                continue
            place = call.place[match.first.turn]
            if signal.answers and not any(at < place <= at + 2 for at in asked):
                continue
            yield match


def _overlap(a: Match, b: Match) -> bool:
    return _at(a.first) <= _at(b.last) and _at(b.first) <= _at(a.last)


def _at(token: Token) -> tuple[int, int]:
    return token.turn, token.word


def _evidence(call: Conversation, matches: list[Match]) -> tuple[Evidence, ...]:
    quotes: dict[Evidence, None] = {}
    for match in sorted(matches, key=lambda match: _at(match.first)):
        quotes.update(dict.fromkeys(call.evidence(match.first, match.last)))
    return tuple(quotes)[:MAX_EVIDENCE]


def _refund(call: Conversation, refunds: list[Match], talked: Collection[int]) -> Fact:
    """Take the largest amount within reach of a refund word, in its highest reading.

    Args:
        talked: turns spoken to the machine; they take no room, so nobody can push the two apart.
    """
    offsets: dict[int, int] = {}
    length = 0
    for turn in call.turns:
        offsets[turn.turn] = length
        length += 0 if turn.turn in talked else len(turn.words)
    spots = [offsets[match.first.turn] + match.first.word for match in refunds]
    best: tuple[float, tuple[Evidence, ...]] = (0.0, ())
    if not spots:
        return Fact("refund_amount", *best)
    for turn in call.turns:
        said = call.tokens[turn.turn]
        for number in numbers(said):
            spot = offsets[turn.turn] + said[number.first].word
            near = min(abs(spot - other) for other in spots) <= REFUND_REACH
            if near and number.highest > best[0] and _may_be_money(said, number):
                best = number.highest, call.evidence(said[number.first], said[number.last])
    return Fact("refund_amount", *best)


def _may_be_money(said: list[Token], number: Number) -> bool:
    if number.kind == "money":
        return True
    if number.kind != "number" or number.value < SMALLEST_BARE_AMOUNT:
        return False
    before = said[number.first - 1].text if number.first else ""
    after = said[number.last + 1].text if number.last + 1 < len(said) else ""
    dated = any(due.first <= number.first <= due.last for due in dues(said, None))
    year = 1990 <= number.highest <= 2040 and before in ("in", "of", *MONTHS)
    return not (
        dated
        or year
        or after in NOT_MONEY
        or after in MONTHS
        or after.endswith(("st", "nd", "rd", "th"))
        or before in MONTHS
        or before in ("order", "number", "ending", "reference", "flight", "room", "at", "zip")
    )


def _of_note(note: CaseNote) -> Iterator[Fact]:
    yield Fact("outcome", note.outcome.value, note.outcome.evidence)
    reason = note.reason.evidence if note.reason else ()
    yield Fact("request_type", note.request_type.label, reason)
    yield Fact("request_decision", note.request_type.decision, reason)
    yield Fact("request_confidence", round(note.request_type.confidence, 3), reason)
    promises = [promise for promise in note.commitments if promise.who != "customer"]
    quotes = tuple(quote for promise in promises for quote in promise.evidence)
    yield Fact("agent_commitments", float(len(promises)), quotes[:MAX_EVIDENCE])
    yield Fact("unverified_claims", float(len(note.unverified)))
    yield Fact("missing_information", float(len(note.missing_information)))


def _of_transcript(transcript: RedactedTranscript, call: Conversation) -> Iterator[Fact]:
    yield Fact("word_confidence", round(transcript.confidence, 3))
    yield Fact("language", transcript.language)
    yield Fact("roles_uncertain", call.uncertain)
    yield Fact("hold_seconds", music_seconds(transcript.sounds))
    for side in ("caller", "agent"):
        turns = call.by("customer" if side == "caller" else "agent")
        yield Fact(f"{side}_words", float(sum(len(call.tokens[turn.turn]) for turn in turns)))
    labels = {
        token.text.strip("[]").rstrip("0123456789").rstrip("_").upper()
        for said in call.tokens.values()
        for token in said
        if token.text.startswith("[")
    }
    yield Fact("redacted_labels", tuple(sorted(labels)))


def _is_amount(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False
