"""What a text states that its sources do not: a promise, an amount or number, a day.

What stands word for word in a source is taken out; the rest is read. A promise in the rest is a new
one, however it is worded; a number or day may be repeated in other words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from voice_pipeline.spoken.dates import MONTHS, WEEKDAYS, dues
from voice_pipeline.spoken.numbers import numbers
from voice_pipeline.spoken.phrases import Spoken, parse
from voice_pipeline.spoken.words import Token, tokens

Kind = Literal["promise", "number", "date"]

_SENTENCE = re.compile(r"(?<=[.?!:;])\s+|\n+|[“”\"]")
# A shorter source counts only as a whole sentence: `we will` must not excuse what follows it.
SHORTEST = 4  # words
_AMBIGUOUS = frozenset({"may", "march", "second"})  # also verbs and nouns
_DAYS = (frozenset(WEEKDAYS) | frozenset(MONTHS)) - _AMBIGUOUS


def new_statement(text: str, sources: Sequence[str], promises: Iterable[str]) -> Kind | None:
    """Return the kind of the first statement that no source has; None where there is none.

    Args:
        sources: what may be said: verified quotes, passages of approved articles, templates.
        promises: phrases that make a sentence a promise.
    """
    known = [_texts(source) for source in sources]
    rest = [
        piece
        for sentence in _SENTENCE.split(text)
        for piece in _without(tokens(sentence.split()), known)
    ]
    if _says(rest, promises):
        return "promise"
    told = [said for source in sources for said in _sentences(source)]
    values = {value for said in told for value in _values(said)}
    if any(_values(piece) - values for piece in rest):
        return "number"
    words = {token.text for said in told for token in said}
    spoken = [tuple(token.text for token in said) for said in told]
    for piece in rest:
        if any(token.text in _DAYS and token.text not in words for token in piece):
            return "date"
        for due in dues(piece, None):
            when = tuple(token.text for token in piece[due.first : due.last + 1])
            if not any(_place(when, said) is not None for said in spoken):
                return "date"
    return None


def says(text: str, phrases: Iterable[str]) -> bool:
    """Tell whether a text has one of the phrases."""
    return _says(_sentences(text), phrases)


def _says(utterances: Iterable[Sequence[Token]], phrases: Iterable[str]) -> bool:
    spoken = Spoken(utterances)
    return any(spoken.find(parse(phrase)) for phrase in phrases)


def _sentences(text: str) -> list[list[Token]]:
    return [tokens(sentence.split()) for sentence in _SENTENCE.split(text)]


def _texts(text: str) -> list[tuple[str, ...]]:
    """Return the sentences of a source and the source as a whole, the longest first."""
    whole = [token.text for said in _sentences(text) for token in said]
    found = {tuple(whole)} | {tuple(token.text for token in said) for said in _sentences(text)}
    return sorted((words for words in found if words), key=len, reverse=True)


def _without(
    words: list[Token], known: Sequence[Sequence[tuple[str, ...]]]
) -> Iterable[list[Token]]:
    """Yield what is left of a sentence when everything known is cut out."""
    pieces = [words]
    for source in known:
        for part in source:
            pieces = [left for piece in pieces for left in _cut(piece, part)]
    return [piece for piece in pieces if piece]


def _cut(words: list[Token], part: tuple[str, ...]) -> list[list[Token]]:
    texts = tuple(token.text for token in words)
    at = _place(part, texts)
    if at is None or (len(part) < SHORTEST and part != texts):
        return [words]
    return [words[:at], *_cut(words[at + len(part) :], part)]


def _place(part: tuple[str, ...], whole: tuple[str, ...]) -> int | None:
    width = len(part)
    return next(
        (at for at in range(len(whole) - width + 1) if whole[at : at + width] == part), None
    )


def _values(words: Sequence[Token]) -> set[str]:
    return {number.digits or f"{number.value:g}" for number in numbers(words)}
