"""Doubts about what a sequence model wrote: text where nobody spoke, loops, guesses.

Decides which words of a segment lose their confidence and which mark says why. It removes text in
one case alone, where the model itself says that nobody spoke; everything else stays readable for
the redactor, because a doubtful digit may still be a digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redaction.records import Word

# Whisper's own thresholds (Radford et al. 2022, section 4.5, and the defaults of its decoder).
# faster-whisper's batched pipeline takes these settings and ignores them, so they are applied here.
NO_SPEECH = 0.6  # probability of the no-speech token ...
LOW_LOGPROB = -1.0  # ... together with a mean log probability below this: nothing was said
LOOPING = 2.4  # zlib compression ratio of the text above which it repeats itself

REPEATS = 3  # times a phrase stands in a row before it counts as a loop
LONGEST_PHRASE = 12  # words
# One word said over and over is common speech ("no no no", "five five five five"): only more in a
# row than any telephone or card number has is a loop.
WORD_REPEATS = 8
# Seconds around speech within which a word still belongs to it: the model's word times are
# quantized to 20 ms and drift at pauses, the activity detector closes late.
NEAR_SPEECH = 0.4

Spans = Sequence[tuple[float, float]]


def is_not_speech(no_speech_prob: float, avg_logprob: float) -> bool:
    """Return whether the model itself doubts that anything was said, and guessed badly."""
    return no_speech_prob > NO_SPEECH and avg_logprob < LOW_LOGPROB


def loops(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return where a phrase is repeated past its first time, as [first, last) word positions.

    A phrase of two or more words counts from three times in a row, a single word from eight.
    """
    words = ["".join(char for char in text.lower() if char.isalnum()) for text in texts]
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(words):
        length, times = _longest_loop(words, at)
        if times:
            found.append((at + length, at + length * times))
            at += length * times
        else:
            at += 1
    return found


def _longest_loop(words: Sequence[str], at: int) -> tuple[int, int]:
    """Return length and times of the loop that starts here, or (0, 0)."""
    for length in range(1, LONGEST_PHRASE + 1):
        phrase = words[at : at + length]
        times = 1
        while words[at + length * times : at + length * (times + 1)] == phrase:
            times += 1
        least = WORD_REPEATS if len(set(phrase)) == 1 else REPEATS
        if times >= least and any(phrase):
            return length, times
    return 0, 0


def doubt_loops(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Take the confidence of repeated phrases; the first time keeps its own."""
    doubted = {
        position
        for first, last in loops([word.text for word in words])
        for position in range(first, last)
    }
    return tuple(
        replace(word, confidence=0.0) if position in doubted else word
        for position, word in enumerate(words)
    )


def doubt_outside(words: tuple[Word, ...], speech: Spans) -> tuple[Word, ...]:
    """Take the confidence of words that lie where nobody speaks.

    Args:
        words: with times; words without stay as they are.
        speech: [start, end) seconds, on the same clock.
    """
    return tuple(
        replace(word, confidence=0.0) if _lies_outside(word, speech) else word for word in words
    )


def _lies_outside(word: Word, speech: Spans) -> bool:
    if word.start is None or word.end is None:
        return False
    begin, finish = word.start, word.end
    return not any(
        begin < end + NEAR_SPEECH and finish > start - NEAR_SPEECH for start, end in speech
    )
