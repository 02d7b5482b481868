"""Edit distances of words and characters, and whose words are compared with whose.

Decides nothing about spelling: sequences come in as they are to be compared. Refuses to guess which
speaker is which by name; `match` tries every pairing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a heard sequence differs from the true one, with the fewest changes."""

    substituted: int
    deleted: int
    inserted: int
    right: frozenset[int]  # places in the truth that were heard right

    @property
    def wrong(self) -> int:
        return self.substituted + self.deleted + self.inserted


def align(truth: Sequence[Hashable], found: Sequence[Hashable]) -> Alignment:
    """Align two sequences (Levenshtein 1966); needs a byte per pair of places."""
    costs = _Costs(truth, found)
    steps = np.zeros((len(truth), len(found)), dtype=np.uint8)  # 1: a pair, 2: the truth's alone
    for at in range(len(truth)):
        before = costs.row.copy()
        row = costs.next(at)
        steps[at, row[1:] == before[1:] + 1] = 2
        steps[at, row[1:] == before[:-1] + costs.differ(at)] = 1
    a, b, right = len(truth), len(found), set()
    substituted = deleted = inserted = 0
    while a and b:
        step = steps[a - 1, b - 1]
        if step == 1:
            a, b = a - 1, b - 1
            if truth[a] == found[b]:
                right.add(a)
            else:
                substituted += 1
        elif step == 2:
            a, deleted = a - 1, deleted + 1
        else:
            b, inserted = b - 1, inserted + 1
    return Alignment(substituted, deleted + a, inserted + b, frozenset(right))


def distance(truth: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """Return how many places must be changed, left out or put in."""
    costs = _Costs(truth, found)
    for at in range(len(truth)):
        costs.next(at)
    return int(costs.row[-1])


class _Costs:
    """Rows of the edit distance, a row at a time."""

    def __init__(self, truth: Sequence[Hashable], found: Sequence[Hashable]) -> None:
        numbers: dict[Hashable, int] = {}
        self._truth, self._found = (
            np.array([numbers.setdefault(item, len(numbers)) for item in side], dtype=np.int64)
            for side in (truth, found)
        )
        self._places = np.arange(len(found) + 1)
        self.row: NDArray[np.int64] = self._places.copy()

    def differ(self, at: int) -> NDArray[np.bool_]:
        different: NDArray[np.bool_] = self._found != self._truth[at]
        return different

    def next(self, at: int) -> NDArray[np.int64]:
        """Return the costs after one more place of the truth."""
        best = self.row + 1
        np.minimum(best[1:], self.row[:-1] + self.differ(at), out=best[1:])
        # what is put in costs one a place: the least of all costs to the left plus the way
        self.row = np.minimum.accumulate(best - self._places) + self._places
        return self.row


def match(
    truth: Mapping[str, Sequence[Hashable]], found: Mapping[str, Sequence[Hashable]]
) -> tuple[int, Mapping[str, str]]:
    """Pair true speakers with found ones so that the fewest words are wrong.

    That is the numerator of cpWER, the concatenated minimum-permutation word error rate (Watanabe
    et al. 2020, CHiME-6): all words of a speaker in a row, speakers paired as suits best. Who is
    left without a partner has all words wrong.

    Returns:
        How many words are wrong, and true speaker -> found speaker.
    """
    from scipy.optimize import linear_sum_assignment

    true, heard = sorted(truth), sorted(found)
    size = max(len(true), len(heard))
    wrong = np.zeros((size, size), dtype=np.int64)
    for a in range(size):
        for b in range(size):
            own = truth[true[a]] if a < len(true) else ()
            other = found[heard[b]] if b < len(heard) else ()
            wrong[a, b] = distance(own, other) if own and other else len(own) + len(other)
    rows, columns = linear_sum_assignment(wrong)
    pairs = {
        true[a]: heard[b]
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True)
        if a < len(true) and b < len(heard)
    }
    return int(wrong[rows, columns].sum()), pairs
