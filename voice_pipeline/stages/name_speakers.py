"""Numbered speakers to agent and customer, by what they say and how calls begin.

Decides who is the agent and how sure that is. English only: in other languages, and where both
say too little, it says that it does not know, and the caller falls back on convention.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redaction.records import Turn

# Cues with their weight in log odds for the agent (negative: the customer). Weights are judgement,
# checked on the sample calls: the ends are phrases that the other side hardly ever says.
AGENT_CUES: Mapping[str, float] = {
    r"(thank you|thanks) for (calling|holding|waiting)": 4.0,
    r"how (can|may|could) (i|we) (help|assist)": 4.0,
    r"(is there )?anything else (that )?(i|we) can": 3.5,
    r"is there anything else": 2.5,
    r"(can|may|could) i (please )?(take|have|get|ask for)( you)? your": 3.0,
    r"(can|could|would|will) you (please )?(confirm|verify|spell)": 2.5,
    r"(what is|what's|and) your (full name|name|account|order|card|address|date|post|zip)": 2.0,
    r"for security|security questions?": 1.5,
    r"bear with me|one moment please|let me (just )?(check|look|have a look|see|pull)": 2.0,
    r"i (will|'ll|can) (check|look into|send you|put|arrange|refund|transfer you|escalate)": 1.5,
    r"i can see (the|that|a|your|it|here)": 2.0,
    r"i have (now )?(refunded|cancelled|sent|updated|raised|opened|noted|changed|blocked)": 2.0,
    r"(sorry|apologies) (to hear|for the|about (that|the))": 1.5,
    r"i (do )?apologi[sz]e": 1.5,
    r"you (will|'ll|should) (receive|get|have) (a|an|the|your)": 1.5,
    r"(we|i) (will|'ll|can) (call|ring) you": 1.0,
    r"on (our|my) (system|side|end)": 1.0,
    r"certainly": 0.7,
    r"your (account|order|policy|booking|request|refund)": 0.5,
}
CUSTOMER_CUES: Mapping[str, float] = {
    r"i (want|would like|'d like|need) (to|my|a|an|you to|someone)": -1.5,
    r"i (am|'m) (calling|ringing|phoning) (about|because|to|on behalf)": -1.0,
    r"i have (a|an) (question|problem|issue|complaint)": -2.0,
    r"(my|the) (last )?(bill|invoice|parcel|package|order|card|policy) (is|was|has)": -1.5,
    r"my (account|order|bill|card|policy|parcel|package|password|money|phone|internet|claim)": -1.5,
    r"my (husband|wife|mother|father|son|daughter|lawyer|bank)": -1.5,
    r"my (address|number|account number|date of birth|email|post ?code|card number) is": -1.5,
    r"(when|why|how) (will|do|did|was|am) i": -1.5,
    r"i (still )?(have not|haven't|never|did not|didn't) (got|get|had|received?|order)": -2.0,
    r"i was (charged|told|promised|billed)": -2.0,
    r"can you (please )?(help|cancel|change|refund|tell me (when|why|what))": -1.5,
    r"(cancel|close|change) my": -2.0,
    r"your (company|service is|website|people)|you (people|guys)": -1.5,
    r"(speak|talk) to (a|the|your) (manager|supervisor)": -2.0,
    r"(refund|money) back": -0.7,
}
MOST_COUNTED = 2  # times a cue counts for one speaker
FIRST_WORD = 0.7  # who is called speaks first: the agent on inbound calls
MOST_ODDS = 4.0  # counted words never make anybody surer than 98 %
SURE = 0.8  # below this confidence the convention holds instead
# Recorded announcements, on whatever channel they are heard.
ANNOUNCEMENT = re.compile(
    r"\b(your call is important to us|press (zero|one|two|three|four|five|six|seven|eight|nine|star"
    r"|hash|pound) (for|to)|all (of )?our (agents|lines|advisors|representatives) are)\b"
)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is who."""

    names: Mapping[int, str]  # speaker number -> agent customer agent_2 customer_2 unknown
    sure: float  # 0..1, that the one named agent is the agent
    # log odds of what the one named agent, or somebody alone, says in the words of both sides:
    # more than nothing may be two people whom nobody told apart
    both: float = 0.0


