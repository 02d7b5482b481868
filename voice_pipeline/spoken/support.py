"""Does a sentence say only what was said? Word by word, against the words that it cites.

Every word of meaning must have been spoken, in some form of it, and what may be (`will`, `if`) must
not become what is. It judges no paraphrase: a synonym counts as unsaid, because a wrong one cannot
be told from a right one without understanding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from voice_pipeline.spoken.numbers import is_numeric, is_unit
from voice_pipeline.spoken.words import tokens, vocabulary

NEGATIONS = vocabulary("not no never nobody none nothing neither nor without unable")
# Words of grammar, and those by which a note reports: they state nothing by themselves. No verb
# that could turn talk into a deed (confirm, agree, promise, resolve) is among them.
_GRAMMAR = vocabulary(
    "a an the this that these those it its itself he she they them their his her him i me my we us "
    "our you your who which what when where why how there here of to in on at by for from with as "
    "into onto over under about after before since until than then and or but so because also both "
    "each all any some such only own same am is are was were be been being do does did has have "
    "had having get got will would shall should can could may might must if unless not no never "
    "customer caller agent call calls called calling says said say saying states stated asks asked "
    "asking wants wanted want needs needed need reports reported reporting regarding concerning "
    "whether while during just still now up out"
)
# What may be, is to be, or depends. Each group is one way to say it.
_MODES = {
    **dict.fromkeys(("will", "shall", "going"), "will"),
    **dict.fromkeys(("can", "could"), "can"),
    **dict.fromkeys(("may", "might", "maybe", "perhaps", "possibly", "hopefully"), "may"),
    **dict.fromkeys(("should", "must", "ought"), "should"),
    **dict.fromkeys(("if", "unless", "whether", "provided", "assuming"), "if"),
    "would": "would",
}
_ENDING = re.compile(r"(?:ings?|ied|ies|ed|es|s|ly|e|d|y)$")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_SHORTEST_STEM = 3
_RUN_UP = vocabulary("and so okay ok right now well um uh then alright but oh thanks yes")
_ASKING = vocabulary(
    "can could will would shall do does did is are have has what which who when where how why"
)
# Words with which somebody binds himself, and words around them that take it back.
_PROMISE = vocabulary("will shall going can let expect promise guarantee arrange")
_ENOUGH = 12  # words, for a share to mean anything
_BEFORE = 2  # words in front of a promise in which a negation undoes it
_CONDITION = 6  # ... in which an `if` does
_HEDGE = 6  # ... in which a `maybe` does
_REPORT = 8  # ... in which somebody else is quoted
_HEDGES = vocabulary("maybe perhaps possibly hopefully supposedly allegedly")
_GUESSES = vocabulary("think guess hope suppose doubt hoping")  # of a speaker: `i think they will`
_REPORTS = vocabulary("said says saying wrote writes told claimed claims promised stated states")
# who may be quoted and still binds himself: `i said i will`, `that said, i will`
_SELF = vocabulary("i we having that")
_EMPTY_HANDED = vocabulary("nothing none no not never")
_RECEIVE = vocabulary("get receive have hear see be")


def stem(word: str) -> str:
    """Return a word without its ending, so that `charges` and `charged` are one."""
    cut = _ENDING.sub("", word)
    if len(cut) < _SHORTEST_STEM:
        return word
    return cut[:-1] if len(cut) > _SHORTEST_STEM and cut[-1] == cut[-2] else cut


def unsaid(text: str, cited: Iterable[str]) -> list[str]:
    """Return the words of meaning in `text` that no cited text has; numbers are left to others."""
    spoken = {stem(token.text) for said in cited for token in tokens(said.split())}
    return [
        token.text
        for token in tokens(text.split())
        if token.text not in _GRAMMAR
        and not is_numeric(token.text)
        and not is_unit(token.text)
        and stem(token.text) not in spoken
    ]


def modes(text: str) -> frozenset[str]:
    """Return the ways in which a text holds back from stating: will, can, may, if ..."""
    return frozenset(_MODES[t.text] for t in tokens(text.split()) if t.text in _MODES)


def denies(text: str) -> bool:
    """Tell whether a text negates anything."""
    return any(token.text in NEGATIONS for token in tokens(text.split()))


def asks(text: str) -> bool:
    """Tell whether a sentence is a question, also one that a recognizer gave no mark."""
    words = text.lower().replace(",", " ").split()
    opening = next((word for word in words if word not in _RUN_UP), "")
    return text.rstrip().endswith("?") or (opening in _ASKING and not text.endswith("."))


def reports(text: str) -> bool:
    """Tell whether a text says what somebody else said: `he wrote`, `the leaflet says`."""
    texts = [token.text for token in tokens(text.split())]
    return any(_quotes_another(texts, at) for at in range(len(texts)))


def promises(text: str) -> bool:
    """Tell whether somebody binds himself in these words.

    Unconditionally, not `can not`, no guess (`maybe we will`), and not in another's words (`he
    wrote i will`, `i never said we will`).
    """
    return any(
        _binds([token.text for token in tokens(sentence.split())])
        for sentence in _SENTENCE_END.split(text)
    )


def _binds(texts: Sequence[str]) -> bool:
    return any(
        text in _PROMISE
        and not NEGATIONS & {*texts[max(0, at - _BEFORE) : at]}
        and (text != "can" or _offers(texts, at))
        and "if" not in texts[max(0, at - _CONDITION) : at]
        and not _HEDGES & {*texts[max(0, at - _HEDGE) : at]}
        and not any(_guesses(texts, n) for n in range(max(0, at - _HEDGE), at))
        and not any(_quotes_another(texts, n) for n in range(max(0, at - _REPORT), at))
        and not _gives_nothing(texts, at)
        for at, text in enumerate(texts)
    )


def _guesses(texts: Sequence[str], at: int) -> bool:
    return texts[at] in _GUESSES and bool({"i", "we"} & {*texts[max(0, at - _BEFORE) : at]})


def _quotes_another(texts: Sequence[str], at: int) -> bool:
    """Tell whether a word brings in what somebody else says, or what was never said."""
    if texts[at] not in _REPORTS:
        return False
    before = {*texts[max(0, at - _BEFORE) : at]}
    return bool(NEGATIONS & before) or not _SELF & before


def _gives_nothing(texts: Sequence[str], at: int) -> bool:
    """Tell whether what is promised is nothing: `you will get nothing from us`."""
    return texts[at + 1 : at + 2] != [] and (
        texts[at + 1] in _RECEIVE
        and texts[at + 2 : at + 3] != []
        and texts[at + 2] in _EMPTY_HANDED
    )


def grammar_share(texts: Iterable[str]) -> float | None:
    """Return how much of some texts is English grammar; None where there are too few words.

    English sentences have 0.35 and more, also terse ones; other languages share "a", "me", "no".
    """
    words = [token.text for text in texts for token in tokens(text.split())]
    if len(words) < _ENOUGH:
        return None
    return sum(word in _GRAMMAR for word in words) / len(words)


def _offers(texts: Sequence[str], at: int) -> bool:
    """Tell `i can send you a form` from `can i help` and `i can not`."""
    by_me = any(text in ("i", "we") for text in texts[max(0, at - _BEFORE) : at])
    return by_me and texts[at + 1 : at + 2] != ["not"]
