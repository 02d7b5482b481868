"""How much a person changed a draft: edit distance in characters and in words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EditDistance:
    """Shares from 0 (sent as drafted) to 1 (written anew)."""

    characters: float
    words: float


def draft_edit_distance(draft: str, sent: str) -> EditDistance:
    """Compare a draft with what went out; spaces at line ends and empty lines do not count."""
    before, after = _lines(draft), _lines(sent)
    return EditDistance(_share(before, after), _share(tuple(before.split()), tuple(after.split())))


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Return the fewest insertions, deletions and replacements that turn `a` into `b`.

    Myers 1999, bit-parallel: one column of the matrix is two integers, so a letter costs
    microseconds. Takes letters of a text as well as words of a list.
    """
    if len(a) < len(b):
        a, b = b, a
    if not b:
        return len(a)
    places: dict[Hashable, int] = {}
    for at, item in enumerate(b):
        places[item] = places.get(item, 0) | 1 << at
    width = (1 << len(b)) - 1
    top = 1 << (len(b) - 1)
    more, less, distance = width, 0, len(b)  # vertical differences: +1 and -1
    for item in a:
        equal = places.get(item, 0)
        vertical = equal | less
        horizontal = (((equal & more) + more) ^ more) | equal
        plus, minus = less | ~(horizontal | more) & width, more & horizontal
        distance += bool(plus & top) - bool(minus & top)
        plus = (plus << 1 | 1) & width
        more = ((minus << 1) | ~(vertical | plus)) & width
        less = plus & vertical
    return distance


def _share(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    longest = max(len(before), len(after))
    return round(levenshtein(before, after) / longest, 4) if longest else 0.0


def _lines(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
