"""How the call went, in numbers: who talked how much, silence, interruptions, holds, pace.

Everything comes from words and turn times; where a transcript has no times, only what needs none is
given. Names that begin with `agent_` describe one employee's work: docs/note.md says
who may see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voice_pipeline.analysts._cues import cues
from voice_pipeline.domain import RedactedTranscript, music_seconds
from voice_pipeline.spoken.conversation import Conversation, is_back_channel
from voice_pipeline.spoken.phrases import parse

INTERRUPTION = 0.4  # seconds of overlap from which starting to speak is an interruption
PAUSE = 3.0  # seconds within which a speaker who goes on is still the same monologue
HOLD = 10.0  # seconds of silence from which "one moment please" has become a hold
SIDES = ("agent", "customer")


class Timed(NamedTuple):
    """One turn with its times."""

    start: float
    end: float
    side: str
    turn: int


def measures(transcript: RedactedTranscript, call: Conversation) -> dict[str, float]:
    """Return the measures of a call; shares are 0..1, times are seconds."""
    found = _words(call)
    if hold := music_seconds(transcript.sounds):
        found["hold_seconds"] = hold
    timed = sorted(
        Timed(turn.start, turn.end, call.side(turn), turn.turn)
        for turn in call.turns
        if turn.start is not None and turn.end is not None and turn.end > turn.start
    )
    if not timed:
        return found
    length = max(transcript.duration, max(turn.end for turn in timed))
    silences = list(_silences(timed, length))
    talk = {side: sum(t.end - t.start for t in timed if t.side == side) for side in SIDES}
    spoken = sum(talk.values())
    for side in SIDES:
        if spoken > 0:
            found[f"{side}_talk_share"] = round(talk[side] / spoken, 3)
        if talk[side] > 0:
            words = sum(
                len(turn.words)
                for turn in call.turns
                if call.side(turn) == side and turn.turn in {t.turn for t in timed}
            )
            found[f"{side}_words_per_minute"] = round(60 * words / talk[side], 1)
            found[f"{side}_interruptions"] = float(_interruptions(call, timed, side))
            found[f"{side}_longest_monologue"] = round(_longest(call, timed, side), 2)
    found["interruptions"] = sum(found.get(f"{side}_interruptions", 0.0) for side in SIDES)
    found["longest_monologue"] = max(
        (found.get(f"{side}_longest_monologue", 0.0) for side in SIDES), default=0.0
    )
    found["silence_share"] = round(sum(end - start for start, end in silences) / length, 3)
    found["longest_silence"] = round(max((e - s for s, e in silences), default=0.0), 2)
    holds = [end - start for start, end in _holds(call, timed, silences)]
    found["agent_holds"] = float(len(holds))
    if holds:
        found["agent_hold_seconds"] = round(sum(holds), 2)
    return found


def _words(call: Conversation) -> dict[str, float]:
    """Return what needs no times."""
    words = {
        side: sum(len(turn.words) for turn in call.turns if call.side(turn) == side)
        for side in SIDES
    }
    found = {
        "turns": float(len(call.turns)),
        "words": float(sum(len(turn.words) for turn in call.turns)),
    }
    for side in SIDES:
        found[f"{side}_turns"] = float(sum(call.side(turn) == side for turn in call.turns))
        if sum(words.values()):
            found[f"{side}_word_share"] = round(words[side] / sum(words.values()), 3)
    return found


def _silences(timed: Sequence[Timed], length: float) -> Iterator[tuple[float, float]]:
    """Yield the stretches in which nobody speaks, the ends of the recording among them."""
    reached = 0.0
    for turn in timed:
        if turn.start > reached:
            yield reached, turn.start
        reached = max(reached, turn.end)
    if length > reached:
        yield reached, length


def _interruptions(call: Conversation, timed: Sequence[Timed], side: str) -> int:
    """Count how often a side starts to speak well before the other has ended; nods do not count."""
    count, latest = 0, dict.fromkeys(SIDES, 0.0)
    other = SIDES[1 - SIDES.index(side)]
    for turn in timed:
        started = turn.side == side and not is_back_channel(call.tokens[turn.turn])
        if started and latest[other] - turn.start > INTERRUPTION:
            count += 1
        if turn.side in latest:
            latest[turn.side] = max(latest[turn.side], turn.end)
    return count


def _longest(call: Conversation, timed: Sequence[Timed], side: str) -> float:
    """Return the longest time for which a side holds the floor, also across the other's nods."""
    best, begun, reached = 0.0, None, 0.0
    for turn in timed:
        if turn.side != side:
            if not is_back_channel(call.tokens[turn.turn]):
                begun = None
            continue
        if begun is None or turn.start - reached > PAUSE:
            begun = turn.start
        reached = max(reached, turn.end)
        best = max(best, reached - begun)
    return best


def _holds(
    call: Conversation, timed: Sequence[Timed], silences: Sequence[tuple[float, float]]
) -> Iterator[tuple[float, float]]:
    """Yield the silences that follow an agent's `one moment please`."""
    asked = {
        match.last.turn for phrase in cues().hold for match in call.find(parse(phrase), "agent")
    }
    ends = sorted((turn.end, turn.turn) for turn in timed)
    for start, end in silences:
        before = [turn for reached, turn in ends if reached <= start + 1e-6][-2:]
        if end - start >= HOLD and any(turn in asked for turn in before):
            yield start, end
