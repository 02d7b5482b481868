"""Whether a transcript made elsewhere fits a recording, and where on it each utterance lies.

Decides which of its times are believed, on which channel an utterance was said, and whether it is
of this call at all. Fails closed: a time that cannot be is none, a channel that nobody named is
taken by who speaks then and muting reaches all, a transcript of another call holds the call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from redaction.records import Turn, Word
from redaction.windows import overlap
from voice_pipeline.audio import is_mono, listened
from voice_pipeline.domain import Recording, Warning
from voice_pipeline.errors import BadInput
from voice_pipeline.transcripts import Utterance, VendorTranscript, with_alternates

Span = tuple[float, float]
Spans = Sequence[Span]

# Seconds past the end of the audio that a time may lie: encoders pad, vendors round up.
PAST_END = 1.0
# Seconds by which a word may lie outside its own utterance; further out, one of the clocks is not
# that of the recording.
BESIDE = 1.0
# Seconds (and share of the recording) by which the length that a file names may be off.
LENGTH_OFF, LENGTH_SHARE = 2.0, 0.02
# Words per second of recording, and words beside, that no call reaches: fluent speech has 3-4, two
# people at once 8.
MOST_WORDS_A_SECOND, MOST_WORDS_BESIDE = 12.0, 200
LATE = 0.05  # share of utterances past the end of the audio that says: another call
# Agreement (phi, -1..1) of when words are said and when somebody speaks, below which a transcript
# is of another call. Of the 17 sample calls none was below with its own transcript, times shaken by
# 0.2 s included; docs/transcripts.md says how many of the others are found. On one channel nearly
# all the time is speech, and what agrees is pauses alone: shaken times left 0.15 of it.
FRAME = 0.1  # seconds
LEAST_AGREEMENT, LEAST_AGREEMENT_MONO = 0.4, 0.1
ENOUGH_SPEECH = 5.0  # seconds
BREATH = 0.6  # seconds: a shorter gap between words is part of speaking
# Share of the speech that utterances must lie on.
LEAST_COVERED = 0.5
LEAST_SIDE = 0.6  # share of a speaker's time on one channel that makes it theirs


@dataclass(frozen=True, slots=True)
class Fitted:
    """Raw: the utterances of a transcript on their recording."""

    turns: tuple[Turn, ...] = field(repr=False)  # by start; speakers as the file calls them
    warnings: tuple[Warning, ...]


def fit(transcript: VendorTranscript, recording: Recording, active: Sequence[Spans]) -> Fitted:
    """Place a transcript on a recording.

    Args:
        transcript: as a reader gives it.
        recording: what ingest found out.
        active: per channel, where somebody speaks.

    Returns:
        Turns with believed times only. Warnings: `transcript_mismatch` (holds the call),
        `channel_assumed`, `transcript_times`.

    Raises:
        BadInput: more words than a recording of this length can hold (`transcript_mismatch`).
    """
    count = sum(len(one.words) for one in transcript.utterances)
    if count > MOST_WORDS_A_SECOND * recording.duration + MOST_WORDS_BESIDE:
        raise BadInput(
            f"the transcript has {count} words, more than {recording.duration:.0f} s can hold; "
            "is it the transcript of another call?",
            code="transcript_mismatch",
        )
    said = [one for one in transcript.utterances if one.words]
    end = recording.duration + PAST_END
    kept = [_believed(one, end) for one in said]
    placed, assumed = _on_channels(kept, recording, active)
    turns = tuple(
        Turn(one.speaker, one.words, channel, one.forms, one.start, one.end)
        for one, channel in _in_order(placed)
    )
    warnings = []
    why = _of_another_call(transcript, said, turns, recording, active, assumed)
    if why:
        warnings.append(Warning("transcript_mismatch", why))
    lost = sum(_times(one) for one in said) - sum(_times(one) for one in kept)
    if lost:
        warnings.append(
            Warning("transcript_times", f"{lost} times of the transcript cannot be; left out.")
        )
    if assumed:
        warnings.append(
            Warning(
                "channel_assumed",
                "The transcript names no channels; taken: who speaks then. Muting reaches all.",
            )
        )
    return Fitted(turns, tuple(warnings))


# ---------------------------------------------------------------- times


def _believed(one: Utterance, end: float) -> Utterance:
    """Return an utterance without the times that cannot be."""
    span = _span(one.start, one.end, end)
    return replace(
        one,
        words=tuple(_believed_word(word, span, end) for word in one.words),
        forms=tuple(tuple(_believed_word(w, span, end) for w in form) for form in one.forms),
        start=span[0] if span else None,
        end=span[1] if span else None,
    )


def _believed_word(word: Word, own: Span | None, end: float) -> Word:
    span = _span(word.start, word.end, end)
    beside = (
        own is not None
        and span is not None
        and (span[0] < own[0] - BESIDE or span[1] > own[1] + BESIDE)
    )
    if span is None or beside:
        return replace(word, start=None, end=None)
    return word


def _span(start: float | None, finish: float | None, end: float) -> Span | None:
    """Return times that can be: in order, not before the recording, not past its end."""
    if start is None or finish is None or not 0 <= start <= finish <= end:
        return None
    return start, finish


def _times(one: Utterance) -> int:
    stated = one.start is not None and one.end is not None
    return stated + sum(w.start is not None and w.end is not None for w in one.words)


def _in_order(placed: Iterable[tuple[Utterance, int]]) -> list[tuple[Utterance, int]]:
    """Return utterances by start; one without any time stays behind the one before it."""
    last, keyed = 0.0, []
    for place, (one, channel) in enumerate(placed):
        span = extent(one.words, one.start, one.end)
        last = span[0] if span else last
        keyed.append((last, place, one, channel))
    return [(one, channel) for _, _, one, channel in sorted(keyed, key=lambda k: (k[0], k[1]))]


def extent(words: Sequence[Word], start: float | None, end: float | None) -> Span | None:
    """Return from where to where something was said: by the whole's times, else by the words'."""
    if start is not None and end is not None:
        return start, end
    known = [(w.start, w.end) for w in words if w.start is not None and w.end is not None]
    return (min(a for a, _ in known), max(b for _, b in known)) if known else None


# ---------------------------------------------------------------- channels


def _on_channels(
    said: Sequence[Utterance], recording: Recording, active: Sequence[Spans]
) -> tuple[list[tuple[Utterance, int]], bool]:
    """Return utterances with their channel, and whether any of those had to be assumed."""
    heard = listened(recording)
    if len(heard) == 1:
        return [(one, heard[0]) for one in _one_of_twins(said)], False
    known = [one.channel in range(recording.channels) for one in said]
    if all(known):
        return [(one, one.channel or 0) for one in said], False
    sides = _sides(said, active)
    loudest = max(heard, key=lambda channel: recording.levels[channel])
    return [
        (one, one.channel or 0)
        if sure
        else (one, sides.get(one.speaker, _side([one], active, loudest)[0]))
        for one, sure in zip(said, known, strict=True)
    ], True


def _one_of_twins(said: Sequence[Utterance]) -> Sequence[Utterance]:
    """Return what was heard on one channel, where a transcript has one and the same sound twice.

    What was heard on the others stays as a further form: a number that only one of them got is
    found, and nobody is quoted twice.
    """
    channels = sorted({one.channel for one in said if one.channel is not None})
    if len(channels) < 2 or any(one.channel is None for one in said):
        return said
    first, *others = ([one for one in said if one.channel == channel] for channel in channels)
    return with_alternates(first, ([w for one in own for w in one.words] for own in others))


def _sides(said: Sequence[Utterance], active: Sequence[Spans]) -> dict[str, int]:
    """Return the channel of every speaker who is mostly alone on one."""
    mine: dict[str, list[Utterance]] = defaultdict(list)
    for one in said:
        if one.speaker:
            mine[one.speaker].append(one)
    found = {who: _side(own, active, 0) for who, own in mine.items()}
    return {who: channel for who, (channel, sure) in found.items() if sure >= LEAST_SIDE}


def _side(
    own: Sequence[Utterance] | Sequence[Turn], active: Sequence[Spans], otherwise: int
) -> tuple[int, float]:
    """Return the channel on which somebody speaks most while this is said, and its share."""
    spans = [span for one in own for span in _spoken(one.words, one.start, one.end)]
    shared = [sum(overlap(a, b) for a in spans for b in stretches) for stretches in active]
    total = sum(shared)
    if not total:
        return otherwise, 0.0
    best = max(range(len(shared)), key=lambda channel: shared[channel])
    return best, shared[best] / total


def _spoken(words: Sequence[Word], start: float | None, end: float | None) -> list[Span]:
    known = [(w.start, w.end) for w in words if w.start is not None and w.end is not None]
    return known or ([(start, end)] if start is not None and end is not None else [])


# ---------------------------------------------------------------- another call


def _of_another_call(
    transcript: VendorTranscript,
    said: Sequence[Utterance],
    turns: Sequence[Turn],
    recording: Recording,
    active: Sequence[Spans],
    assumed: bool,
) -> str:
    """Return why a transcript cannot be of this recording, "" where it can."""
    length = transcript.duration
    allowed = max(LENGTH_OFF, LENGTH_SHARE * recording.duration)
    if length is not None and abs(length - recording.duration) > allowed:
        return (
            f"The transcript is of {length:.0f} s of audio, the recording has "
            f"{recording.duration:.0f} s."
        )
    end = recording.duration + PAST_END
    late = sum((one.end or 0.0) > end or any((w.end or 0.0) > end for w in one.words)
               for one in said)  # fmt: skip
    if said and late / len(said) > LATE:
        return f"{late} of {len(said)} utterances lie past the end of the recording."
    speech = sum(end - start for stretches in active for start, end in stretches)
    spans = [extent(turn.words, turn.start, turn.end) for turn in turns]
    if speech < ENOUGH_SPEECH or not any(spans):
        return ""  # too little speech, or no time at all: it covers nothing then, and that holds
    covered = _covered(turns, active)
    if covered < LEAST_COVERED:
        return f"The transcript lies on {covered:.0%} of the speech in the recording."
    agreed = agreement(_by_speaker(turns, active) if assumed else turns, active, recording)
    least = LEAST_AGREEMENT_MONO if is_mono(recording) else LEAST_AGREEMENT
    if agreed is not None and agreed < least:
        return (
            "What the transcript times as said and what is heard as speech have little to do "
            f"with one another (agreement {agreed:.2f}, {least} is needed)."
        )
    return ""


def _covered(turns: Sequence[Turn], active: Sequence[Spans]) -> float:
    """Return the share of speech on any channel that lies inside an utterance on any channel."""
    spans = [
        (span[0] - BREATH, span[1] + BREATH)
        for turn in turns
        if (span := extent(turn.words, turn.start, turn.end)) is not None
    ]
    length = max(end for _, end in [*spans, *(s for own in active for s in own)])
    inside, speech = _mask(spans, length), _mask((s for own in active for s in own), length)
    return float((inside & speech).sum() / max(1, speech.sum()))


def agreement(turns: Sequence[Turn], active: Sequence[Spans], recording: Recording) -> float | None:
    """Return how well when words are said follows when somebody speaks; None: nothing to tell.

    The phi coefficient of both as yes and no every 100 ms, the channels one after another: 1 for
    the same, 0 for no relation. Both are yes most of the time by chance alone; phi takes that away.
    """
    heard = listened(recording) if is_mono(recording) else tuple(range(len(active)))
    length = recording.duration
    said = np.concatenate(
        [_mask(_breathed([t for t in turns if t.channel == c]), length) for c in heard]
    )
    spoken = np.concatenate([_mask(active[channel], length) for channel in heard])
    if said.all() or spoken.all() or not said.any() or not spoken.any():
        return None
    return float(np.corrcoef(said, spoken)[0, 1])


def _by_speaker(turns: Sequence[Turn], active: Sequence[Spans]) -> list[Turn]:
    """Return the turns with one channel a speaker, so that sides taken from the sound turn by turn
    do not agree with it by construction."""
    mine: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        mine[turn.speaker].append(turn)
    sides = {who: _side(own, active, 0)[0] for who, own in mine.items() if who}
    return [replace(turn, channel=sides.get(turn.speaker, turn.channel)) for turn in turns]


def _breathed(turns: Sequence[Turn]) -> Iterator[Span]:
    """Yield the stretches in which words are said, short gaps closed."""
    last: Span | None = None
    spans = (span for turn in turns for span in _spoken(turn.words, turn.start, turn.end))
    for start, end in sorted(spans):
        if last is not None and start - last[1] <= BREATH:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (start, end)
    if last is not None:
        yield last


def _mask(spans: Iterable[Span], length: float) -> NDArray[np.bool_]:
    mask = np.zeros(int(length / FRAME) + 1, np.bool_)
    for start, end in spans:
        mask[max(0, round(start / FRAME)) : max(0, round(end / FRAME))] = True
    return mask
