"""Words of a transcript in the form in which they are compared, each with its place.

Contractions are opened (`i've`, `ive` -> `i have`), fillers and stammered repeats are left out;
places always name the words as they stand in the turn, so a quote stays verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def listed(text: str) -> tuple[str, ...]:
    """Return the words of a text, in order."""
    return tuple(text.split())


def vocabulary(text: str) -> frozenset[str]:
    """Return the words of a text, as a set."""
    return frozenset(text.split())


FILLERS = vocabulary("um uh erm er hmm mm uhm ah")

# Contractions heard without their apostrophe. "id", "ill", "were", "well", "shell" are words of
# their own and stay as they are.
_BARE = {
    "dont": "do not", "doesnt": "does not", "didnt": "did not", "cant": "can not",
    "cannot": "can not", "wont": "will not", "isnt": "is not", "arent": "are not",
    "wasnt": "was not", "werent": "were not", "havent": "have not", "hasnt": "has not",
    "hadnt": "had not", "wouldnt": "would not", "couldnt": "could not", "shouldnt": "should not",
    "im": "i am", "ive": "i have", "youre": "you are", "youve": "you have", "youll": "you will",
    "theyre": "they are", "theyve": "they have", "weve": "we have", "thats": "that is",
    "whats": "what is", "theres": "there is", "gonna": "going to", "wanna": "want to",
    "gotta": "got to", "won't": "will not", "can't": "can not", "shan't": "shall not",
    "let's": "let us", "y'all": "you all",
}  # fmt: skip
_ENDINGS = (
    ("n't", " not"),
    ("'m", " am"),
    ("'re", " are"),
    ("'ve", " have"),
    ("'ll", " will"),
    ("'d", " would"),
)
_IS = vocabulary("it that he she what there who where how here nobody everything nothing")
_EDGES = re.compile(r"^[^\w$£€\[]+|[^\w%\]]+$")
_SPLIT = re.compile(r"(?<=[a-z])[-/](?=[a-z])")
_MARKUP = re.compile(r'[<>|{}"]')  # nobody speaks these; typed transcripts glue words with them


@dataclass(frozen=True, slots=True)
class Token:
    """One word in comparable form."""

    text: str
    turn: int
    word: int  # index of the word within its turn


def comparable(word: str) -> list[str]:
    """Return the comparable forms that one written word stands for; [] for bare punctuation."""
    plain = _EDGES.sub("", word.lower().replace("’", "'").replace("‘", "'"))
    if not plain:
        return []
    if plain.startswith("["):  # a placeholder such as [CARD_NUMBER]
        return [plain]
    if _MARKUP.search(plain):
        return [form for part in _MARKUP.split(plain) for form in comparable(part)]
    if plain in _BARE:
        return _BARE[plain].split()
    for ending, opened in _ENDINGS:
        if plain.endswith(ending) and len(plain) > len(ending):
            return (plain[: -len(ending)] + opened).split()
    if plain.endswith("'s"):
        return [plain[:-2], "is"] if plain[:-2] in _IS else [plain[:-2]]
    return _SPLIT.sub(" ", plain).replace("'", "").split()


def tokens(words: Iterable[str], turn: int = 0) -> list[Token]:
    """Return the tokens of one turn, without fillers and stammered repeats."""
    found: list[Token] = []
    for place, word in enumerate(words):
        for text in comparable(word):
            if text in FILLERS or (found and found[-1].text == text and not _counts(text)):
                continue
            found.append(Token(text, turn, place))
    return found


def _counts(text: str) -> bool:
    """Tell whether saying it twice means it twice: digits do, stammered words do not."""
    return text.isdigit() or text in _DIGITS


_DIGITS = vocabulary("zero oh o one two three four five six seven eight nine")


def quote(words: Sequence[str], first: int, last: int) -> str:
    """Return words `first` to `last` (inclusive) as they stand."""
    return " ".join(words[first : last + 1])
