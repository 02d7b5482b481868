"""The digits that words stand for, where that is certain.

Decides whether a spoken or written number can be read in one way only. Refuses to guess: for a
number with two readings, a correction or words that are no digits at its end there is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.dialogue import find_all
from redaction.language import Language
from redaction.numbers import scan
from redaction.records import Word
from redaction.tokens import atoms_of

FOUR = 4
HIDDEN = 5  # digits that stay hidden at least: four of eight would give half of it away


def digits_of(words: Sequence[Word], lang: Language) -> tuple[str, bool]:
    """Return every digit that the words say, and whether the last four are beyond doubt.

    Args:
        words: one value, spoken, written or both.
        lang: the language pack.
    """
    atoms = atoms_of(words, {}, lang.vocabulary)
    runs = scan(atoms, lang)
    text = "".join(char for run in runs for char in run.text if char.isdigit())
    if not runs or runs[-1].last != len(atoms):
        return text, False
    last = runs[-1]
    sure = not last.corrected and not last.scaled
    return text, sure and all(reading[-FOUR:] == last.text[-FOUR:] for reading in last.readings)


def last_four(words: Sequence[Word], first: int, last: int, lang: Language) -> str:
    """Return the last four digits of a value, or nothing where they may not or cannot be told.

    Args:
        words: the turn; the value stands in words `first` to `last` (exclusive).
        first: see `words`.
        last: see `words`.
        lang: the language pack.

    Four digits alone are shown behind words that say that they are the last ("ending in"), never
    otherwise: they may be a piece from the middle of a number that is given over several turns.
    """
    text, sure = digits_of(words[first:last], lang)
    if not sure or not (len(text) >= FOUR + HIDDEN or len(text) == FOUR):
        return ""
    if len(text) == FOUR:
        before = atoms_of(words[:first], {})
        ends = [end for _, end in find_all(before, lang.lists["endings"])]
        if not ends or ends[-1] != len(before):
            return ""
    return text[-FOUR:]
