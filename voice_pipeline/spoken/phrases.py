"""The phrase language of policy packs, and finding its phrases in what was said.

    not good enough      the words in this order, at most one other word between two of them
    cancel*              any word that begins so
    refund|money back    one of several words, then the next
    hung_up on me        `_`: directly after each other
    (ever) again         the word in brackets may be missing
    take ... account     up to five other words between

Long words (9 letters and more) also match with one letter wrong, missing, added or swapped:
recognizers write `compliant` for `complaint`. Damerau 1964 counts these as 80 % of misspellings.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from voice_pipeline.spoken.words import Token, comparable

GAP = 1  # other words tolerated between two words of a phrase: one inserted or misheard word
WIDE = 5  # ... where the phrase says `...`: about one clause
FUZZY_FROM = 9  # letters; shorter words are too close to others (homeless, hopeless)
MAX_VARIANTS = 64  # ways to say one phrase
_APART = 50  # positions between utterances, so that no phrase reaches over


@dataclass(frozen=True, slots=True)
class Element:
    words: tuple[str, ...]  # any of them; a trailing * means a stem
    gap: int  # other words tolerated before it


@dataclass(frozen=True, slots=True)
class Phrase:
    """One parsed phrase; `variants` are the ways to say it."""

    text: str
    variants: tuple[tuple[Element, ...], ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Where a phrase stands, as first and last token."""

    phrase: str
    first: Token
    last: Token


@lru_cache(maxsize=8192)
def parse(text: str) -> Phrase:
    """Parse one phrase.

    Raises:
        ValueError: the phrase is empty or not in the phrase language; the message says where.
    """
    variants: list[tuple[Element, ...]] = [()]
    gap = GAP
    for part in text.lower().split():
        if part == "...":
            gap = WIDE
            continue
        optional = part.startswith("(") and part.endswith(")")
        choices = _choices(part[1:-1] if optional else part, text, gap)
        variants = [(*variant, *choice) for variant in variants for choice in choices] + (
            variants if optional else []
        )
        if len(variants) > MAX_VARIANTS:
            raise ValueError(f"the phrase {text!r} can be said in too many ways; split it")
        gap = GAP
    if () in variants:
        raise ValueError(f"the phrase {text!r} has no word that must be there")
    return Phrase(text, tuple(dict.fromkeys(variants)))


def _choices(part: str, phrase: str, gap: int) -> list[tuple[Element, ...]]:
    """Return the ways to say one part: all its single words together, and each word group."""
    singles: list[str] = []
    groups: list[tuple[Element, ...]] = []
    for choice in part.split("|"):
        words: list[str] = []
        for piece in choice.split("_"):
            bare = piece.removesuffix("*")
            if not bare or not bare.replace("'", "").replace("-", "").isalnum():
                raise ValueError(
                    f"{part!r} in the phrase {phrase!r} is not a word, a stem* or a choice a|b"
                )
            words.extend([piece] if bare != piece else comparable(piece))
        if len(words) == 1:
            singles.append(words[0])
        elif words:
            groups.append(
                tuple(Element((word,), gap if n == 0 else 0) for n, word in enumerate(words))
            )
    return ([(Element(tuple(singles), gap),)] if singles else []) + groups


class Spoken:
    """Utterances prepared for searching.

    Args:
        utterances: token lists; a phrase never reaches from one into the next.
    """

    def __init__(self, utterances: Iterable[Sequence[Token]]) -> None:
        self._tokens: dict[int, Token] = {}
        self._at: dict[str, list[int]] = {}
        position = 0
        for utterance in utterances:
            for token in utterance:
                self._tokens[position] = token
                self._at.setdefault(token.text, []).append(position)
                position += 1
            position += _APART
        self._vocabulary = sorted(self._at)
        self._places: dict[tuple[tuple[str, ...], bool], list[int]] = {}

    def find(self, phrase: Phrase, *, exact: bool = False) -> list[Match]:
        """Return every place where the phrase stands, in order, without overlaps of itself.

        Args:
            exact: no letter may be wrong: for phrases that excuse others, where a near miss
                would hide what was said (`sparking` is no `sparkling`).
        """
        spans: set[tuple[int, int]] = set()
        for variant in phrase.variants:
            spans.update(self._spans(variant, exact))
        found: list[Match] = []
        reached = -1
        for first, last in sorted(spans, key=lambda span: (span[0], -span[1])):
            if first > reached:
                found.append(Match(phrase.text, self._tokens[first], self._tokens[last]))
                reached = last
        return found

    def _spans(self, variant: Sequence[Element], exact: bool) -> list[tuple[int, int]]:
        places: list[list[int]] = []
        for element in variant:
            where = self._where(element.words, exact)
            if not where:
                return []
            places.append(where)
        ends = {place: place for place in places[0]}  # last position -> first position
        for element, later in zip(variant[1:], places[1:], strict=True):
            nearer: dict[int, int] = {}
            known = set(later)
            for end, first in ends.items():
                for position in range(end + 1, end + 2 + element.gap):
                    if position in known:
                        nearer[position] = max(first, nearer.get(position, first))
                        break
            ends = nearer
            if not ends:
                return []
        return [(first, last) for last, first in ends.items()]

    def _where(self, words: tuple[str, ...], exact: bool) -> list[int]:
        if (words, exact) not in self._places:
            found: set[int] = set()
            for word in words:
                for heard in self._heard_as(word, exact):
                    found.update(self._at[heard])
            self._places[words, exact] = sorted(found)
        return self._places[words, exact]

    def _heard_as(self, word: str, exact: bool) -> list[str]:
        stem = word.removesuffix("*")
        if stem != word:
            low = bisect.bisect_left(self._vocabulary, stem)
            high = bisect.bisect_left(self._vocabulary, stem + "\uffff")
            found = self._vocabulary[low:high]
        else:
            found = [word] if word in self._at else []
        if exact or len(stem) < FUZZY_FROM or found:
            return found
        low = bisect.bisect_left(self._vocabulary, stem[0])
        high = bisect.bisect_left(self._vocabulary, stem[0] + "\uffff")
        cut = len(stem) if stem != word else None
        return [
            heard
            for heard in self._vocabulary[low:high]
            if one_slip(stem, heard[:cut]) or (cut and one_slip(stem, heard[: cut + 1]))
        ]


def one_slip(a: str, b: str) -> bool:
    """Tell whether one letter wrong, missing, added or swapped separates two words."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    rest_a, rest_b = a[start:], b[start:]
    return (
        rest_a[1:] == rest_b[1:]
        or rest_a[1:] == rest_b
        or rest_a == rest_b[1:]
        or (rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:])
    )