def name_speakers(turns: Sequence[Turn], numbers: Sequence[int], *, outbound: bool) -> Cast:
    """Name the speakers of a call.

    Args:
        turns: in start order; their own speaker names are not looked at.
        numbers: the speaker of each turn, negative where nobody knows.
        outbound: the agent made the call, so the customer speaks first.

    Returns:
        Names by who is likeliest to be the agent, and how sure that is. `sure` compares the best
        with the best of those who are no agents; with one speaker it says which of both it is.
    """
    scores, both = _score(turns, numbers, outbound)
    ranked = sorted(scores, key=lambda number: (-scores[number], number))
    if not ranked:
        return Cast({}, 0.0)
    if len(ranked) == 1:
        score = scores[ranked[0]]
        sure = _logistic(abs(score))
        name = "unknown" if sure < SURE else "agent" if score > 0 else "customer"
        return Cast({ranked[0]: name}, sure, both[ranked[0]])
    names = assign(ranked, scores)
    agents = [number for number in scores if names[number] in ("agent", "agent_2")]
    others = max(score for number, score in scores.items() if number not in agents)
    sure = _logistic(scores[ranked[0]] - others)
    # of two agents, the one who is called comes first
    names |= dict(zip(agents, ("agent", "agent_2"), strict=False))
    return Cast(names, sure, both[ranked[0]])


def assign(ranked: Sequence[int], scores: Mapping[int, float]) -> dict[int, str]:
    """Return names for speakers in this order: the agent, the customer, then further ones."""
    names = {ranked[0]: "agent", ranked[-1]: "customer"}
    free = {True: ["agent_2"], False: ["customer_2"]}
    for number in ranked[1:-1]:
        side = free[scores[number] > 0]
        names[number] = side.pop() if side else "unknown"
    return names


def by_side(sides: Mapping[int, int], agent: int) -> dict[int, str]:
    """Return names where every speaker keeps to a channel: agents on one, customers on others.

    Args:
        sides: speaker number -> channel, in the order in which they first speak.
        agent: the channel of the agents.
    """
    free = {True: ["agent", "agent_2"], False: ["customer", "customer_2"]}
    names = {}
    for number, channel in sides.items():
        side = free[channel == agent]
        names[number] = side.pop(0) if side else "unknown"
    return names


def announces(turn: Turn) -> bool:
    """Return whether a turn is a recorded announcement rather than somebody on the call."""
    return ANNOUNCEMENT.search(_plain(turn.text)) is not None


def _score(
    turns: Sequence[Turn], numbers: Sequence[int], outbound: bool
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the log odds of each speaker for the agent, and how far both sides' words go."""
    texts: dict[int, list[str]] = {}
    for turn, number in zip(turns, numbers, strict=True):
        if number >= 0 and not announces(turn):
            texts.setdefault(number, []).append(_plain(turn.text))
    scores = {}
    both = {}
    for place, (number, said) in enumerate(texts.items()):
        text = " | ".join(said)
        first = 0.0 if place or len(texts) < 2 else -FIRST_WORD if outbound else FIRST_WORD
        agents, customers = (
            sum(
                weight * min(MOST_COUNTED, len(re.findall(rf"\b(?:{cue})\b", text)))
                for cue, weight in cues.items()
            )
            for cues in (AGENT_CUES, CUSTOMER_CUES)
        )
        scores[number] = first + agents + customers
        both[number] = min(agents, -customers)
    return scores, both


def _plain(text: str) -> str:
    bare = re.sub(r"[^a-z' ]+", " ", text.lower().replace("’", "'"))
    return re.sub(r"\s+", " ", bare.replace("'ll", " 'll").replace("'d ", " 'd ")).strip()


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-min(odds, MOST_ODDS)))
