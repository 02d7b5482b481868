"""Profane words of English, for those who must not write them and those who must not invent them.

Decides what counts as profane, short of mild oaths that callers use without meaning harm.
"""

from __future__ import annotations

import re

_PROFANE = re.compile(
    r"(mother)?fuck\w*|(bull|dip|horse)?shit\w*|cunts?|cock(s|sucker)?|dick(s|head)?|tits|twats?"
    r"|ass(hole)?s?|arse(hole)?s?|bitch\w*|son-of-a-bitch|bastards?|whores?|whorehouse|sluts?"
    r"|slutty|puss(y|ies)|wank(er|ers)?|piss(ed|es|ing)?|nigg(er|ers|a|as)?|fag(s|got|gots)?|spic"
    r"|(god)?damn(ed)?"
)


def is_profane(word: str) -> bool:
    """Return whether a word, in any case and with punctuation around it, is profane."""
    return _PROFANE.fullmatch(word.casefold().strip(".,;:!?\"'()")) is not None
