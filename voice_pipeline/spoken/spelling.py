"""Words that sound alike: a small sound key, and how far two of them lie apart.

Decides how English spelling maps to sounds well enough to compare names with what a recognizer
wrote instead. It refuses to be a pronouncing dictionary: it only says how like two strings are.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Spellings of one sound, tried in order; what is left out is silent. In the manner of Metaphone
# (Philips 1990, Computer Language 7:12), but vowels are kept, as one class.
_SOUNDS = (
    ("aught|ought", "at"), ("augh|ough", "a"), ("tch", "C"), ("dge", "J"), ("sch", "S"),
    ("ch", "C"), ("sh", "S"), ("th", "T"), ("ph", "f"), ("^kn|^gn|^pn", "n"), ("^wr", "r"),
    ("^ps", "s"), ("^x", "s"), ("wh", "w"), ("ck", "k"), ("qu", "kw"), ("q", "k"), ("x", "ks"),
    ("mb$", "m"), ("gh", ""), ("[ct]i(?=[aou])", "S"), ("c(?=[eiy])", "s"), ("c", "k"),
    ("g(?=[eiy])", "J"), ("j", "J"), ("z", "s"), ("v", "f"), ("b", "p"), ("d", "t"),
    ("(?<=[aeiouy])h", ""), ("y(?=[aeiou])", "Y"), ("w(?=[aeiou])", "W"),
    ("[aeiouyw]+", "a"), ("(.)\\1+", "\\1"),
)  # fmt: skip
VOWEL = 0.5  # price of a vowel too many, too few or moved: recognizers get those wrong first


@lru_cache(maxsize=4096)
def sounds(text: str) -> str:
    """Return the sound key of a word or phrase: consonants by sound, vowels as `a`."""
    key = re.sub(r"[^a-z]", "", text.casefold())
    for pattern, sound in _SOUNDS:
        key = re.sub(pattern, sound, key)
    return key


def apart(one: str, other: str, most: float = 1.0) -> float:
    """Return how far two sound keys lie apart, 0 (the same) to 1: edits by the longer key.

    What is farther than `most` is 1.

    Optimal string alignment (Damerau 1964, CACM 7:171; Levenshtein 1966): insertions, deletions,
    substitutions and swaps of neighbours; vowels cost half.
    """
    if one == other:
        return 0.0
    longest = max(size(one), size(other))
    limit = most * longest
    before: list[float] = []
    row = [0.0]
    for char in other:
        row.append(row[-1] + _price(char))
    for i, a in enumerate(one):
        last, row = row, [row[0] + _price(a)]
        for j, b in enumerate(other):
            best = min(
                last[j + 1] + _price(a),
                row[j] + _price(b),
                last[j] + (0.0 if a == b else max(_price(a), _price(b))),
            )
            if i and j and a == other[j - 1] and one[i - 1] == b:
                best = min(best, before[j - 1] + 1.0)
            row.append(best)
        if min(row) > limit and min(last) > limit:
            return 1.0
        before = last
    return row[-1] / longest if row[-1] <= limit else 1.0


@lru_cache(maxsize=4096)
def size(key: str) -> float:
    """Return what all sounds of a key cost; keys are apart by the difference at least."""
    return sum(map(_price, key))


def _price(sound: str) -> float:
    return VOWEL if sound == "a" else 1.0
