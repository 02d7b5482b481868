"""Widen numbers over words that a recognizer got wrong.

`seven three six [eight heard as page] three` leaves its last digit outside the run. Around a number
that is personal anyway, number words one misheard word away belong to it, and words that sound like
a digit and touch it do too. For transcripts of recognizers; typed text says what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redaction.asked import Question
from redaction.records import Finding, Turn, Word

NUMBER_LABELS = frozenset({
    "CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "PHONE", "ACCOUNT_NUMBER", "SORT_CODE",
    "ROUTING_NUMBER", "PIN", "NATIONAL_INSURANCE", "MEDICAL_ID", "TAX_ID",
})  # fmt: skip
DIGITS = frozenset(
    "zero oh nought one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy "
    "eighty ninety hundred double triple treble".split()
)
# What recognizers write for digits: Whisper and pocketsphinx alike, on clear speech.
SOUND_ALIKE = frozenset("for fore to too won ate tree fife nigh niner sex far free".split())
UNITS = frozenset(
    "dollars dollar pounds pound euros euro cents pence percent days day weeks week months month "
    "years year hours hour minutes minute times o'clock am pm".split()
)
LEAST_DIGITS = 2  # number words that make an answer one in digits
MISHEARD = 1  # words between a number and a digit that belongs to it


def widen(turns: Sequence[Turn], findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings, numbers grown over neighbouring digits; none overlaps another."""
    taken = {(f.turn, place) for f in findings for place in range(f.first, f.last)}
    grown = []
    for finding in findings:
        if finding.label in NUMBER_LABELS:
            words = turns[finding.turn].words
            blocked = {place for turn, place in taken if turn == finding.turn}
            first = _reach(words, finding.first - 1, -1, blocked)
            last = _reach(words, finding.last, 1, blocked)
            first, last = min(first + 1, finding.first), max(last, finding.last)
            taken |= {(finding.turn, place) for place in range(first, last)}
            finding = _placed(finding, words, first, last)
        grown.append(finding)
    return tuple(sorted(grown, key=lambda f: (f.turn, f.first)))


def answers(
    turns: Sequence[Turn], asked: Sequence[Question], findings: Sequence[Finding]
) -> tuple[Finding, ...]:
    """Return the findings with one for each turn that answers a question in mangled digits.

    The audio of such an answer is muted whole; its number words must not stand in the text then.
    """
    taken = {(f.turn, place) for f in findings for place in range(f.first, f.last)}
    added = []
    for question in asked:
        asker = turns[question.turn].speaker
        for number in range(question.turn + 1, min(question.until, len(turns))):
            words = [_plain(word.text) for word in turns[number].words]
            places = [at for at, text in enumerate(words) if text in DIGITS | SOUND_ALIKE]
            strong = sum(words[at] in DIGITS for at in places)
            if turns[number].speaker == asker or strong < LEAST_DIGITS:
                continue
            span = range(places[0], places[-1] + 1)
            if any((number, place) in taken for place in span):
                continue
            found = Finding(
                question.label,
                number,
                span.start,
                span.stop,
                0.5,
                "conversation",
                "unanswered",
                "digits in the answer to a question for a number, too mangled to read as one",
            )
            timed = replace(found, start=0.0)
            added.append(_placed(timed, turns[number].words, span.start, span.stop, force=True))
            taken |= {(number, place) for place in span}
    return tuple(sorted((*findings, *added), key=lambda f: (f.turn, f.first)))


def _reach(words: Sequence[Word], place: int, step: int, blocked: set[int]) -> int:
    """Return the first place beyond the number, going one way from it."""
    edge, skipped = place, 0
    while 0 <= place < len(words) and place not in blocked:
        text = _plain(words[place].text)
        ahead = place + 1
        if text in DIGITS and not (ahead < len(words) and _plain(words[ahead].text) in UNITS):
            edge, skipped = place + step, 0
        elif text in SOUND_ALIKE and skipped == 0:
            edge = place + step
        elif skipped < MISHEARD:
            skipped += 1
        else:
            break
        place += step
    return edge


def _placed(
    finding: Finding, words: Sequence[Word], first: int, last: int, *, force: bool = False
) -> Finding:
    if (first, last) == (finding.first, finding.last) and not force:
        return finding
    times = [(word.start, word.end) for word in words[first:last]]
    if finding.start is None or any(start is None or end is None for start, end in times):
        return replace(finding, first=first, last=last, start=None, end=None)
    return replace(
        finding,
        first=first,
        last=last,
        start=min(start for start, _ in times if start is not None),
        end=max(end for _, end in times if end is not None),
    )


def _plain(text: str) -> str:
    return text.lower().strip(".,?!;:'\"")
