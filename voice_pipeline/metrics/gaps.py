"""What callers asked that no approved article answers: request types, terms and counts.

Read from the notes, which are sealed with each call's own key: a call that is erased leaves this
report by itself. A term that the policy pack does not know is shown once several calls have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from voice_pipeline.domain import CaseNote
from voice_pipeline.knowledge.terms import terms
from voice_pipeline.policy.pack import Pack

FEWEST_CALLS = 2  # that must share a term before it is shown: one call's words are its own
MOST_TERMS = 10


@dataclass(frozen=True, slots=True)
class Gap:
    """One request type for which articles are missing."""

    request_type: str
    calls: int  # without an article
    searched: int  # for which articles were searched
    terms: tuple[tuple[str, int], ...]  # stem, calls that have it; most frequent first


def gaps_of(notes: Iterable[CaseNote], pack: Pack) -> list[Gap]:
    """Return the gaps, the widest first.

    Args:
        notes: the newest note of each call.
    """
    known = {term for text in pack.taxonomy.phrasings[0] for term in terms(text)}
    searched: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    asked: dict[str, Counter[str]] = {}
    for note in notes:
        label = note.request_type.label
        if note.no_article is None and not note.suggestions:
            continue
        searched[label] += 1
        if note.no_article is not None:
            missing[label] += 1
            asked.setdefault(label, Counter()).update(set(note.no_article.terms))
    return [
        Gap(
            label,
            calls,
            searched[label],
            tuple(
                (term, count)
                for term, count in sorted(asked[label].items(), key=lambda at: (-at[1], at[0]))
                if term in known or count >= FEWEST_CALLS
            )[:MOST_TERMS],
        )
        for label, calls in sorted(missing.items(), key=lambda at: (-at[1], at[0]))
    ]
