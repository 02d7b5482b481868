"""Counts of right and wrong words, and what is said about them: rates, intervals, slices.

Decides how counts of calls become figures. Knows numbers alone, never what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_pipeline.metrics.report import Figure, interval

MOST_VALUES = 8  # a trait with more values than this is no slice


@dataclass(frozen=True, slots=True)
class Counts:
    """What is right and wrong, of a channel, a call or many."""

    words: int = 0  # in the truth
    wrong: int = 0  # substituted, deleted, inserted
    letters: int = 0
    letters_wrong: int = 0
    digits: int = 0
    digits_wrong: int = 0  # substituted or deleted
    names: int = 0  # words of people's names
    names_wrong: int = 0
    invented: int = 0  # words where nobody spoke
    silence: float = 0.0  # seconds in which nobody spoke
    told: int = 0  # words of the truth whose speaker is known
    told_wrong: int = 0  # cpWER's numerator
    named: int = 0  # words of the truth whose speaker has a role
    named_wrong: int = 0  # ... compared with the words of that very role

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f) + getattr(other, f) for f in self.__slots__))


# figure -> what is wrong, of how many, and what those are
RATES: Mapping[str, tuple[str, str, str]] = {
    "wer": ("wrong", "words", "words"),
    "cer": ("letters_wrong", "letters", "characters"),
    "digit_wer": ("digits_wrong", "digits", "digit words"),
    "name_wer": ("names_wrong", "names", "words of names"),
    "cpwer": ("told_wrong", "told", "words"),
    "role_wer": ("named_wrong", "named", "words"),
}


def _rate(name: str) -> Callable[[Sequence[Counts]], float]:
    wrong, of, _ = RATES[name]
    return lambda sample: (
        sum(getattr(c, wrong) for c in sample) / max(1, sum(getattr(c, of) for c in sample))
    )


def _invented(sample: Sequence[Counts]) -> float:
    return 60 * sum(c.invented for c in sample) / max(1e-9, sum(c.silence for c in sample))


def figures(calls: Sequence[Counts], rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    whole = sum(calls, Counts())
    for name, (_, of, unit) in RATES.items():
        if number := getattr(whole, of):
            value = _rate(name)
            yield Figure(name, value(calls), number, unit, *interval(calls, value))
    if seconds := round(whole.silence):
        yield Figure(
            "invented_per_minute", _invented(calls), seconds, "seconds of silence",
            *interval(calls, _invented),
        )  # fmt: skip
    measured = [row for row in rows if row["wer"] is not None]
    passed = [row for row in measured if row["passes"]]
    yield Figure("understood_share", len(passed) / max(1, len(measured)), len(measured), "channels")
    if passed:
        worst = max(float(row["wer"]) for row in passed)
        yield Figure("worst_wer_let_pass", worst, len(passed), "channels")


def slices(calls: Sequence[tuple[Counts, Mapping[str, str]]]) -> Iterator[dict[str, Any]]:
    """Yield one row for every value of every trait by which the calls differ."""
    for trait in sorted({key for _, traits in calls for key in traits}):
        values = sorted({traits.get(trait, "") for _, traits in calls})
        if not 1 < len(values) <= MOST_VALUES or len(values) == len(calls):
            continue
        for value in values:
            own = [counts for counts, traits in calls if traits.get(trait, "") == value]
            whole = sum(own, Counts())
            row: dict[str, Any] = {
                "slice": trait, "value": value, "calls": len(own), "words": whole.words,
            }  # fmt: skip
            for name, (_, of, _) in RATES.items():
                row[name] = round(_rate(name)(own), 4) if getattr(whole, of) else None
            low, high = interval(own, _rate("wer"))
            known = low is not None and high is not None
            row["wer_interval"] = (round(low or 0.0, 4), round(high or 0.0, 4)) if known else None
            yield row
