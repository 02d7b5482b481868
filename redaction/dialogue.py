"""Which value the talk is about: the questions that are open, by either side, several at once.

Decides by cue phrases of the language pack. A question stays open for MAX_AGE turns, closes early
once it was answered, and all close when the topic changes. Refuses to look at values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from redaction.language import Language, Phrases
from redaction.tokens import Atom

MAX_AGE = 7  # turns a question stays open; research on 60 multi-turn calls
SHORT = 10  # words: so short a question may name its value by one word
OBJECTS = frozenset({"on", "for", "of", "to", "with", "from", "in", "about"})  # "on the account"
ELLIPSIS = 6  # words: a cue in so short a turn asks for its value
CARD_LENGTH = 12  # digits after which the rest of a card may follow
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
    heard: str = field(default="", repr=False)  # the answer's digits, to know a read-back by
    implied: bool = False  # expiry and code, once a card number was given: bare answers only


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
    if first not in table:
        if not first.endswith("'s"):
            return None
        first = first.removesuffix("'s")
        if first not in table:
            return None
    n = len(atoms)
    if at + 1 < n:
        second = atoms[at + 1].text
        candidates = table.pairs.get((first, second), ())
        if second.endswith("'s"):
            candidates += table.pairs.get((first, second.removesuffix("'s")), ())
        for words, tag in candidates:
            end = at + len(words)
            if end <= n and all(_same(atoms[at + k].text, words[k]) for k in range(2, len(words))):
                return end, tag
    tag_alone = table.single.get(first)
    return None if tag_alone is None else (at + 1, tag_alone)


def _same(text: str, word: str) -> bool:
    return text == word or text.removesuffix("'s") == word


@dataclass(slots=True)
class Said:
    """The words of one turn and its pairs of neighbours, with and without a possessive ending.

    Most phrases are in few turns: where one can begin is known without walking through them.
    """

    order: list[tuple[str, str]]  # each word and the next
    texts: set[str]
    pairs: set[tuple[str, str]]
    possessive: bool

    def places(self, singles: frozenset[str], couples: frozenset[tuple[str, str]]) -> Sequence[int]:
        """Return at least the atoms where one of these words or pairs stands."""
        alone, common = self.texts & singles, self.pairs & couples
        if not alone and not common:
            return ()
        if self.possessive:
            return range(len(self.order))
        return [at for at, pair in enumerate(self.order) if pair in common or pair[0] in alone]


def said_in(atoms: Sequence[Atom]) -> Said:
    """Return what a turn says."""
    words = [atom.text for atom in atoms]
    order = list(zip(words, [*words[1:], ""], strict=True)) if words else []
    texts, pairs = set(words), set(order)
    possessive = "'s" in " ".join(texts)
    if possessive:
        bare = [text.removesuffix("'s") for text in words]
        texts.update(bare)
        for one, two in ((bare, bare), (bare, words), (words, bare)):
            pairs.update(zip(one, two[1:], strict=False))
    return Said(order, texts, pairs, possessive)


def find_all(
    atoms: Sequence[Atom], table: Phrases, said: Said | None = None
) -> list[tuple[int, int]]:
    """Return (first, last) of every phrase of a table, left to right, not overlapping."""
    return [(first, last) for first, last, _ in tagged(atoms, table, said)]


def tagged(
    atoms: Sequence[Atom], table: Phrases, said: Said | None = None
) -> list[tuple[int, int, str]]:
    """Return (first, last, tag) of every phrase of a table, left to right, not overlapping.

    Args:
        atoms: one turn.
        table: the phrases.
        said: what the turn says, where that is known already.
    """
    found: list[tuple[int, int, str]] = []
    until = 0
    for at in (said or said_in(atoms)).places(table.singles, table.couples):
        text = atoms[at].text
        if at < until or not (text in table or text.endswith("'s")):
            continue
        hit = match(atoms, at, table)
        if hit is not None:
            found.append((at, *hit))
            until = hit[0]
    return found


def head(atoms: Sequence[Atom], said: Said, lang: Language) -> Heading:
    """Read the cues of one turn in one pass."""
    cues: list[Cue] = []
    asks = question = changes = stalls = False
    topics, ask, questions = lang.topics, lang.lists["asks"], lang.lists["questions"]
    change, stall = lang.lists["topic_changes"], lang.lists["stalls"]
    until = 0
    for at in said.places(lang.heads, lang.pairs):
        atom = atoms[at]
        text = atom.text
        if at >= until and (text in topics or text.endswith("'s")):
            hit = match(atoms, at, topics)
            if hit is not None:
                cues.append(Cue(at, hit[0], hit[1]))
                until = hit[0]
        if text in questions and not question and (at == 0 or not atom.glued):
            hit = match(atoms, at, questions)
            question = hit is not None and not _contracted(atoms, at, hit[0])
        if text in ask and not asks:
            asks = match(atoms, at, ask) is not None
        if text in change and not changes:
            changes = match(atoms, at, change) is not None
        if text in stall and not stalls:
            stalls = match(atoms, at, stall) is not None
    if len(atoms) <= SHORT and (asks or question or cues or len(atoms) <= ELLIPSIS):
        cues = _short_cues(atoms, said, lang, cues)
    if cues and len(atoms) <= ELLIPSIS and not question:
        asks = True  # "and the expiry", "city and zip"
    if len({cue.topic for cue in cues}) > 1 and len(atoms) <= SHORT:
        asks = True  # "name and date of birth then"
    return Heading(cues, asks or question, question, changes, stalls)


def _contracted(atoms: Sequence[Atom], first: int, last: int) -> bool:
    """Whether a phrase of two words ends in a contraction: "there is it's", no "is it"."""
    return last > first + 1 and atoms[last - 1].text.endswith("'s")


def _short_cues(atoms: Sequence[Atom], said: Said, lang: Language, cues: list[Cue]) -> list[Cue]:
    """Return the cues of a short question with those that only a short question holds."""
    taken = {at for cue in cues for at in range(cue.first, cue.last)}
    found = list(cues)
    for first, last, topic in tagged(atoms, lang.short_topics, said):
        before = [atom.text for atom in atoms[max(0, first - 2) : first]]
        if not taken.intersection(range(first, last)) and not OBJECTS.intersection(before):
            found.append(Cue(first, last, topic))
    if len(atoms) > 1 and lang.has("titles", atoms[-1].text):  # "and you're mister"
        found.append(Cue(len(atoms) - 1, len(atoms), "PERSON"))
    return sorted(found, key=lambda cue: cue.first)


@dataclass(slots=True)
class Dialogue:
    """The open questions of a call, advanced turn by turn."""

    open: list[Open] = field(default_factory=list)

    def expire(self, turn: int) -> None:
        """Forget what is too old to be answered in `turn`."""
        if not self.open:
            return
        self.open = [
            item
            for item in self.open
            if turn - item.turn <= (ANSWERED_AGE if item.answered else MAX_AGE)
        ]

    def imply(self, turn: int, speaker: str) -> None:
        """Expect the rest of a card once its number was given whole."""
        if not self.open:
            return
        heard = sum(item.answered for item in self.open if item.topic == "CARD_NUMBER")
        if heard < CARD_LENGTH:
            return
        for topic in ("CARD_EXPIRY", "CARD_CVV"):
            if not any(item.topic == topic for item in self.open):
                self.open.append(Open(topic, turn, speaker, asked=False, implied=True))

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
                    item.implied = False
                    if heading.asks:
                        item.answered = 0
                    break
            else:
                self.open.append(Open(cue.topic, turn, speaker, heading.asks))
