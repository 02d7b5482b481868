"""ROUGE: how many words and word sequences two texts share (Lin 2004).

An alarm only: it rewards the same words, knows nothing of truth, and ranks summaries that people
prefer below others (docs/note.md). No stemming, no stop words, F1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def rouge_n(text: Sequence[str], reference: Sequence[str], n: int) -> float:
    """Return F1 of the n-grams of two word lists, 0..1; 0 where either has none."""
    grams = [
        Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
        for words in (text, reference)
    ]
    return _f1(sum((grams[0] & grams[1]).values()), grams[0].total(), grams[1].total())


def rouge_l(text: Sequence[str], reference: Sequence[str]) -> float:
    """Return F1 of the longest common subsequence of two word lists, 0..1."""
    row = [0] * (len(reference) + 1)
    for word in text:
        before = 0
        for at, other in enumerate(reference, 1):
            before, row[at] = row[at], before + 1 if word == other else max(row[at], row[at - 1])
    return _f1(row[-1], len(text), len(reference))


def _f1(common: int, a: int, b: int) -> float:
    return 2 * common / (a + b) if common else 0.0
