"""The sound beside a spoken number that no word can be trusted to account for.

Decides how far speech goes on before the first and behind the last word of a number: a digit that
was missed, or heard as another word, stands there more often than anything else. Refuses to go past
a word that was heard for certain and is no digit.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from redaction.records import Finding, Turn, Word
from redaction.widen import DIGITS, SOUND_ALIKE
from redaction.windows import LOW_CONFIDENCE, NUMBERS, Span

# Seconds to either side beyond which even doubtful words are left: four slow digits.
REACH = 4.0


def beside_numbers(
    turns: Sequence[Turn],
    findings: Iterable[Finding],
    active: Sequence[Sequence[Span]],
    channels: int,
) -> tuple[Span, ...]:
    """Return the speech between a number and the next certain words on either side, seconds.

    Args:
        turns: what was said.
        findings: what was found in it; those that are no numbers are passed over.
        active: per channel, where somebody speaks; without it nothing is known to be there.
        channels: audio channels; with fewer than two every word is on the same one.
    """
    found: list[Span] = []
    lines: dict[int, _Line] = {}
    for finding in findings:
        if finding.label not in NUMBERS or not 0 <= finding.turn < len(turns):
            continue
        channel = turns[finding.turn].channel if channels > 1 else 0
        own = turns[finding.turn].words[max(0, finding.first) : max(0, finding.last)]
        places = list(_places(own))
        if not places or not 0 <= channel < len(active):
            continue
        start, end = min(a for a, _ in places), max(b for _, b in places)
        mine = [(a, b) for a, b in active[channel] if a < end and start < b]
        if not mine:
            continue
        if channel not in lines:
            lines[channel] = _Line(
                word
                for t in turns
                if channels < 2 or t.channel == channel
                for word in t.words
                if _certain(word)
            )
        first = max(mine[0][0], start - REACH, lines[channel].before(start))
        last = min(mine[-1][1], end + REACH, lines[channel].after(end))
        found += [(a, b) for a, b in ((first, start), (end, last)) if a < b]
    return tuple(found)


class _Line:
    """The certain words of one channel by time: what is the nearest one on either side."""

    def __init__(self, words: Iterable[Word]) -> None:
        places = list(_places(words))
        by_start = sorted(places)
        by_end = sorted(places, key=lambda place: place[1])
        self._starts = [start for start, _ in by_start]
        self._reached = list(accumulate((end for _, end in by_start), max))
        self._ends = [end for _, end in by_end]
        self._begun = list(accumulate((start for start, _ in reversed(by_end)), min))[::-1]

    def before(self, moment: float) -> float:
        """Return until when a word that began earlier lasts, at most `moment`."""
        at = bisect_left(self._starts, moment)
        return min(moment, self._reached[at - 1]) if at else -math.inf

    def after(self, moment: float) -> float:
        """Return from when a word that ends later lasts, at least `moment`."""
        at = bisect_right(self._ends, moment)
        return max(moment, self._begun[at]) if at < len(self._ends) else math.inf


def _certain(word: Word) -> bool:
    """Whether a word proves that no digit was said there; an engine without doubts is believed."""
    sure = word.confidence is None or word.confidence >= LOW_CONFIDENCE
    return sure and word.text.lower().strip(".,?!;:") not in DIGITS | SOUND_ALIKE


def _places(words: Iterable[Word]) -> Iterator[Span]:
    for word in words:
        start, end = word.start, word.end
        if start is not None and end is not None and math.isfinite(start + end) and start <= end:
            yield start, end
