"""Which value the talk is about: the questions that are open, asked by either side, several at once.

Decides by cue phrases of the language pack. A question stays open for MAX_AGE turns, closes early
once it was answered, and all close when the topic changes. Refuses to look at values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from redaction.language import Language, Phrases
from redaction.tokens import Atom

MAX_AGE = 7  # turns a question stays open; research on 60 multi-turn calls
ANSWERED_AGE = 3  # turns an answered question waits for pieces and read-backs


@dataclass(slots=True)
class Cue:
    """A phrase that names a kind of value."""

    first: int  # atom
    last: int
    topic: str


@dataclass(slots=True)
class Open:
    """A question that waits for its answer."""

    topic: str
    turn: int  # where it was asked, or last answered
    speaker: str
    asked: bool  # False: only mentioned
    answered: int = 0  # characters heard so far
    answered_at: int = -1


@dataclass(slots=True)
class Heading:
    """What one turn does to the conversation."""

    cues: list[Cue]
    asks: bool  # asks for something
    question: bool  # is a question itself, so no answer to one
    changes: bool  # moves on to another topic
    stalls: bool  # puts the answer off


def match(atoms: Sequence[Atom], at: int, table: Phrases) -> tuple[int, str] | None:
    """Return (end, tag) of the longest phrase that begins at `at`."""
    first = atoms[at].text
    candidates = table.get(first) or table.get(first.removesuffix("'s"))
    if candidates is None:
        return None
    n = len(atoms)
    for words, tag in candidates:
        end = at + len(words)
        if end <= n and all(_same(atoms[at + k].text, words[k]) for k in range(1, len(words))):
            return end, tag
    return None


def _same(text: str, word: str) -> bool:
    return text == word or text.removesuffix("'s") == word


def find_all(atoms: Sequence[Atom], table: Phrases) -> list[tuple[int, int]]:
    """Return (first, last) of every phrase of a table, left to right, not overlapping."""
    found, at = [], 0
    while at < len(atoms):
        hit = match(atoms, at, table)
        if hit is None:
            at += 1
        else:
            found.append((at, hit[0]))
            at = hit[0]
    return found


def head(atoms: Sequence[Atom], lang: Language) -> Heading:
    """Read the cues of one turn in one pass."""
    cues: list[Cue] = []
    asks = question = changes = stalls = False
    topics, ask, questions = lang.topics, lang.lists["asks"], lang.lists["questions"]
    change, stall = lang.lists["topic_changes"], lang.lists["stalls"]
    until = 0
    for at, atom in enumerate(atoms):
        text = atom.text
        if at >= until and (text in topics or text.endswith("'s")):
            hit = match(atoms, at, topics)
            if hit is not None:
                cues.append(Cue(at, hit[0], hit[1]))
                until = hit[0]
        if text in questions and not question and (at == 0 or not atom.glued):
            question = match(atoms, at, questions) is not None
        if text in ask and not asks:
            asks = match(atoms, at, ask) is not None
        if text in change and not changes:
            changes = match(atoms, at, change) is not None
        if text in stall and not stalls:
            stalls = match(atoms, at, stall) is not None
    return Heading(cues, asks or question, question, changes, stalls)


@dataclass(slots=True)
class Dialogue:
    """The open questions of a call, advanced turn by turn."""

    open: list[Open] = field(default_factory=list)

    def expire(self, turn: int) -> None:
        """Forget what is too old to be answered in `turn`."""
        self.open = [
            item
            for item in self.open
            if turn - item.turn <= (ANSWERED_AGE if item.answered else MAX_AGE)
        ]

    def hear(self, turn: int, speaker: str, heading: Heading, numbers: bool) -> None:
        """Open what a turn asks for or mentions; close what is over.

        Another question closes what was answered, unless it reads numbers back; words that move
        on close everything.
        """
        if heading.changes:
            self.open = []
        if heading.question and not numbers:
            named = {cue.topic for cue in heading.cues}
            self.open = [item for item in self.open if not item.answered or item.topic in named]
        for cue in heading.cues:
            for item in self.open:
                if item.topic == cue.topic:
                    self.open.remove(item)  # the newest stands last
                    self.open.append(item)
                    item.turn, item.speaker = turn, speaker
                    item.asked = item.asked or heading.asks
                    if heading.asks:
                        item.answered = 0
                    break
            else:
                self.open.append(Open(cue.topic, turn, speaker, heading.asks))
