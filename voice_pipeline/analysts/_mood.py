"""Tells from words how the customer sounds at either end of a call; voices are never listened to.

Phrases of `cues.yaml` with negation. It knows no irony: praise at the end of a call that helped
nobody counts for nothing. Without a phrase the customer sounds neutral.
"""

from __future__ import annotations

from collections.abc import Sequence

from voice_pipeline.analysts._cues import cues
from voice_pipeline.domain import CallOutcome, Evidence, Mood
from voice_pipeline.spoken.conversation import Conversation, is_back_channel
from voice_pipeline.spoken.phrases import Match, parse
from voice_pipeline.spoken.words import vocabulary

START = 1 / 3  # share of the customer's turns that are the start ...
END = 1 / 4  # ... and the end
FEWEST = 2  # turns that either has at least
REACH = 4  # words before a phrase in which a negation turns it round
MOST_QUOTES = 2
_NEGATIONS = vocabulary("not never no hardly without neither nor")


def moods(
    call: Conversation, ending: CallOutcome, but: frozenset[int]
) -> tuple[Mood | None, Mood | None]:
    """Return how the customer sounds at start and end; None where the customer says nothing.

    Args:
        but: turns that speak to the machine, not to the agent.
    """
    turns = [
        turn.turn
        for turn in call.by("customer")
        if call.side(turn) == "customer"
        and turn.turn not in but
        and call.tokens[turn.turn]
        and not is_back_channel(call.tokens[turn.turn])
    ]
    if not turns:
        return None, None
    first = turns[: max(FEWEST, round(len(turns) * START))]
    last = turns[-max(FEWEST, round(len(turns) * END)) :]
    glad, upset = _polar(call)
    start = _mood(call, glad, upset, first)
    # praise after a call that helped nobody is courtesy or irony
    end = _mood(call, [] if ending.value == "unresolved" else glad, upset, last)
    return start, end


def _polar(call: Conversation) -> tuple[list[Match], list[Match]]:
    """Return glad and upset matches of the customer, negated ones on the other side."""
    glad: list[Match] = []
    upset: list[Match] = []
    for phrases, same, other in ((cues().glad, glad, upset), (cues().upset, upset, glad)):
        for phrase in phrases:
            for match in call.find(parse(phrase), "customer"):
                (other if _negated(call, match) else same).append(match)
    return glad, upset


def _negated(call: Conversation, match: Match) -> bool:
    said = call.tokens[match.first.turn]
    place = next(n for n, token in enumerate(said) if token.word >= match.first.word)
    before = [
        token.text
        for token in said[max(0, place - REACH) : place]
        if not call.turn(token.turn).words[token.word].text.endswith((".", "?", "!"))
    ]
    return any(word in _NEGATIONS for word in before)


def _mood(
    call: Conversation, glad: Sequence[Match], upset: Sequence[Match], turns: Sequence[int]
) -> Mood:
    """Weigh turns, not words: ten oaths in one sentence are one upset sentence."""
    sides = [
        {match.first.turn: match for match in matches if match.first.turn in turns}
        for matches in (glad, upset)
    ]
    good, bad = (
        sorted(side.values(), key=lambda match: call.place[match.first.turn]) for side in sides
    )
    later = bad and good and call.place[bad[-1].first.turn] > call.place[good[-1].first.turn]
    if len(bad) > len(good) or later:
        return Mood("negative", _quotes(call, bad))
    if good:
        return Mood("positive", _quotes(call, good))
    return Mood("neutral", ())


def _quotes(call: Conversation, matches: Sequence[Match]) -> tuple[Evidence, ...]:
    found = [call.sentence(match.first, match.first)[0] for match in matches[-MOST_QUOTES:]]
    return tuple(dict.fromkeys(found))
