"""Whether what an engine heard is the language that it knows, or another one forced into it.

Decides by the words between the function words: a recognizer of English puts "the", "and", "to"
into any sound, but hears people talk of days, money and numbers only where they do. It refuses to
name a language, and to judge a few words.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.records import Word
from voice_pipeline.spoken.everyday import CONTENT, FUNCTION

# Least share of everyday words among those that are no function words; docs/speech.md says
# what it was set on.
FLOOR = 0.6
ENOUGH = 20  # words below which a share means nothing


def plausible(words: Sequence[Word], language: str) -> bool:
    """Return whether words may have been said in a language; only English can be judged."""
    telling = [word for word in _plain(words) if word not in FUNCTION]
    return language != "en" or len(telling) < ENOUGH or likelihood(words) >= FLOOR


def likelihood(words: Sequence[Word]) -> float:
    """Return the share of everyday words, 0..1, function words left out; 1 for no words.

    Spelled letters are everyday.
    """
    telling = [word for word in _plain(words) if word not in FUNCTION]
    if not telling:
        return 1.0
    return sum(word in CONTENT or len(word) == 1 for word in telling) / len(telling)


def _plain(words: Sequence[Word]) -> list[str]:
    bare = (word.text.casefold().strip(".,;:!?\"'") for word in words)
    return [word for word in bare if word and word[0].isalpha()]
