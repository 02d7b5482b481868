"""Texts as sparse vectors whose dot product says how alike two of them are, learnt from examples.

Five views of a text, each TF-IDF and of unit length: words with pairs of near words, letter groups
of all words, letter groups of the telling words, groups of synonyms, subjects with their pairs.
What no example holds counts in the length: a text full of unknown words is like nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.spoken.synonyms import FUNCTION_WORDS, rare, stem, synonyms
from voice_pipeline.spoken.words import tokens

REACH = 4  # words in which two may stand to be a pair
LETTERS = (3, 5)  # shortest and longest letter group, word edges included
MOST_SUBJECTS = 24  # of one text that form pairs: a long story would make thousands

# What each view adds to likeness. `docs/classification.md` has the figures of others.
FOR_LABELS = {"words": 0.3, "letters": 0.4, "synonyms": 0.15, "subjects": 0.15}
FOR_NEARNESS = {"letters": 0.5, "telling": 0.5}

Counts = Any  # scipy CSR matrix: its stubs are not installed
Said = list[str]  # comparable words of one text


def said(text: str) -> Said:
    """Return the text as comparable words: contractions opened, fillers left out."""
    return [token.text for token in tokens(text.split())]


@dataclass(slots=True)
class _View:
    """One way to look at a text, and what the examples hold of it."""

    features: Callable[[Said], Iterable[str]]
    columns: dict[str, int]
    weights: NDArray[np.float64]  # inverse document frequencies
    strange: float  # weight of a feature that no example holds


class Likeness:
    """Views fitted on examples.

    Args:
        texts: the examples.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        heard = [said(text) for text in texts]
        self._views = {name: _fitted(features, heard) for name, features in VIEWS.items()}

    def vectors(self, texts: Sequence[str]) -> tuple[Counts, Counts]:
        """Return two matrices of a row a text: for telling labels apart, and for nearness.

        Rows are at most of unit length; shorter by what the examples do not hold.
        """
        from scipy.sparse import hstack

        heard = [said(text) for text in texts]
        parts = {name: _matrix(view, heard) for name, view in self._views.items()}

        def joined(shares: dict[str, float]) -> Counts:
            return hstack(
                [parts[name] * np.sqrt(share) for name, share in shares.items()],
                format="csr",
            )

        return joined(FOR_LABELS), joined(FOR_NEARNESS)


def _words(heard: Said) -> list[str]:
    stems = [stem(word) for word in heard]
    pairs = [
        f"{first} {second}"
        for place, first in enumerate(stems)
        for second in stems[place + 1 : place + REACH]
    ]
    return stems + pairs


def _letters(heard: Said) -> list[str]:
    return [group for word in heard for group in _groups(word)]


def _telling(heard: Said) -> list[str]:
    return [group for word in heard if word not in FUNCTION_WORDS for group in _groups(word)]


def _synonyms(heard: Said) -> list[str]:
    return synonyms([stem(word) for word in heard])


def _subjects(heard: Said) -> list[str]:
    stems = [stem(word) for word in heard]
    found = synonyms(stems) + rare(stems)
    kinds = sorted(set(found[:MOST_SUBJECTS]))
    return found + [f"{first} {second}" for first, second in combinations(kinds, 2)]


@lru_cache(maxsize=20_000)
def _groups(word: str) -> tuple[str, ...]:
    edged = f" {word} "
    shortest, longest = LETTERS
    found: list[str] = []
    for length in range(shortest, longest + 1):
        if length >= len(edged):
            return (*found, edged)
        found += [edged[at : at + length] for at in range(len(edged) - length + 1)]
    return tuple(found)


VIEWS: dict[str, Callable[[Said], Iterable[str]]] = {
    "words": _words,
    "letters": _letters,
    "telling": _telling,
    "synonyms": _synonyms,
    "subjects": _subjects,
}


def _fitted(features: Callable[[Said], Iterable[str]], heard: Sequence[Said]) -> _View:
    held: Counter[str] = Counter()
    for words in heard:
        held.update(set(features(words)))
    columns = {feature: column for column, feature in enumerate(sorted(held))}
    counts = np.array([held[feature] for feature in columns], np.float64)
    weights = np.log((1 + len(heard)) / (1 + counts)) + 1
    return _View(features, columns, weights, float(np.log(1 + len(heard)) + 1))


def _matrix(view: _View, heard: Sequence[Said]) -> Counts:
    """Return (1 + log count) * weight, each row divided by its length with strangers in it."""
    from scipy.sparse import csr_matrix

    known = len(view.columns)
    strangers: dict[str, int] = {}
    columns: list[int] = []
    starts = [0]
    find = view.columns.get
    for words in heard:
        for feature in view.features(words):
            column = find(feature)
            if column is None:
                column = known + strangers.setdefault(feature, len(strangers))
            columns.append(column)
        starts.append(len(columns))
    width = max(1, known + len(strangers))
    counts = csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(heard), width))
    counts.sum_duplicates()
    weights = np.concatenate([view.weights, np.full(width - known, view.strange)])
    counts.data = (1 + np.log(counts.data)) * weights[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(counts.indptr))
    return counts[:, :known]
