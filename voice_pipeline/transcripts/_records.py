"""What every reader gives: utterances with words, times, speakers, channels and further forms.

Decides how words in a row become utterances, and which other text is a form of the same speech.
Nothing is interpolated: a word without a time in the file has none here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from redaction.records import Word
from voice_pipeline.transcripts._values import words as words_of

# Seconds without a word of the same speaker after which a new utterance begins; as in the diarize
# stage.
PAUSE = 1.2
MOST_FORMS = 3  # further forms of an utterance; each is searched like the first


@dataclass(frozen=True, slots=True)
class Utterance:
    """Raw: words in a row by one speaker, as a file has them."""

    words: tuple[Word, ...] = field(repr=False)  # times from the start of the recording, or None
    start: float | None = None  # seconds, where the file times the whole; unchecked
    end: float | None = None
    speaker: str = field(default="", repr=False)  # as the file calls them: may be a person's name
    channel: int | None = None  # None: the file does not say
    forms: tuple[tuple[Word, ...], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class VendorTranscript:
    """Raw: a whole call as a file has it."""

    format: str  # for example "Amazon Transcribe"
    utterances: tuple[Utterance, ...] = field(repr=False)
    language: str = ""  # as the file has it: en, en-US, english; "" where it does not say
    duration: float | None = None  # seconds of audio that the file says it is of


@dataclass(frozen=True, slots=True)
class Said:
    """Raw: one word with who said it, and its other form where that differs."""

    word: Word
    speaker: str = ""
    other: Word | None = None


def runs(said: Iterable[Said], channel: int | None = None) -> list[Utterance]:
    """Return utterances: words in a row, cut where the speaker changes or rests."""
    found: list[Utterance] = []
    begun: list[Said] = []
    last: float | None = None
    for one in said:
        rests = last is not None and one.word.start is not None and one.word.start - last > PAUSE
        if begun and (one.speaker != begun[0].speaker or rests):
            found.append(_run(begun, channel))
            begun, last = [], None
        begun.append(one)
        last = one.word.end if one.word.end is not None else last
    return [*found, _run(begun, channel)] if begun else found


def _run(said: Sequence[Said], channel: int | None) -> Utterance:
    other = tuple(one.other or one.word for one in said)
    return Utterance(
        tuple(one.word for one in said),
        speaker=said[0].speaker,
        channel=channel,
        forms=(other,) if any(one.other for one in said) else (),
    )


def with_text(utterance: Utterance, text: object) -> Utterance:
    """Add the whole text of an utterance as a form, where its words are not the same."""
    other = words_of(text)
    known = (utterance.words, *utterance.forms)
    if not other or any(same(other, form) for form in known) or len(known) > MOST_FORMS:
        return utterance
    return replace(utterance, forms=(*utterance.forms, other))


def with_alternates(
    utterances: Sequence[Utterance], alternates: Iterable[Sequence[Word]]
) -> list[Utterance]:
    """Add other hearings of the same channel as forms of the utterances they fall into.

    Args:
        utterances: of one channel, by time.
        alternates: whole other hearings, with word times; words without go with the one before.
    """
    found = list(utterances)
    for hearing in alternates:
        shares: list[list[Word]] = [[] for _ in found]
        at = 0
        for word in hearing:
            at = _nearest(found, word, at)
            shares[at].append(word)
        for place, share in enumerate(shares):
            one = found[place]
            known = (one.words, *one.forms)
            if share and len(known) <= MOST_FORMS and not any(same(share, k) for k in known):
                found[place] = replace(one, forms=(*one.forms, tuple(share)))
    return found


def same(one: Sequence[Word], other: Sequence[Word]) -> bool:
    """Return whether two word lists differ by no more than case and outer punctuation."""
    return [_plain(word.text) for word in one] == [_plain(word.text) for word in other]


def _nearest(utterances: Sequence[Utterance], word: Word, at: int) -> int:
    """Return the utterance that a word falls into or lies next to, from `at` on."""
    if word.start is None:
        return at
    while at + 1 < len(utterances) and _distance(utterances[at + 1], word.start) <= _distance(
        utterances[at], word.start
    ):
        at += 1
    return at


def _distance(utterance: Utterance, moment: float) -> float:
    times = [t for w in utterance.words for t in (w.start, w.end) if t is not None]
    if not times:
        return float("inf")
    return max(min(times) - moment, moment - max(times), 0.0)


def _plain(text: str) -> str:
    return text.lower().strip(".,;:!?\"'()[]") or text
