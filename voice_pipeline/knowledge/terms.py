"""The words of a text by which articles are found: stemmed, without what every sentence has.

A light stemmer (plural, -ing, -ed, -ly; Harman 1991 found lighter ones as good as Porter's for
short texts) and the irregular verbs of service calls. Placeholders of redacted data are no terms.
"""

from __future__ import annotations

from functools import lru_cache

from voice_pipeline.spoken.words import tokens, vocabulary

STOP = vocabulary(
    "a an the this that these those it its i me my mine myself we us our you your yours he him his "
    "she her they them their is am are was were be been being do does did done doing have has had "
    "having will would shall should can could may might must not no nor yes and or but if then so "
    "than as at by for from in into of off on onto out over to up with without about after again "
    "against all any because before below between both down during each few further here how "
    "just more most now once only other own same some such there through too under until very "
    "what when where which while who whom why also get got gets getting go goes going went gone "
    "come came comes coming say says said tell told ask asked please thank thanks thanking hello "
    "hi hey okay ok oh well right yeah sure bye goodbye good morning afternoon evening know think "
    "thing things want wants wanted like need needs needed help name let see look make made give "
    "gave given take took taken put one two somebody someone something anybody anything nobody "
    "nothing everybody everything really still back way ever never much many lot sorry call calls "
    "called calling phone speak speaking fine great mister mr mrs sir madam"
)
_IRREGULAR = {
    form: base
    for base, forms in {
        "pay": "paid", "send": "sent", "steal": "stole stolen", "lose": "lost",
        "break": "broke broken", "buy": "bought", "sell": "sold", "choose": "chose chosen",
        "drive": "drove driven driver",
        "forget": "forgot forgotten", "die": "died death dead", "hit": "hit", "leave": "left",
        "child": "children", "freeze": "froze frozen", "shut": "shut", "write": "wrote written",
    }.items()
    for form in forms.split()
}  # fmt: skip
SHORTEST = 3  # letters that a stem keeps


def terms(text: str) -> list[str]:
    """Return the terms of a text in order; repeated ones stay repeated."""
    return [
        stem(token.text)
        for token in tokens(text.split())
        if token.text not in STOP and not token.text.startswith("[")
    ]


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """Return the form under which a word is counted."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if not word.isalpha() or len(word) <= SHORTEST:
        return word
    for ending, kept in (("sses", "ss"), ("ies", "y"), ("ss", "ss"), ("us", "us"), ("s", "")):
        if word.endswith(ending):
            word = word[: -len(ending)] + kept
            break
    for ending in ("ingly", "edly", "ing", "ed", "ly"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= SHORTEST and any(vowel in base for vowel in "aeiouy"):
            word = _undoubled(base)
            break
    return word.removesuffix("e") if len(word) > SHORTEST + 1 else word


def _undoubled(word: str) -> str:
    """Undo the doubled letter of `stopped`, `cancelled`."""
    doubled = len(word) > SHORTEST and word[-1] == word[-2] and word[-1] not in "aeiousz"
    return word[:-1] if doubled else word
