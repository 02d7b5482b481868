"""An organisation's own words, written as it writes them: after hearing, before redaction.

Decides which words that were hardly heard stand for a word that was to be expected. It refuses to
touch numbers, spelled letters, everyday words that were heard well and the places where callers
give their names; and what was heard stays beside what is written, so that both are redacted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from redaction.records import Turn, Word
from voice_pipeline.domain import Transcript
from voice_pipeline.policy.pack import Words
from voice_pipeline.spoken.everyday import EVERYDAY
from voice_pipeline.spoken.numbers import is_numeric, is_unit
from voice_pipeline.spoken.profanity import is_profane
from voice_pipeline.spoken.spelling import apart, size, sounds
from voice_pipeline.stages.doubt import plain

PROFANITY = "[PROFANITY]"
# Greatest distance of two sound keys that are one word, 0..1; docs/speech.md has the figures.
ALIKE = 0.3
# A word of the engine's that is everyday and was heard this surely is what was said.
SURE = 0.6
LEAST_SOUNDS = 3  # of a hotword, vowels half; shorter ones are like too many words
MORE_WORDS = 1  # a name may be heard as so many words more than it has
NAME_CUES = (
    ("name", "is"),
    ("name's",),
    ("called",),
    ("i", "am"),
    ("i'm",),
    ("spelled",),
    ("spelt",),
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A word or phrase to look for."""

    written: tuple[str, ...]
    key: str  # of its sounds
    size: float
    sounds: Counter[str]  # consonants


def respell(transcript: Transcript, words: Words, *, mask: bool = False) -> Transcript:
    """Write a transcript's words as the organisation writes them.

    Args:
        transcript: what was heard.
        words: of this call's queue.
        mask: write profanity as [PROFANITY].

    Returns:
        The transcript; a turn that changed for a spelling keeps the words as heard in `forms`.
    """
    keys = {tuple(word.split()): sounds(word) for word in words.hotwords}
    wanted = [_Wanted(word, key, size(key), _consonants(key)) for word, key in keys.items()]
    wanted = [word for word in wanted if word.size >= LEAST_SOUNDS]
    spellings = {
        tuple(plain(wrong).split()): tuple(right.split())
        for wrong, right in words.spellings.items()
    }
    if not wanted and not spellings and not mask:
        return transcript
    return replace(
        transcript,
        turns=tuple(_respelled(turn, wanted, spellings, mask) for turn in transcript.turns),
    )


def _respelled(
    turn: Turn,
    wanted: Sequence[_Wanted],
    spellings: dict[tuple[str, ...], tuple[str, ...]],
    mask: bool,
) -> Turn:
    written = tuple(_written(turn, wanted, spellings))
    forms = turn.forms if written == turn.words else (*turn.forms, turn.words)
    if mask:
        written = tuple(
            replace(word, text=PROFANITY) if is_profane(word.text) else word for word in written
        )
    return replace(turn, words=written, forms=forms)


def _written(
    turn: Turn, wanted: Sequence[_Wanted], spellings: dict[tuple[str, ...], tuple[str, ...]]
) -> Iterator[Word]:
    heard = [plain(word.text) for word in turn.words]
    longest = max((len(wrong) for wrong in spellings), default=0)
    alike = _alike(turn, heard, wanted)
    at = 0
    while at < len(heard):
        for length in range(min(longest, len(heard) - at), 0, -1):
            right = spellings.get(tuple(heard[at : at + length]))
            if right:
                break
        else:
            right, length = alike.get(at, ((), 1))
        if right:
            yield from _placed(right, turn.words[at : at + length])
        else:
            yield turn.words[at]
        at += length


def _alike(
    turn: Turn, heard: Sequence[str], wanted: Sequence[_Wanted]
) -> dict[int, tuple[tuple[str, ...], int]]:
    """Return where a wanted word is heard: first word -> (as written, heard as so many words).

    The nearest come first, and no word stands for two.
    """
    found = sorted(_matches(turn, heard, wanted))
    taken: set[int] = set()
    chosen = {}
    for _, at, length, written in found:
        if taken.isdisjoint(range(at, at + length)):
            taken.update(range(at, at + length))
            chosen[at] = written, length
    return chosen


def _matches(
    turn: Turn, heard: Sequence[str], wanted: Sequence[_Wanted]
) -> Iterator[tuple[float, int, int, tuple[str, ...]]]:
    """Yield (distance, first word, words, as written) of all that sounds like a wanted word."""
    longest = max((len(word.written) for word in wanted), default=0) + MORE_WORDS
    for at in range(len(heard)):
        if _names_a_person(turn, heard, at):
            continue
        for length in range(1, min(longest, len(heard) - at) + 1):
            if not _may_be_wrong(turn.words, heard, at, length):
                continue
            key = sounds("".join(heard[at : at + length]))
            own, own_sounds = size(key), _consonants(key)
            for word in wanted:
                if length > len(word.written) + MORE_WORDS:
                    continue
                if abs(own - word.size) > ALIKE * max(own, word.size):
                    continue
                if (own_sounds - word.sounds).total() > ALIKE * max(own, word.size):
                    continue
                distance = apart(key, word.key, ALIKE)
                if distance <= ALIKE:
                    yield distance, at, length, word.written


def _consonants(key: str) -> Counter[str]:
    return Counter(key.replace("a", ""))


def _may_be_wrong(words: Sequence[Word], heard: Sequence[str], at: int, length: int) -> bool:
    """Return whether these words may stand for another: doubtful ones, no numbers, no letters.

    A rare word is doubtful by itself; of everyday words each must have been hardly heard.
    """
    parts = range(at, at + length)
    if any(len(heard[i]) < 2 and heard[i] not in ("a", "i") for i in parts):
        return False
    if any(is_numeric(heard[i]) or is_unit(heard[i]) or not heard[i].isalpha() for i in parts):
        return False
    return any(heard[i] not in EVERYDAY for i in parts) or all(
        (words[i].confidence or 0.0) < SURE for i in parts
    )


def _names_a_person(turn: Turn, heard: Sequence[str], at: int) -> bool:
    """Return whether a caller says a name here: it is for the redactor to find, as it was heard."""
    if turn.speaker.startswith("agent"):
        return False
    before = heard[max(0, at - 4) : at]
    return any(
        tuple(before[i : i + len(cue)]) == cue for cue in NAME_CUES for i in range(len(before))
    )


def _placed(right: Sequence[str], heard: Sequence[Word]) -> Iterator[Word]:
    """Yield words in the place of others: one for one where they are as many, else all over it."""
    if len(right) == len(heard):
        for text, word in zip(right, heard, strict=True):
            yield replace(word, text=text)
        return
    starts = [word.start for word in heard if word.start is not None]
    ends = [word.end for word in heard if word.end is not None]
    whole = len(starts) == len(ends) == len(heard)
    sure = [word.confidence for word in heard if word.confidence is not None]
    for text in right:
        yield Word(
            text,
            min(starts) if whole else None,
            max(ends) if whole else None,
            min(sure) if sure else None,
        )
