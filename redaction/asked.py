"""When a number was asked for, and when the question was over.

Decides the stretches of audio between such a question and its acknowledgement: inside them digits
may stand that nobody recognised. Holds no phrase of its own (the language pack has them), and
finds no personal data: it only says where to expect some.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from redaction.language import Language, Phrases, load_language
from redaction.records import Finding, Turn
from redaction.windows import CARD_LABELS, NUMBERS, extent, overlap

# Labels whose answers are muted from question to acknowledgement, whatever was recognised:
# Contact Lens and Google mute only what they heard, and so leave the digits they missed.
HELD_LABELS = frozenset({"CARD_NUMBER", "CARD_CVV", "PIN"})
# Labels whose question, when no number was found in the answer, makes the answer suspicious.
ASKED_LABELS = NUMBERS & (CARD_LABELS | {"PHONE", "ACCOUNT_NUMBER", "SORT_CODE", "ROUTING_NUMBER"})
# What a question for a number names: "I need my phone" names a telephone and asks for no number.
NUMBER_NOUNS = frozenset({
    "number", "numbers", "num", "digit", "digits", "code", "card", "cvv", "cvc", "csc", "c",
    "pin", "p", "ssn", "s", "social",
})  # fmt: skip
# Words between the asking phrase and what is asked for ("can I just take the ... long number").
REACH = 12
# Turns after which a question is forgotten, answered or not (research: about seven).
LAST_TURN = 7
# Seconds after which an open question mutes no further, whatever follows.
LONGEST_ANSWER = 60.0
# An asker's turn of fewer words is a back-channel, and the answer goes on.
SHORTEST_ACKNOWLEDGEMENT = 4
# Seconds of speech an answer needs to hold a number of two digits.
SHORTEST_ANSWER = 1.0

_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody asked for a value of this kind."""

    label: str
    turn: int  # the asking turn
    until: int  # the first turn that is no longer an answer; len(turns) at the end of the call
    start: float  # seconds: the question ends and the answer may begin
    end: float  # seconds: the acknowledgement begins
    answered: bool  # a finding stands in it, or the other side says it cannot answer


def questions(
    turns: Sequence[Turn], findings: Sequence[Finding], *, language: str = "en"
) -> tuple[Question, ...]:
    """Return the questions for numbers, in the order in which they were asked.

    Args:
        turns: what was said.
        findings: what was found in it; they tell an answer from an acknowledgement.
        language: a language pack.

    Raises:
        ValueError: there is no such language pack.
    """
    pack = load_language(language)
    spoken = [_words(turn) for turn in turns]
    numbers = {finding.turn for finding in findings if finding.label in NUMBERS}
    said = {(finding.label, finding.turn) for finding in findings}
    found: list[Question] = []
    for index, words in enumerate(spoken):
        for label in _labels(words, pack):
            read_back = {turn for named, turn in said if named == label}
            until = _acknowledged(turns, spoken, read_back, index)
            answer = range(index, until)
            answered = any(place in numbers for place in answer) or any(
                _holds(spoken[place], pack.lists["stalls"])
                for place in answer
                if turns[place].speaker != turns[index].speaker
            )
            start, end = _interval(turns, index, until)
            found.append(Question(label, index, until, start, end, answered))
    return tuple(found)


def open_intervals(asked: Sequence[Question]) -> tuple[tuple[float, float], ...]:
    """Return the stretches in which card data, CVV or PIN are expected: all of it is muted."""
    return tuple((q.start, q.end) for q in asked if q.label in HELD_LABELS and q.start < q.end)


def unanswered(
    asked: Sequence[Question],
    turns: Sequence[Turn],
    active: Sequence[Sequence[tuple[float, float]]],
) -> tuple[Question, ...]:
    """Return the questions whose answer holds speech, but no number that was found.

    Args:
        asked: from `questions`.
        turns: the same turns.
        active: per channel, where somebody speaks; without it every silent answer is suspicious.
    """
    suspicious = []
    for question in asked:
        if question.answered or question.start >= question.end:
            continue
        asker = turns[question.turn].channel
        sides = [s for c, s in enumerate(active) if c != asker or len(active) == 1]
        speech = sum(overlap(span, (question.start, question.end)) for s in sides for span in s)
        if speech >= SHORTEST_ANSWER or not active:
            suspicious.append(question)
    return tuple(suspicious)


def _labels(words: Sequence[str], pack: Language) -> tuple[str, ...]:
    """What a turn asks for: an asking phrase and, soon behind it, the topic."""
    asks = [at for at in range(len(words)) if _tag_at(words, at, pack.lists["asks"])[1]]
    found: dict[str, None] = {}
    for at in range(len(words)):
        label, length = _tag_at(words, at, pack.topics)
        named = NUMBER_NOUNS.intersection(words[at : at + length])
        if label in ASKED_LABELS and named and any(0 <= at - ask <= REACH for ask in asks):
            found[label] = None
    return tuple(found)


def _acknowledged(
    turns: Sequence[Turn], spoken: Sequence[Sequence[str]], read_back: set[int], asking: int
) -> int:
    """The first turn after a question in which the asker goes on to something else."""
    heard = False
    for index in range(asking + 1, min(len(turns), asking + LAST_TURN + 1)):
        if turns[index].speaker != turns[asking].speaker:
            heard = True
        elif heard and len(spoken[index]) >= SHORTEST_ACKNOWLEDGEMENT and index not in read_back:
            return index
    return min(len(turns), asking + LAST_TURN + 1)


def _interval(turns: Sequence[Turn], asking: int, until: int) -> tuple[float, float]:
    asked = extent(turns[asking])
    if asked is None:
        known = [span for turn in turns[:asking] if (span := extent(turn))]
        start = known[-1][0] if known else 0.0
    else:
        start = asked[1]
    after = next((span for turn in turns[until:] if (span := extent(turn))), None)
    latest = max((span[1] for turn in turns[:until] if (span := extent(turn))), default=start)
    end = after[0] if after else latest
    return start, min(max(end, start), start + LONGEST_ANSWER)


def _words(turn: Turn) -> list[str]:
    return _WORDS.findall(turn.text.lower().replace("’", "'"))


def _holds(words: Sequence[str], phrases: Phrases) -> bool:
    return any(_tag_at(words, at, phrases)[1] for at in range(len(words)))


def _tag_at(words: Sequence[str], at: int, phrases: Phrases) -> tuple[str, int]:
    """The tag and length of the longest phrase that begins here; nothing and 0 where none does."""
    for phrase, tag in phrases.get(words[at], ()):
        if tuple(words[at : at + len(phrase)]) == phrase:
            return tag, len(phrase)
    return "", 0
