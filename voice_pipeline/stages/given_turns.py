"""Turns of a transcript made elsewhere to turns of agent and customer.

Decides who the file's own speakers are: by the names it gives them, by what they say, by channel.
Where it tells nobody apart, the diarizer does. A turn keeps its further forms and its own times; no
name of a person that a file gives to a speaker goes on from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from redaction.records import Turn, Word
from redaction.windows import overlap
from voice_pipeline.audio import is_mono
from voice_pipeline.domain import (
    ROLES_UNCERTAIN,
    Heard,
    Recording,
    RedactedTurn,
    SpeakerSpan,
    Transcript,
    Warning,
)
from voice_pipeline.ports import Diarizer, Shelf
from voice_pipeline.stages.diarize import BOTH, MIXED, NOBODY, alone, attribute, name, transcript_of
from voice_pipeline.stages.fit import extent
from voice_pipeline.stages.name_speakers import SURE, name_speakers

IMPORTED = "imported"  # stands for the diarizer where the file told speakers apart
_ROLES = {
    **dict.fromkeys(
        "agent advisor adviser representative rep operator assistant csr employee".split(), "agent"
    ),
    **dict.fromkeys(
        "customer caller client user member patient end_customer consumer".split(), "customer"
    ),
    **dict.fromkeys("system ivr bot announcement".split(), "system"),
}
_NAMELESS = ("", "unknown")  # names that tell nobody apart

Speaker = tuple[str, int | None]  # the file's name, and the channel where speakers keep to theirs


def adopt_turns(
    recording: Recording, heard: Heard, *, diarizer: Diarizer, shelf: Shelf
) -> Transcript:
    """Join given turns to speakers and speakers to roles; the counterpart of `diarize`.

    Args:
        recording: facts about the audio, and what is known about its channels.
        heard: with turns.
        diarizer: says who speaks when, for turns of nobody in particular on one channel.
        shelf: where the recording's bytes are.
    """
    mono = is_mono(recording)
    nameless = mono and any(not turn.speaker for turn in heard.turns)
    spans = diarizer.diarize(recording, heard, shelf.open(recording.audio)) if nameless else ()
    turns: list[Turn] = []
    keys: list[Speaker | int] = []
    for turn in heard.turns:
        if turn.speaker or not mono:
            turns.append(turn)
            keys.append((turn.speaker, None if mono else turn.channel))
        else:
            for number, part in _told_apart(turn, spans):
                turns.append(part)
                keys.append(number)
    order = {key: place for place, key in enumerate(dict.fromkeys(k for k in keys if k != NOBODY))}
    numbers = [order.get(key, NOBODY) for key in keys]
    turns = [replace(turn, speaker="unknown") for turn in turns]
    roles = _given(order)
    chosen = recording.agent_channel != "auto" and not mono
    people = {number: role for number, role in roles.items() if role != "system"}
    by = diarizer.name if nameless else IMPORTED
    if people and not chosen:
        return transcript_of(recording, heard, turns, numbers, roles, _unheard(roles), by)
    names, doubts = name(recording, turns, numbers)
    system = {number: role for number, role in roles.items() if role == "system"}
    return transcript_of(recording, heard, turns, numbers, {**names, **system}, doubts, by)


def name_turns(
    turns: Sequence[RedactedTurn], *, outbound: bool
) -> tuple[tuple[RedactedTurn, ...], tuple[Warning, ...]]:
    """Give the turns of a text without a recording their speakers, and say what is doubtful.

    By the speakers' own names where those tell, else by what is said. Of whom it is not known, is
    `unknown`: there is no channel and no order of voices to go by.
    """
    labels = [turn.speaker.strip().lower() for turn in turns]
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    numbers = [order[label] for label in labels]
    roles = _given({(label, None): n for label, n in order.items() if label not in _NAMELESS})
    doubts: tuple[Warning, ...] = ()
    if any(role != "system" for role in roles.values()):
        if len(roles) == len(order):
            doubts = _unheard(roles)
    else:
        known = [n if n not in roles and labels[at] not in _NAMELESS else NOBODY
                 for at, n in enumerate(numbers)]  # fmt: skip
        cast = name_speakers(
            [Turn(turn.speaker, turn.words) for turn in turns], known, outbound=outbound
        )
        lone = alone(cast, mono=True) if len(cast.names) == 1 else None
        if cast.sure >= SURE and not lone:
            roles |= cast.names
        if lone or (cast.names and cast.both >= BOTH):
            doubts = (lone or MIXED,)
    named = [
        replace(turn, speaker=roles.get(number, "unknown"))
        for turn, number in zip(turns, numbers, strict=True)
    ]
    return tuple(named), doubts


def _unheard(roles: Mapping[int, str]) -> tuple[Warning, ...]:
    """Return the doubt about a call in which agents speak and nobody else.

    Likelier than a customer who says nothing is one whose words stand under the agent's name.
    """
    sides = {role.partition("_")[0] for role in roles.values()} - {"system"}
    detail = "Only an agent speaks; the customer's words may be among the agent's."
    return (Warning(ROLES_UNCERTAIN, detail),) if sides == {"agent"} else ()


def _told_apart(turn: Turn, spans: Sequence[SpeakerSpan]) -> Iterator[tuple[int, Turn]]:
    """Yield a nameless turn with its speaker's number; cut where the voice changes, if it can be.

    A turn whose words have no times, or that has further forms, goes to one speaker as a whole.
    """
    timed = all(word.start is not None and word.end is not None for word in turn.words)
    if not timed or turn.forms:
        where = extent(turn.words, turn.start, turn.end)
        shared: dict[int, float] = {}
        for span in spans if where else ():
            assert where is not None
            seconds = overlap(where, (span.start, span.end))
            shared[span.speaker] = shared.get(span.speaker, 0.0) + seconds
        best = max(shared, key=lambda speaker: shared[speaker], default=NOBODY)
        yield (best if shared.get(best) else NOBODY), turn
        return
    begun: list[Word] = []
    speaker = NOBODY
    for word, who in zip(turn.words, attribute(turn.words, spans), strict=True):
        if begun and who != speaker:
            yield speaker, replace(turn, words=tuple(begun))
            begun = []
        begun.append(word)
        speaker = who
    if begun:
        yield speaker, replace(turn, words=tuple(begun))


def _given(order: dict[Speaker | int, int]) -> dict[int, str]:
    """Return the roles that the file's own names tell; nothing where they tell no agent.

    Of two people of whom one is named, the other is the other side.
    """
    roles = {
        number: role
        for key, number in order.items()
        if isinstance(key, tuple) and (role := role_of(key[0]))
    }
    people = [number for number in order.values() if roles.get(number) != "system"]
    named = [number for number in people if number in roles]
    if len(people) == 2 and len(named) == 1:
        (other,) = set(people) - set(named)
        side = roles[named[0]].partition("_")[0]
        roles[other] = "customer" if side == "agent" else "agent"
    if not any(role.startswith(("agent", "customer")) for role in roles.values()):
        return {number: role for number, role in roles.items() if role == "system"}
    return _numbered(roles)


def _numbered(roles: dict[int, str]) -> dict[int, str]:
    """Return roles with `_2` for the second of a side, as two channels may each have one."""
    seen: dict[str, int] = {}
    found = {}
    for number, role in roles.items():
        side = role.partition("_")[0]
        seen[side] = seen.get(side, 0) + 1
        found[number] = (
            role if "_" in role or seen[side] == 1 or side == "system"
            else f"{side}_2" if seen[side] == 2 else "unknown"
        )  # fmt: skip
    return found


def role_of(label: str) -> str:
    """Return agent, customer, agent_2, customer_2 or system for a speaker's name; "" for others."""
    text = re.sub(r"[\s-]+", "_", label.strip().lower())
    if text in ("agent_2", "customer_2"):
        return text
    return _ROLES.get(re.sub(r"_?[01]$", "", text), "")
