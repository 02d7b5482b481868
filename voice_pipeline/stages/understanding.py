"""How much of a channel's speech was understood: one share per channel, without knowing the truth.

Decides from what the engine believes of its words, corrected by what that engine's belief was
measured to be worth, and from how much speech became how many plausible words. It refuses to be
optimistic: every doubt lowers the share, none raises it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from redaction.records import Word

# Least understood share with which a call may be redacted and released. On the channels from which
# the pocketsphinx curve was made: of 61 with a word error rate above 40 % two were at or above it
# (both ten spoken digits), of 52 below 20 % none was below it. Of spoken card, account and social
# security numbers 2.3 % stay audible above 0.50 and none above 0.55 (63 channels, synthetic voices:
# docs/redaction-audio.md, docs/decisions/0009).
UNDERSTOOD_FLOOR = 0.65

# Words cover 0.8-1.0 of the speech time in fluent calls and 0.5-0.7 in dictated digits (pauses
# count as speech); foreign languages and noise left 0.05-0.5 (same channels).
FULL_COVERAGE = 0.5
# Words per second of word time. English conversation has 3-4, the fastest channel that was
# understood 4.1; foreign speech forced into English words gave 4.5-7.
FASTEST = 6.0
# Words per second of speech below which most of it cannot have become words; dictated digits with
# pauses have 1.0-1.3.
SLOWEST = 0.7
# Share of function words: 0.34-0.53 on channels that were understood, up to 0.65 where noise became
# "the a of".
MOST_FUNCTION_WORDS = 0.6
ENOUGH_WORDS = 20  # for a share of function words to mean anything
# Longest part of a stretch of speech that is margin (audio.listen keeps 0.2 s at either end).
MARGINS = 0.4  # seconds

_FUNCTION_WORDS = frozenset({
    "the", "a", "an", "of", "to", "in", "and", "is", "it", "that", "i", "you", "he", "she", "they",
    "we", "was", "for", "on", "with", "as", "at", "by", "be", "this", "are", "or", "not", "but",
    "his", "her", "from", "had", "have", "has", "so", "if", "no", "do", "me", "my",
})  # fmt: skip

Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Understanding:
    """What was made of one channel's speech."""

    share: float  # 0..1, of the speech that became plausible words, probably the right ones
    confidence: float  # 0..1, the engine's own mean word confidence, weighted by duration


def estimate(
    words: Sequence[Word],
    stretches: Spans,
    *,
    language: str,
    calibration: Sequence[tuple[float, float]] = (),
    has_confidence: bool = True,
) -> Understanding:
    """Estimate how much of a channel was understood.

    Args:
        words: all words of the channel. A word without times counts as spoken, but covers nothing.
        stretches: [start, end) seconds in which somebody speaks, margins included, as listened to.
        language: ISO 639-1; function words are looked at in English alone.
        calibration: (confidence, share of right words) of the engine; empty: taken at its word.
        has_confidence: False where the engine gives none: only the plausibility of the words
            counts then.

    Returns:
        A share of 0 where there is speech and no word, of 1 where there is no speech at all.
    """
    speech = sum(max(0.0, end - start - MARGINS) for start, end in stretches)
    if speech <= 0 and not words:
        return Understanding(1.0, 1.0)
    if not words:
        return Understanding(0.0, 0.0)
    confidence = mean_confidence(words) if has_confidence else 1.0
    right = _interpolated(confidence, calibration) if calibration else confidence
    share = right * _coverage(words, speech) * _pace(words, speech) * _content(words, language)
    return Understanding(round(min(1.0, max(0.0, share)), 4), round(confidence, 4))


def mean_confidence(words: Sequence[Word]) -> float:
    """Return the mean confidence weighted by duration; a word without one counts as 0."""
    durations = [_duration(word) for word in words]
    total = sum(durations)
    if not total:  # no times: every word weighs the same
        return sum(word.confidence or 0.0 for word in words) / len(words)
    weighted = (word.confidence or 0.0 for word in words)
    return sum(a * b for a, b in zip(weighted, durations, strict=True)) / total


def _duration(word: Word) -> float:
    if word.start is None or word.end is None:
        return 0.0
    return max(0.0, word.end - word.start)


def _coverage(words: Sequence[Word], speech: float) -> float:
    covered = sum(_duration(word) for word in words)
    if not covered or speech <= 0:  # no times, or less speech than the margins: nothing to compare
        return 1.0
    return min(1.0, covered / speech / FULL_COVERAGE)


def _pace(words: Sequence[Word], speech: float) -> float:
    covered = sum(_duration(word) for word in words)
    slow = min(1.0, len(words) / speech / SLOWEST) if speech > 0 else 1.0
    fast = min(1.0, FASTEST * covered / len(words)) if covered else 1.0
    return slow * fast


def _content(words: Sequence[Word], language: str) -> float:
    if language != "en" or len(words) < ENOUGH_WORDS:
        return 1.0
    share = sum(word.text.lower() in _FUNCTION_WORDS for word in words) / len(words)
    return 1.0 - max(0.0, share - MOST_FUNCTION_WORDS) / (1.0 - MOST_FUNCTION_WORDS)


def _interpolated(value: float, points: Sequence[tuple[float, float]]) -> float:
    if value <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return points[-1][1]
