"""Words and speakers to turns of agent and customer.

Decides who said each word, where a turn ends, and who the agent is. Every word heard is in exactly
one turn; a word that no speaker can be found for keeps the speaker `unknown`, it is never dropped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from voice_pipeline.audio import is_mono, separate
from voice_pipeline.domain import (
    ROLES_UNCERTAIN,
    Heard,
    Recording,
    SpeakerSpan,
    Speech,
    Transcript,
    Turn,
    Warning,
    Word,
)
from voice_pipeline.ports import Diarizer, Shelf
from voice_pipeline.stages.name_speakers import (
    SURE,
    Cast,
    announces,
    assign,
    by_side,
    name_speakers,
)

# A speaker who says nothing for longer begins a new turn. Pauses inside one person's turn are
# mostly under a second (Heldner & Edlund 2010, J. Phonetics 38:555, figure 4), digits read from
# a card come in groups half a second apart: this keeps them in one turn.
PAUSE = 1.2  # seconds
ROOM = 0.15  # seconds: a gap that somebody else's word fits in ends a turn, too
NEAR = 0.5  # seconds: a word this close to a span still belongs to its speaker
NOBODY = -1
# Log odds from which an agent on a mono call also says what customers say: two people whom the
# diarizer took for one. On the samples, true agents reach 1.5 at most.
BOTH = 2.0
MIXED = Warning(ROLES_UNCERTAIN, "One voice says what agents say and what customers say.")
CHANNEL_ASSUMED = "channel_assumed"  # the warning that channels of words were guessed


@dataclass(frozen=True, slots=True)
class _Line:
    """Words in a row by one speaker on one channel."""

    speaker: int
    channel: int
    words: tuple[Word, ...]
    start: float  # seconds; of the word before where its own words have no time


def diarize(recording: Recording, heard: Heard, *, diarizer: Diarizer, shelf: Shelf) -> Transcript:
    """Join words to speakers and speakers to roles.

    Args:
        recording: facts about the audio, and what is known about its channels.
        heard: words per channel.
        diarizer: says who speaks when.
        shelf: where the recording's bytes are, for a diarizer that listens.

    Returns:
        Turns in start order; on separate channels they may overlap. Warnings: `roles_uncertain`,
        `swapped_channels`, and those of `heard`.
    """
    spoken = any(speech.words for speech in heard.speech)
    spans = diarizer.diarize(recording, heard, shelf.open(recording.audio)) if spoken else ()
    lines = sorted(
        (line for speech in heard.speech for line in _lines(speech, spans, heard)),
        key=lambda line: (line.start, line.channel),
    )
    turns = [Turn("unknown", line.words, line.channel) for line in lines]
    numbers = [line.speaker for line in lines]
    names, doubts = name(recording, turns, numbers)
    return transcript_of(recording, heard, turns, numbers, names, doubts, diarizer.name)


def transcript_of(
    recording: Recording,
    heard: Heard,
    turns: Sequence[Turn],
    numbers: Sequence[int],
    names: Mapping[int, str],
    doubts: tuple[Warning, ...],
    diarizer: str,
) -> Transcript:
    """Return the call with its numbered speakers named, and the facts that muting needs."""
    return Transcript(
        call=recording.id,
        language=_language(recording, heard),
        turns=tuple(
            replace(turn, speaker="system" if announces(turn) else names.get(number, "unknown"))
            for turn, number in zip(turns, numbers, strict=True)
        ),
        transcriber=heard.transcriber,
        diarizer=diarizer,
        understood=_by_channel(recording, heard, "understood"),
        confidence=_by_channel(recording, heard, "confidence"),
        active=tuple(
            next((s.active for s in heard.speech if s.channel == channel), ())
            for channel in range(recording.channels)
        ),
        warnings=(*heard.warnings, *doubts),
        duration=recording.duration,
        channels=recording.channels,
        separate=separate(recording) and not any(w.code == CHANNEL_ASSUMED for w in heard.warnings),
        audio=recording.audio,
        sounds=heard.sounds,
        languages=_languages(heard),
    )


# ---------------------------------------------------------------- words to speakers


def _lines(speech: Speech, spans: Sequence[SpeakerSpan], heard: Heard) -> list[_Line]:
    """Return the words of one channel, cut where the speaker changes or rests."""
    own = [span for span in spans if span.channel is None or span.channel == speech.channel]
    others = sorted(
        (word.start + word.end) / 2
        for other in heard.speech
        if other.channel != speech.channel
        for word in other.words
        if word.start is not None and word.end is not None
    )
    lines: list[_Line] = []
    begun: list[Word] = []
    speaker, start, last = NOBODY, 0.0, 0.0
    for word, who in zip(speech.words, attribute(speech.words, own), strict=True):
        if begun and (who != speaker or _rests(last, word, others)):
            lines.append(_Line(speaker, speech.channel, tuple(begun), start))
            begun = []
        if not begun:
            speaker, start = who, last if word.start is None else word.start
        begun.append(word)
        last = max(last, word.end or word.start or last)
    if begun:
        lines.append(_Line(speaker, speech.channel, tuple(begun), start))
    return lines


def attribute(words: Sequence[Word], spans: Sequence[SpeakerSpan]) -> list[int]:
    """Return the speaker of each word: whose span it shares most time with, or lies next to.

    A word without a time, or far from every span, goes with its neighbours where those agree;
    where they do not, nobody (-1) said it.
    """
    people = {span.speaker for span in spans}
    if len(people) == 1:
        return [people.pop()] * len(words)
    found = [_speaker(word, spans) for word in words]
    sure = [place for place, speaker in enumerate(found) if speaker != NOBODY]
    for place, speaker in enumerate(found):
        if speaker == NOBODY and sure:
            after = bisect_left(sure, place)
            near = {found[at] for at in sure[max(0, after - 1) : after + 1]}
            found[place] = near.pop() if len(near) == 1 else NOBODY
    return found


def _speaker(word: Word, spans: Sequence[SpeakerSpan]) -> int:
    if word.start is None or word.end is None:
        return NOBODY
    shared: dict[int, float] = {}
    nearest, distance = NOBODY, NEAR
    for span in spans:
        overlap = min(word.end, span.end) - max(word.start, span.start)
        if overlap > 0:
            shared[span.speaker] = shared.get(span.speaker, 0.0) + overlap
        elif -overlap < distance:
            nearest, distance = span.speaker, -overlap
    return max(shared, key=lambda speaker: shared[speaker]) if shared else nearest


def _rests(last: float, word: Word, others: Sequence[float]) -> bool:
    """Return whether a turn ends before this word: a long pause, or somebody spoke in it."""
    if word.start is None:
        return False
    gap = word.start - last
    if gap > PAUSE:
        return True
    at = bisect_left(others, last)
    return gap > ROOM and at < len(others) and others[at] < word.start


# ---------------------------------------------------------------- speakers to roles


def name(
    recording: Recording, turns: Sequence[Turn], numbers: Sequence[int]
) -> tuple[Mapping[int, str], tuple[Warning, ...]]:
    """Return the role of every numbered speaker, and what is doubtful about it."""
    outbound = recording.metadata.get("direction", "").lower() == "outbound"
    sides = {} if is_mono(recording) else _sides(turns, numbers)
    # where channels keep speakers apart, roles are decided by channel: whoever shares one with an
    # agent is an agent
    groups = [sides.get(number, NOBODY) for number in numbers] if sides else numbers
    cast = name_speakers(turns, groups, outbound=outbound)
    if not cast.names:
        return {}, ()
    if recording.agent_channel != "auto" and sides:
        return by_side(sides, 0 if recording.agent_channel == "left" else 1), ()
    if len(cast.names) == 1 and (doubt := alone(cast, mono=not sides)):
        return dict.fromkeys((n for n in numbers if n != NOBODY), "unknown"), (doubt,)
    if cast.sure < SURE:
        names = by_side(sides, 0) if sides else _by_order(cast.names, numbers)
        rule = "the left channel" if sides else "who speaks first"
        return names, (
            Warning(
                ROLES_UNCERTAIN,
                f"What is said does not show who the agent is ({cast.sure:.0%}); taken: {rule}.",
            ),
        )
    if not sides:
        return cast.names, (MIXED,) if cast.both >= BOTH else ()
    agent = next((channel for channel, name in cast.names.items() if name == "agent"), NOBODY)
    swapped = Warning(
        "swapped_channels",
        f"The agent is on the right channel, {cast.sure:.0%} sure by what is said.",
    )
    return by_side(sides, agent), (swapped,) if agent == 1 else ()


def alone(cast: Cast, *, mono: bool) -> Warning | None:
    """Return why it is not known who somebody is whom no other voice answers; None where it is.

    An agent who is alone on a mono call is likelier two people whom nobody told apart, and what
    the customer says would be lost on the rules.
    """
    if cast.sure >= SURE and not cast.both and not (mono and "agent" in cast.names.values()):
        return None
    return Warning(ROLES_UNCERTAIN, "One voice was found, and it is not known whose words it says.")


def _sides(turns: Sequence[Turn], numbers: Sequence[int]) -> dict[int, int]:
    """Return the channel of each speaker as they first speak; nothing where one has several."""
    found: dict[int, set[int]] = {}
    for turn, number in zip(turns, numbers, strict=True):
        if number != NOBODY:
            found.setdefault(number, set()).add(turn.channel)
    if any(len(channels) > 1 for channels in found.values()):
        return {}
    return {number: channels.pop() for number, channels in found.items()}


def _by_order(names: Mapping[int, str], numbers: Sequence[int]) -> dict[int, str]:
    """Return names with the agent first."""
    ranked = list(dict.fromkeys(number for number in numbers if number in names))
    return assign(ranked, dict.fromkeys(ranked, 0.0))


# ---------------------------------------------------------------- facts of the call


def _by_channel(recording: Recording, heard: Heard, fact: str) -> tuple[float, ...]:
    """Return a share per channel; 1 for a channel that nobody had to listen to."""
    known: dict[int, float] = {speech.channel: getattr(speech, fact) for speech in heard.speech}
    return tuple(known.get(channel, 1.0) for channel in range(recording.channels))


def _languages(heard: Heard) -> tuple[str, ...]:
    """Return the languages of the channels with words; empty where there is one alone."""
    found = sorted({speech.language for speech in heard.speech if speech.words})
    return tuple(found) if len(found) > 1 else ()


def _language(recording: Recording, heard: Heard) -> str:
    """Return the language of most words."""
    counted: Counter[str] = Counter()
    for speech in heard.speech:
        counted[speech.language] += len(speech.words)
    if counted:
        return counted.most_common(1)[0][0]
    return "en" if recording.language == "auto" else recording.language
