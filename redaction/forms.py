"""One finding set over several forms of the same speech: lexical, written, alternates.

Engines give "four two" and "42" for the same words, and each form shows what the other hides.
Decides where a finding of one form stands in another: by time where both have times, else by the
words around it. Fails closed: what cannot be placed takes the whole turn.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from redaction.records import Finding, Turn, Word
from redaction.tokens import normalise

Find = Callable[[Sequence[Turn]], tuple[Finding, ...]]
Words = Sequence[Word]
Anchors = Sequence[tuple[int, int]]  # words that are the same in both forms, in order


def find_forms(find: Find, turns: Sequence[Turn]) -> tuple[tuple[Finding, ...], ...]:
    """Find in every form and give each form the findings of all.

    Args:
        find: finds in turns of one form.
        turns: one conversation; a turn has its other forms in `forms`.

    Returns:
        Findings in the words of the turns, then in those of each further form: item 1 holds
        places in `turn.forms[0]`, or in `turn.words` where a turn has no such form.
    """
    depth = max((len(turn.forms) for turn in turns), default=0)
    views = [[view(turn, form) for turn in turns] for form in range(depth + 1)]
    own = [find(view) for view in views]
    shown = list(own[0])
    for form in range(1, depth + 1):
        shown += _carried(own[form], views[form], views[0])
    found = [merge(shown, views[0])]
    for form in range(1, depth + 1):
        rest = [*own[form], *_carried(found[0], views[0], views[form])]
        found.append(merge(rest, views[form]))
    return tuple(found)


def view(turn: Turn, form: int) -> Turn:
    """Return a turn as one of its forms has it; 0 is the shown one."""
    words = turn.forms[form - 1] if 0 < form <= len(turn.forms) else turn.words
    return replace(turn, words=words, forms=())


def _carried(
    findings: Sequence[Finding], source: Sequence[Turn], target: Sequence[Turn]
) -> list[Finding]:
    """Return findings of one form as places in another."""
    carried, anchors, at = [], None, -1
    for finding in sorted(findings, key=lambda item: item.turn):
        one, two = source[finding.turn].words, target[finding.turn].words
        if not two:
            continue
        if one is two:
            carried.append(finding)
            continue
        if finding.turn != at or anchors is None:
            anchors, at = align(one, two), finding.turn
        first, last = place(finding, one, two, anchors) or (0, len(two))
        carried.append(replace(finding, first=first, last=last))
    return carried


def place(
    finding: Finding, source: Words, target: Words, anchors: Anchors
) -> tuple[int, int] | None:
    """Return where a finding of one form stands in another, None where that cannot be told."""
    if finding.start is not None and finding.end is not None and all(map(_timed, target)):
        inside = [at for at, w in enumerate(target) if _meets(w, finding.start, finding.end)]
        return (inside[0], inside[-1] + 1) if inside else None
    before = bisect_left(anchors, (finding.first, -1)) - 1
    after = bisect_left(anchors, (finding.last, -1))
    first = anchors[before][1] + 1 if before >= 0 else 0
    last = anchors[after][1] if after < len(anchors) else len(target)
    return (first, last) if first < last else None


def _timed(word: Word) -> bool:
    if word.start is None or word.end is None:
        return False
    return math.isfinite(word.start) and math.isfinite(word.end) and word.start <= word.end


def _meets(word: Word, start: float, end: float) -> bool:
    assert word.start is not None and word.end is not None
    if word.start == word.end:
        return start <= word.start <= end
    return word.start < end and start < word.end


def align(source: Words, target: Words) -> list[tuple[int, int]]:
    """Return pairs of words that are the same in both, in order; cost is that of sorting.

    Sure are words that both have once; from them on, and from both ends, equal words follow.
    """
    one, two = [_plain(word) for word in source], [_plain(word) for word in target]
    counts_one, counts_two = Counter(one), Counter(two)
    places = {text: at for at, text in enumerate(two) if counts_two[text] == 1}
    unique = [
        (at, places[text])
        for at, text in enumerate(one)
        if counts_one[text] == 1 and text in places
    ]
    anchors: list[tuple[int, int]] = []
    i = j = 0
    for end_i, end_j in [*_rising(unique), (len(one), len(two))]:
        while i < end_i and j < end_j and one[i] == two[j]:
            anchors.append((i, j))
            i, j = i + 1, j + 1
        back: list[tuple[int, int]] = []
        a, b = end_i - 1, end_j - 1
        while a >= i and b >= j and one[a] == two[b]:
            back.append((a, b))
            a, b = a - 1, b - 1
        anchors.extend(reversed(back))
        i, j = end_i, end_j
    return anchors


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return a longest part of the pairs in which the second number rises too."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, value) in enumerate(pairs):
        at = bisect_right(tails, value)
        before.append(ends[at - 1] if at else -1)
        if at == len(tails):
            tails.append(value)
            ends.append(index)
        else:
            tails[at], ends[at] = value, index
    chain: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    return chain[::-1]


def _plain(word: Word) -> str:
    text = normalise(word.text).lower()
    return text.strip(".,;:!?\"'()[]") or text


def merge(findings: Sequence[Finding], turns: Sequence[Turn]) -> tuple[Finding, ...]:
    """Join findings that overlap: the best one names the whole, and no coverage is lost."""
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda item: (item.turn, item.first, -item.last)):
        last = merged[-1] if merged else None
        if last is None or last.turn != finding.turn or finding.first >= last.last:
            merged.append(finding)
            continue
        best = max((last, finding), key=lambda item: (item.score, item.last - item.first))
        merged[-1] = replace(
            best,
            first=last.first,
            last=max(last.last, finding.last),
            start=_earliest(last.start, finding.start),
            end=_latest(last.end, finding.end),
        )
    return tuple(_placed(finding, turns[finding.turn].words) for finding in merged)


def _placed(finding: Finding, words: Words) -> Finding:
    """Give a finding times that cover its words and what the other forms said of them."""
    inside = words[finding.first : finding.last]
    if not all(map(_timed, inside)):
        return replace(finding, start=None, end=None)
    starts = [word.start for word in inside if word.start is not None]
    ends = [word.end for word in inside if word.end is not None]
    return replace(
        finding,
        start=_earliest(finding.start, min(starts)),
        end=_latest(finding.end, max(ends)),
    )


def _earliest(one: float | None, two: float | None) -> float | None:
    return two if one is None else one if two is None else min(one, two)


def _latest(one: float | None, two: float | None) -> float | None:
    return two if one is None else one if two is None else max(one, two)
