"""How the call went, in numbers: who talked how much, silence, interruptions, pace.

Everything comes from turn times; where a transcript has none, only what needs no time is given.
"""

from __future__ import annotations

from itertools import pairwise

from voice_pipeline.domain import RedactedTranscript, music_seconds
from voice_pipeline.spoken.conversation import Conversation, is_back_channel

INTERRUPTION = 0.4  # seconds of overlap from which starting to speak is an interruption


def measures(transcript: RedactedTranscript, call: Conversation) -> dict[str, float]:
    """Return the measures of a call; shares are 0..1, times are seconds."""
    words = {
        side: sum(len(turn.words) for turn in call.turns if call.side(turn) == side)
        for side in ("agent", "customer")
    }
    found: dict[str, float] = {
        "turns": float(len(call.turns)),
        "words": float(sum(len(turn.words) for turn in call.turns)),
    }
    if hold := music_seconds(transcript.sounds):
        found["hold_seconds"] = hold
    both = sum(words.values())
    if both:
        found["agent_word_share"] = round(words["agent"] / both, 3)
    timed = [
        (turn, turn.start, turn.end)
        for turn in call.turns
        if turn.start is not None and turn.end is not None and turn.end > turn.start
    ]
    if not timed:
        return found
    talk = {
        side: sum(end - start for turn, start, end in timed if call.side(turn) == side)
        for side in ("agent", "customer")
    }
    spoken = sum(talk.values())
    if spoken > 0:
        found["agent_talk_share"] = round(talk["agent"] / spoken, 3)
    for side in ("agent", "customer"):
        if talk[side] > 0:
            found[f"{side}_words_per_minute"] = round(60 * words[side] / talk[side], 1)
    length = transcript.duration or max(end for _, _, end in timed)
    covered, reached = 0.0, 0.0
    for start, end in sorted((start, end) for _, start, end in timed):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    found["silence_share"] = round(max(0.0, 1 - covered / length), 3) if length else 0.0
    found["interruptions"] = float(
        sum(
            before[0].speaker != turn.speaker
            and start < before[2] - INTERRUPTION
            and not is_back_channel(call.tokens[turn.turn])
            for before, (turn, start, _) in pairwise(timed)
        )
    )
    found["longest_monologue"] = round(max(end - start for _, start, end in timed), 2)
    return found
