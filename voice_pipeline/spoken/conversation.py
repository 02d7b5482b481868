"""A redacted call prepared for reading: who said which words, and quotes with their times.

Consecutive turns of one side are read as one stretch, also across the other side's `mhm` and
`okay`: callers do not end a sentence because somebody nods. Quotes are always verbatim.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from voice_pipeline.domain import ROLES_UNCERTAIN, Evidence, RedactedTranscript, RedactedTurn
from voice_pipeline.spoken.numbers import is_numeric, is_unit
from voice_pipeline.spoken.phrases import Match, Phrase, Spoken
from voice_pipeline.spoken.words import Token, quote, tokens, vocabulary

Side = Literal["agent", "customer", "any"]
Where = Literal["anywhere", "opening", "closing"]

BACK_CHANNELS = vocabulary("mhm uh-huh huh okay ok right yeah yep i see sure alright oh")
BACK_CHANNEL_WORDS = 2
WHOLE_TURN_WORDS = 30  # a turn up to this long is quoted whole
AROUND = 8  # words quoted on each side of a match in a longer turn
OPENING = 1 / 3  # share of the turns in which callers say why they call (HarperValley)
CLOSING = 1 / 4  # share of the turns in which a call is wound up
FEWEST = 6  # turns that opening and closing have at least
NAMELESS = 1 / 5  # share of words by nobody known from which it is not known who speaks


class Conversation:
    """One call, read through sides and stretches."""

    def __init__(self, transcript: RedactedTranscript) -> None:
        self.turns: tuple[RedactedTurn, ...] = transcript.turns
        self.tokens: dict[int, list[Token]] = {
            turn.turn: tokens((word.text for word in turn.words), turn.turn) for turn in self.turns
        }
        self.place = {turn.turn: place for place, turn in enumerate(self.turns)}
        # the names of agent and customer are a guess: each may be the other
        self.guessed = any(warning.code == ROLES_UNCERTAIN for warning in transcript.warnings)
        self._spoken: dict[tuple[Side, Where, bool], Spoken] = {}

    @property
    def uncertain(self) -> bool:
        """Tell whether it is not known who speaks: a guess, or too much said by nobody known."""
        nameless, words = (
            sum(len(self.tokens[turn.turn]) for turn in turns)
            for turns in ([t for t in self.turns if self.side(t) == "unknown"], self.turns)
        )
        return self.guessed or nameless > NAMELESS * words

    def side(self, turn: RedactedTurn) -> str:
        """Return agent, customer, unknown or system, whatever the speaker's number."""
        return turn.speaker.rstrip("0123456789").rstrip("_")

    def by(self, side: Side) -> list[RedactedTurn]:
        """Return the turns of a side; a speaker nobody could name counts for both."""
        return [turn for turn in self.turns if self._belongs(turn, side)]

    def _belongs(self, turn: RedactedTurn, side: Side, guessed: bool = False) -> bool:
        own = self.side(turn)
        return side == "any" or own in (side, "unknown") or (guessed and own != "system")

    def surely(self, number: int, side: Side) -> bool:
        """Tell whether it is known that a side said a turn."""
        return side == "any" or (not self.guessed and self.side(self.turn(number)) == side)

    def find(
        self,
        phrase: Phrase,
        side: Side = "any",
        where: Where = "anywhere",
        *,
        exact: bool = False,
        wide: bool = False,
    ) -> list[Match]:
        """Return where a side says a phrase.

        Args:
            exact: with no letter wrong.
            wide: where names are a guess, either side may be meant; for what must not be missed.
        """
        wide = wide and self.guessed
        key = (side, where, wide)
        if key not in self._spoken:
            first, end = self._part(where)
            self._spoken[key] = Spoken(
                [token for token in stretch if first <= self.place[token.turn] < end]
                for stretch in self.stretches
                if stretch and self._belongs(self.turns[self.place[stretch[0].turn]], side, wide)
            )
        return self._spoken[key].find(phrase, exact=exact)

    def _part(self, where: Where) -> tuple[int, int]:
        n = len(self.turns)
        if where == "opening":
            return 0, max(FEWEST, round(n * OPENING))
        if where == "closing":
            return n - max(FEWEST, round(n * CLOSING)), n
        return 0, n

    @cached_property
    def stretches(self) -> list[list[Token]]:
        """What each side says until the other really takes over, in order of their beginnings."""
        found: list[list[Token]] = []
        open_at: dict[str, int] = {}
        for turn in self.turns:
            words = self.tokens[turn.turn]
            nod = is_back_channel(words)
            if turn.speaker in open_at and not nod:
                found[open_at[turn.speaker]].extend(words)
            else:
                found.append(list(words))
                if not nod:
                    open_at[turn.speaker] = len(found) - 1
            if not nod:
                open_at = {turn.speaker: open_at[turn.speaker]}
        return found

    def turn(self, number: int) -> RedactedTurn:
        return self.turns[self.place[number]]

    def spanned(self, match: Match) -> list[int]:
        """Return the turns of the matching side from the first word of a match to its last."""
        begun, ended = self.place[match.first.turn], self.place[match.last.turn]
        speaker = self.turns[begun].speaker
        return [turn.turn for turn in self.turns[begun : ended + 1] if turn.speaker == speaker]

    def evidence(self, first: Token, last: Token, *, exact: bool = False) -> tuple[Evidence, ...]:
        """Quote from `first` to `last`, with some words around unless `exact`.

        A stretch over several turns gives one quote for each turn at its ends.
        """
        if first.turn == last.turn:
            return (self._quoted(first.turn, first.word, last.word, exact),)
        begun = len(self.turn(first.turn).words) - 1
        return (
            self._quoted(first.turn, first.word, begun, exact),
            self._quoted(last.turn, 0, last.word, exact),
        )

    def sentence(self, first: Token, last: Token) -> tuple[Evidence, list[Token]]:
        """Return the sentence around `first` to `last` of one turn, as a quote and as tokens.

        Recognizers without punctuation write one endless sentence; it is cut to the words around.
        """
        words = self.turn(first.turn).words
        begin, end = first.word, last.word
        while begin > 0 and not _ends_sentence(words[begin - 1].text):
            begin -= 1
        while end < len(words) - 1 and not _ends_sentence(words[end].text):
            end += 1
        if end - begin >= WHOLE_TURN_WORDS:
            begin, end = max(begin, first.word - AROUND), min(end, last.word + 2 * AROUND)
        inside = [token for token in self.tokens[first.turn] if begin <= token.word <= end]
        return self._quoted(first.turn, begin, end, True), inside

    def whole(self, number: int) -> Evidence:
        """Quote a turn, cut to its first sentences or else words where it is long."""
        words = self.turn(number).words
        end = min(len(words), WHOLE_TURN_WORDS) - 1
        if len(words) > WHOLE_TURN_WORDS:
            ends = [at for at in range(AROUND, end + 1) if _ends_sentence(words[at].text)]
            end = ends[-1] if ends else end
        return self._quoted(number, 0, end, True)

    def _quoted(self, number: int, first: int, last: int, exact: bool) -> Evidence:
        words = self.turn(number).words
        if not exact:
            short = len(words) <= WHOLE_TURN_WORDS
            first = 0 if short else max(0, first - AROUND)
            last = len(words) - 1 if short else min(len(words) - 1, last + AROUND)
        # a number cut in two is another number: "eleven hundred" must not become "eleven"
        while first > 0 and is_numeric(words[first].text) and is_numeric(words[first - 1].text):
            first -= 1
        while last < len(words) - 1 and _goes_on(words[last].text, words[last + 1].text):
            last += 1
        turn = self.turn(number)
        start = words[first].start if words else None
        end = words[last].end if words else None
        return Evidence(
            number,
            quote([word.text for word in words], first, last),
            turn.start if start is None else start,
            turn.end if end is None else end,
        )


def _goes_on(word: str, following: str) -> bool:
    return is_numeric(word) and (is_numeric(following) or is_unit(following))


def _ends_sentence(word: str) -> bool:
    return word.endswith((".", "?", "!")) and not word.lower().endswith(_ABBREVIATIONS)


_ABBREVIATIONS = ("mr.", "mrs.", "ms.", "dr.", "st.", "no.")


def is_back_channel(words: Sequence[Token]) -> bool:
    """Tell whether a turn only shows that somebody listens."""
    return len(words) <= BACK_CHANNEL_WORDS and all(word.text in BACK_CHANNELS for word in words)
