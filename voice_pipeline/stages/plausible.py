"""Whether what an engine heard is the language that it knows, or another one forced into it.

Decides by the words between the function words, and by how sure the engine is of all of them: a
recognizer of English puts "the", "and", "to" into any sound, but hears people talk of days, money
and numbers only where they do. It refuses to name a language, and to judge a few words.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.records import Word
from voice_pipeline.spoken.everyday import CONTENT, FUNCTION
from voice_pipeline.stages.understanding import mean_confidence

# Least mean of two shares: everyday words among those that are no function words, and the engine's
# confidence. Neither is enough: a call about a car accident that was heard well has few everyday
# words (0.55, with 0.86), Spanish forced into English has many (0.68, with 0.44). docs/speech.md
# has the curve.
FLOOR = 0.6
# ... of the first alone where the engine gives no confidence: it then holds back less than half.
FLOOR_OF_WORDS = 0.5
ENOUGH = 15  # words below which a share means nothing


def plausible(words: Sequence[Word], language: str) -> bool:
    """Return whether words may have been said in a language; only English can be judged."""
    if language != "en" or len(_telling(words)) < ENOUGH:
        return True
    if all(word.confidence is None for word in words):
        return everyday(words) >= FLOOR_OF_WORDS
    return likelihood(words) >= FLOOR


def likelihood(words: Sequence[Word]) -> float:
    """Return how much words read and sound like English, 0..1."""
    return (everyday(words) + mean_confidence(words)) / 2 if words else 1.0


def everyday(words: Sequence[Word]) -> float:
    """Return the share of everyday words, 0..1, function words left out; 1 for none.

    Spelled letters are everyday.
    """
    telling = _telling(words)
    if not telling:
        return 1.0
    return sum(word in CONTENT or len(word) == 1 for word in telling) / len(telling)


def _telling(words: Sequence[Word]) -> list[str]:
    bare = (word.text.casefold().strip(".,;:!?\"'") for word in words)
    return [word for word in bare if word and word[0].isalpha() and word not in FUNCTION]
