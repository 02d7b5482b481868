"""Whether notes hold what they must and nothing they must not, beside the first three turns.

Facts are looked for as phrases in what the note shows as fact; claims are verified again here,
whoever wrote them. A score on our own scripted calls is a regression alarm, no claim of quality.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from voice_pipeline.claims import fault
from voice_pipeline.domain import CaseNote, Claim, Commitment
from voice_pipeline.metrics.notes import Noted, noted, plain, read_labelled, states
from voice_pipeline.metrics.report import Figure, Report, bootstrap, proportion
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Analyst

LEAD = 3  # turns: the classic baseline that extractive summaries seldom beat
OVERLAP = 0.6  # share of a plain fact's longer words that must appear where it has no phrases
LONG = 4  # letters of a longer word


def evaluate(data: Path, *, analyst: Analyst | None = None, pack: Pack | None = None) -> Report:
    """Write notes on labelled calls and compare them with what must be in them.

    Args:
        data: a folder with `truth.jsonl`.

    Raises:
        BadInput: there is no truth, or it cannot be read.
    """
    return report(noted(read_labelled(data), analyst=analyst, pack=pack))


def report(calls: Sequence[Noted]) -> Report:
    notes = [plain(" ".join(_shown(call.note))) for call in calls]
    leads = [plain(" ".join(turn.text for turn in call.transcript.turns[:LEAD])) for call in calls]
    facts = [fact for call in calls for fact in call.truth.facts]
    held = [_has(note, fact) for call, note in _each(calls, notes) for fact in call.truth.facts]
    lead = [_has(text, fact) for call, text in _each(calls, leads) for fact in call.truth.facts]
    banned = [text for call in calls for text in call.truth.must_not]
    made = sum(
        states(note, text) for call, note in _each(calls, notes) for text in call.truth.must_not
    )
    verified = [ok for call in calls for ok in _verified(call)]
    types = [call for call in calls if call.truth.request_type]
    sure = [call for call in types if call.note.request_type.decision == "auto"]
    ends = [call for call in calls if call.truth.outcome]
    figures = (
        proportion("required facts found", sum(held), len(facts), "facts"),
        proportion("required facts found, first 3 turns", sum(lead), len(facts), "facts"),
        proportion("must-not statements made", made, len(banned), "statements"),
        proportion("claims with verified evidence", sum(verified), len(verified), "claims"),
        proportion("request type right", sum(map(_type_right, types)), len(types), "calls"),
        proportion("automatic request types", len(sure), len(types), "calls"),
        proportion("automatic request type right", sum(map(_type_right, sure)), len(sure), "calls"),
        proportion(
            "outcome right",
            sum(call.note.outcome.value == call.truth.outcome for call in ends),
            len(ends),
            "calls",
        ),
        _words(calls),
    )
    rows = tuple(
        {
            "id": call.truth.id,
            "request_type": call.note.request_type.label,
            "outcome": call.note.outcome.value,
            "facts_missing": sum(not _has(note, fact) for fact in call.truth.facts),
            "must_not_made": sum(states(note, text) for text in call.truth.must_not),
            "unverified": len(call.note.unverified),
        }
        for call, note in _each(calls, notes)
    )
    return Report("summary", len(calls), figures, rows)


def _each(calls: Sequence[Noted], texts: Sequence[str]) -> Iterator[tuple[Noted, str]]:
    return zip(calls, texts, strict=True)


def _claims(note: CaseNote) -> Iterator[tuple[Claim | Commitment, tuple[str, ...]]]:
    """Yield what a note shows as fact, with the sides that may have said it."""
    if note.reason:
        yield note.reason, ("customer",)
    yield from ((claim, ()) for claim in (*note.summary, *note.facts))
    yield from ((claim, ("agent",)) for claim in note.actions)
    yield from ((promise, (promise.who,)) for promise in note.commitments)


def _shown(note: CaseNote) -> Iterator[str]:
    yield from (claim.text for claim, _ in _claims(note))
    yield from (quote.quote for quote in note.outcome.evidence)


def _verified(call: Noted) -> Iterator[bool]:
    turns = {turn.turn: turn for turn in call.transcript.turns}
    for claim, speakers in _claims(call.note):
        yield fault(claim, turns, speakers) is None


def _has(note: str, fact: tuple[str, tuple[str, ...]]) -> bool:
    text, phrases = fact
    if phrases:
        return any(states(note, phrase) for phrase in phrases)
    words = [word for word in plain(text).split() if len(word) >= LONG]
    return bool(words) and sum(f" {word} " in note for word in words) >= OVERLAP * len(words)


def _type_right(call: Noted) -> bool:
    return call.note.request_type.label == call.truth.request_type


def _words(calls: Sequence[Noted]) -> Figure:
    lengths = [
        sum(len(quote.quote.split()) for claim in call.note.summary for quote in claim.evidence)
        for call in calls
    ]

    def mean(sample: Sequence[int]) -> float:
        return sum(sample) / len(sample) if sample else 0.0

    low, high = bootstrap(lengths, mean)
    return Figure("words in the summary", mean(lengths), len(lengths), "calls", low, high)
