"""Was it taken back? A promise that its speaker withdraws, or makes anew for another time.

It reads what the same side says next, in that turn and the two after it. Withdrawing takes two
things, a word that turns round (`no wait`, `sorry`) and an inability that is about the promise, so
that `i will call tomorrow, sorry i can not say when` stays a promise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from voice_pipeline.domain import Evidence, RedactedTurn
from voice_pipeline.spoken.dates import dues
from voice_pipeline.spoken.support import promises, stem
from voice_pipeline.spoken.words import comparable, tokens, vocabulary

REACH = 2  # further turns of the same side
_TURNS_ROUND = vocabulary(
    "no actually sorry wait oh unfortunately afraid apologies hang scratch but"
)
_LEAD = 9  # words between the word that turns round and the inability
_UNABLE = re.compile(
    r"\b(?:(?:can|could|will|may) not (?:be able to )?|(?:am|are) not (?:able|allowed) to |"
    r"unable to )(?P<what>\w+)?(?P<object> \w+)?"
)
_ALL_OF_IT = vocabulary("that it this so sorry after now actually")
_WITHDRAWN = re.compile(
    r"\b(?:scratch that|take (?:that|it) back|ignore (?:that|what i)|forget (?:that|what i)|"
    r"i (?:was|am) (?:wrong|mistaken)|spoke too soon|not possible after all|"
    r"did not go through|has not gone through|(?:is|was) my mistake)\b"
)
_INSTEAD = vocabulary("actually no wait rather correction instead scratch")
_DONE = re.compile(r"\b(?:i|we) (?:(?:just|now|also) )?(?:have|am|are|\w+ed) ")
_BINDING = vocabulary("will shall to can have has just now also been am are")


def taken_back(quote: Evidence, turns: Sequence[RedactedTurn]) -> bool:
    """Tell whether the promise or deed of a quote is withdrawn or replaced by its speaker.

    Args:
        turns: the call, in order.
    """
    said = _plain(quote.quote)
    place = next((n for n, turn in enumerate(turns) if turn.turn == quote.turn), None)
    if place is None or not (promises(quote.quote) or _DONE.search(" ".join(said))):
        return False
    spoken = _plain(turns[place].text)
    start = next((n for n in range(len(spoken)) if spoken[n : n + len(said)] == said), None)
    if start is None:
        return False
    speaker = turns[place].speaker
    later = [turn.text for turn in turns[place + 1 :] if turn.speaker == speaker][:REACH]
    rest = [" ".join(spoken[start + len(said) :]), *(" ".join(_plain(text)) for text in later)]
    deeds = _deeds(said)
    return any(_withdraws(text, deeds) or _replaces(text, quote.quote, deeds) for text in rest)


def _withdraws(text: str, deeds: frozenset[str]) -> bool:
    if _WITHDRAWN.search(text):
        return True
    for found in _UNABLE.finditer(text):
        before = text[: found.start()].split()[-_LEAD:]
        what = found["what"]
        about = (
            what is None
            or what in _ALL_OF_IT
            or (what == "do" and (found["object"] or " it").strip() in _ALL_OF_IT)
            or stem(what) in deeds
        )
        if about and _TURNS_ROUND & {*before}:
            return True
    return False


def _replaces(text: str, old: str, deeds: frozenset[str]) -> bool:
    """Tell whether the same deed is promised for another time: `actually no, i will on monday`."""
    words = text.split()
    at = next((n for n, word in enumerate(words) if word in _INSTEAD), None)
    if at is None:
        return False
    anew = " ".join(words[at:])
    before, after = (
        {
            " ".join(token.text for token in said[due.first : due.last + 1])
            for due in dues(said, None)
        }
        for said in (tokens(old.split()), tokens(anew.split()))
    )
    return bool(before and after - before) and promises(anew) and bool(deeds & _deeds(words[at:]))


def _deeds(words: Sequence[str]) -> frozenset[str]:
    """Return the stems of the verbs behind `will`, `going to`, `have` and the like."""
    return frozenset(
        stem(word)
        for before, word in pairwise(words)
        if before in _BINDING and word not in _BINDING
    )


def _plain(text: str) -> list[str]:
    return [form for word in text.split() for form in comparable(word)]
