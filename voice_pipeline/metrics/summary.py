"""Whether notes hold what they must and nothing they must not, beside two summaries anyone makes.

Facts are looked for as phrases in what the note shows; claims are verified again here, whoever
wrote them. A score on our own scripted calls is a regression alarm, no claim of quality; ROUGE is
not even that much (docs/note.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from voice_pipeline.claims import fault
from voice_pipeline.domain import CaseNote, Claim, Commitment
from voice_pipeline.metrics.baselines import lead, textrank
from voice_pipeline.metrics.notes import Labelled, Noted, noted, plain, read_labelled, states
from voice_pipeline.metrics.report import Figure, Report, bootstrap, by_call, proportion
from voice_pipeline.metrics.rouge import rouge_l, rouge_n
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Analyst

OVERLAP = 0.6  # share of a plain fact's longer words that must appear where it has no phrases
LONG = 4  # letters of a longer word
ALARM = (
    "ROUGE compares with the labelled summary, or else with the required facts; it is an alarm for "
    "changes, never a claim of quality",
)

Counts = list[tuple[int, int]]  # hits and units of each call


def evaluate(data: Path, *, analyst: Analyst | None = None, pack: Pack | None = None) -> Report:
    """Write notes on labelled calls and compare them with what must be in them.

    Args:
        data: a folder with `truth.jsonl`.

    Raises:
        BadInput: there is no truth, or it cannot be read.
    """
    return report(noted(read_labelled(data), analyst=analyst, pack=pack))


def report(calls: Sequence[Noted]) -> Report:
    """Compare notes with the truth, and the baselines with the same truth."""
    texts = {
        "": [" ".join(_shown(call.note)) for call in calls],
        ", summary alone": [" ".join(_top(call.note)) for call in calls],
        ", first 3 turns": [lead(call.transcript) for call in calls],
        ", TextRank": [textrank(call.transcript) for call in calls],
    }
    compared = {name: [plain(text) for text in found] for name, found in texts.items()}
    figures = [
        *(
            by_call(f"required facts found{name}", _facts(calls, said), "facts")
            for name, said in compared.items()
        ),
        *(
            by_call(f"must-not statements made{name}", _banned(calls, said), "statements")
            for name, said in compared.items()
        ),
        by_call("claims with verified evidence", _support(calls), "claims"),
        by_call("promises found, with who and when", _promises(calls), "promises"),
        *_types(calls),
        *(
            _mean(f"words{name or ', whole note'}", [len(text.split()) for text in found])
            for name, found in compared.items()
        ),
        *_rouge(calls, compared),
        *_slices(calls, compared[""]),
    ]
    rows = tuple(
        {
            "id": call.truth.id,
            "request_type": call.note.request_type.label,
            "outcome": call.note.outcome.value,
            "facts_missing": sum(not _has(note, fact) for fact in call.truth.facts),
            "must_not_made": sum(states(note, text) for text in call.truth.must_not),
            "unverified": len(call.note.unverified),
        }
        for call, note in zip(calls, compared[""], strict=True)
    )
    return Report("summary", len(calls), tuple(figures), rows, ALARM)


def _claims(note: CaseNote) -> Iterator[tuple[Claim | Commitment, tuple[str, ...]]]:
    """Yield what a note shows as fact, with the sides that may have said it."""
    if note.reason:
        yield note.reason, ("customer",)
    yield from ((claim, ()) for claim in (*note.summary, *note.facts))
    yield from ((claim, ("agent",)) for claim in note.actions)
    yield from ((promise, (promise.who,)) for promise in note.commitments)
    yield from ((claim, ("customer",)) for claim in note.open_questions)
    if note.cancellation_reason:
        yield note.cancellation_reason, ("customer",)
    yield from ((claim, ()) for part in note.sections for claim in part.claims)


def _shown(note: CaseNote) -> Iterator[str]:
    yield from (claim.text for claim, _ in _claims(note))
    yield from (quote.quote for quote in note.outcome.evidence)
    yield from (quote.quote for other in note.also for quote in other.evidence)
    for mood in (note.mood_start, note.mood_end):
        yield from (quote.quote for quote in (mood.evidence if mood else ()))


def _top(note: CaseNote) -> Iterator[str]:
    """What stands on top of the page: three statements and the next step."""
    yield from (quote.quote for claim in note.summary for quote in claim.evidence)


def _facts(calls: Sequence[Noted], said: Sequence[str]) -> Counts:
    return [
        (sum(_has(text, fact) for fact in call.truth.facts), len(call.truth.facts))
        for call, text in zip(calls, said, strict=True)
    ]


def _banned(calls: Sequence[Noted], said: Sequence[str]) -> Counts:
    return [
        (sum(states(text, one) for one in call.truth.must_not), len(call.truth.must_not))
        for call, text in zip(calls, said, strict=True)
    ]


def _support(calls: Sequence[Noted]) -> Counts:
    found = []
    for call in calls:
        turns = {turn.turn: turn for turn in call.transcript.turns}
        checked = [fault(claim, turns, who) is None for claim, who in _claims(call.note)]
        found.append((sum(checked), len(checked)))
    return found


def _promises(calls: Sequence[Noted]) -> Counts:
    return [
        (
            sum(_promised(call.note, who, due) for who, due in call.truth.commitments),
            len(call.truth.commitments),
        )
        for call in calls
    ]


def _promised(note: CaseNote, who: str, due: str) -> bool:
    """Tell whether a promise of that side stands in the note with the words that say when."""
    return any(
        promise.who == who and (not due or states(plain(promise.text), due))
        for promise in note.commitments
    )


def _types(calls: Sequence[Noted]) -> Iterator[Figure]:
    typed = [call for call in calls if call.truth.request_type]
    sure = [call for call in typed if call.note.request_type.decision == "auto"]
    ends = [call for call in calls if call.truth.outcome]
    right = sum(call.note.outcome.value == call.truth.outcome for call in ends)
    yield proportion("request type right", sum(map(_type_right, typed)), len(typed), "calls")
    yield proportion("automatic request types", len(sure), len(typed), "calls")
    yield proportion(
        "automatic request type right", sum(map(_type_right, sure)), len(sure), "calls"
    )
    yield proportion("outcome right", right, len(ends), "calls")
    wanted = [call.truth.also for call in calls]
    got = [frozenset(other.label for other in call.note.also) for call in calls]
    both = [len(a & b) for a, b in zip(wanted, got, strict=True)]
    yield proportion("further requests found", sum(both), sum(map(len, wanted)), "requests")
    yield proportion("further requests that were made", sum(both), sum(map(len, got)), "requests")


def _rouge(calls: Sequence[Noted], compared: dict[str, list[str]]) -> Iterator[Figure]:
    measures: dict[str, Callable[[Sequence[str], Sequence[str]], float]] = {
        "ROUGE-1": lambda a, b: rouge_n(a, b, 1),
        "ROUGE-2": lambda a, b: rouge_n(a, b, 2),
        "ROUGE-L": rouge_l,
    }
    references = [plain(_reference(call.truth)).split() for call in calls]
    for name, measure in measures.items():
        for of, texts in compared.items():
            if of:  # a whole note is no summary
                yield _mean(
                    f"{name}{of}",
                    [
                        measure(text.split(), reference)
                        for text, reference in zip(texts, references, strict=True)
                        if reference
                    ],
                )


def _reference(truth: Labelled) -> str:
    return truth.summary or " ".join(text for text, _ in truth.facts)


def _slices(calls: Sequence[Noted], said: Sequence[str]) -> Iterator[Figure]:
    """Yield the facts found by request type: an average hides the type that fails."""
    for label in sorted({call.truth.request_type or "" for call in calls} - {""}):
        chosen = [
            (call, text)
            for call, text in zip(calls, said, strict=True)
            if call.truth.request_type == label
        ]
        counts = _facts([call for call, _ in chosen], [text for _, text in chosen])
        yield by_call(f"required facts found: {label}", counts, "facts")


def _has(note: str, fact: tuple[str, tuple[str, ...]]) -> bool:
    text, phrases = fact
    if phrases:
        return any(states(note, phrase) for phrase in phrases)
    words = [word for word in plain(text).split() if len(word) >= LONG]
    return bool(words) and sum(f" {word} " in note for word in words) >= OVERLAP * len(words)


def _type_right(call: Noted) -> bool:
    return call.note.request_type.label == call.truth.request_type


def _mean(name: str, values: Sequence[float]) -> Figure:
    def mean(sample: Sequence[float]) -> float:
        return sum(sample) / len(sample) if sample else 0.0

    low, high = bootstrap(values, mean)
    return Figure(name, mean(values), len(values), "calls", low, high)
