"""Which audio is muted for which findings.

Decides start, end and channels of every mute window; wider is always right. Refuses to leave a
finding out: what has no trustworthy time mutes its whole turn, and what nobody understood is muted
because nobody checked it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from redaction.records import Finding, Turn, Window, Word

Span = tuple[float, float]

# Seconds of padding. Espeak digits at telephone quality, 320 digits: 200 ms around a run left no
# digit audible, 100 ms left 0.3 %; late starts reach 108 ms and early ends 181 ms at p95.
PAD = 0.25
# Twice that for card data and for words whose place the engine itself doubts.
WIDE_PAD = 0.5
# A gap this short between two windows holds no word worth keeping, and often a missed digit.
MERGE_GAP = 0.4
# Words below this confidence are placed badly: pad them as card data. None counts as low.
LOW_CONFIDENCE = 0.5
# Pieces of one spoken number further apart than this were said on different occasions.
PIECE_GAP = 20.0
# Active speech without a word for longer than this was not understood. Inside fluent speech
# pauses above 0.6 s are rare, and a word missed inside a shorter gap is under the padding of
# its neighbours or under three digits long.
UNHEARD_GAP = 0.6
# Seconds around a word that count as heard with it: engines end words 93 ms early at p90.
HEARD_AROUND = 0.1
# Longer than this no word is spoken; an engine that says so has swallowed speech it did not hear.
LONGEST_WORD = 1.5
# Words per second of speech below which most of it cannot have become words; dictated digits with
# pauses have 1.0-1.3.
SLOWEST_SPEECH = 0.7
# Seconds: later than the end of any recording, where the end is not known.
END_OF_CALL = 1e7

CARD_LABELS = frozenset({"CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "PIN", "SSN"})
# Said on one side, echoed or read back on the other: muted on every channel.
BOTH_SIDES = CARD_LABELS | {
    "ACCOUNT_NUMBER", "SORT_CODE", "ROUTING_NUMBER", "IBAN", "PASSWORD", "SECURITY_ANSWER",
}  # fmt: skip
# Values that are spoken in pieces, so that speech between two pieces is likely a piece unheard.
NUMBERS = BOTH_SIDES | {
    "PHONE", "PASSPORT", "DRIVER_LICENSE", "NATIONAL_INSURANCE", "TAX_ID", "MEDICAL_ID",
}  # fmt: skip


def windows(
    turns: Sequence[Turn],
    findings: Sequence[Finding],
    duration: float,
    channels: int,
    *,
    separate: bool = False,
    active: Sequence[Sequence[Span]] = (),
    held: Sequence[Span] = (),
) -> tuple[Window, ...]:
    """Return the mute windows of a call, sorted, padded and merged per channel.

    Args:
        turns: what was said; word times may be missing, NaN, negative or reversed.
        findings: where personal data stands.
        duration: seconds of audio; 0 where it is not known (then nothing is clamped at the end).
        channels: audio channels; with fewer than two every window covers all of them.
        separate: nobody is heard on another's channel; otherwise every window covers all of them.
        active: per channel, where somebody speaks: stretches without a recognised word are muted.
        held: intervals from a question for card data to its acknowledgement, muted on all channels.
    """
    call = _Call(turns, duration)
    loud = channels < 2 or not separate
    everywhere = tuple(range(max(channels, 1)))
    found = [
        Window(*span, everywhere if loud else channels_of(turns, finding, channels), reason)
        for finding in findings
        for span, reason in [_padded(call, finding)]
    ]
    found += [Window(a, b, everywhere, "open_question") for a, b in held if a < b]
    found += [
        Window(a, b, everywhere if loud else channels_of(turns, finding, channels), "open_question")
        for finding, (a, b) in _between_pieces(turns, findings)
    ]
    for channel, stretches in enumerate(active):
        on = everywhere if loud or channel >= channels else (channel,)
        mine = [t for t in turns if channels < 2 or t.channel == channel]
        words = [w for t in mine for w in t.words]
        whole = [span for t in mine for span in accounted(t, stretches)]
        found += [Window(a, b, on, "unheard_speech") for a, b in unheard(stretches, words, whole)]
    return merge(found, duration, channels)


def merge(found: Iterable[Window], duration: float, channels: int) -> tuple[Window, ...]:
    """Clamp windows to the call, join those that touch or nearly do, channel by channel."""
    end = duration if duration > 0 else END_OF_CALL
    count = max(channels, 1)
    by_place: dict[tuple[float, float, str], list[int]] = {}
    every = list(found)
    for channel in range(count):
        joined: list[tuple[float, float, str]] = []
        mine = [w for w in every if not w.channels or channel in w.channels]
        for window in sorted(mine, key=lambda w: (w.start, w.end)):
            start, stop = max(0.0, window.start), min(end, window.end)
            if not start < stop:
                continue
            if joined and start - joined[-1][1] < MERGE_GAP:
                first, last, reason = joined[-1]
                joined[-1] = (first, max(last, stop), _weightier(reason, window.reason))
            else:
                joined.append((start, stop, window.reason))
        for place in joined:
            by_place.setdefault(place, []).append(channel)
    return tuple(
        Window(start, stop, () if len(on) == count else tuple(on), reason)
        for (start, stop, reason), on in sorted(by_place.items())
    )


def unplaced(turns: Sequence[Turn], findings: Iterable[Finding]) -> int:
    """Return how many findings have no trustworthy time of their own."""
    return sum(_run(turns, finding) is None for finding in findings)


def uncovered(
    turns: Sequence[Turn],
    findings: Iterable[Finding],
    muted: Sequence[Window],
    duration: float,
    channels: int,
    *,
    separate: bool = False,
) -> int:
    """Return how many findings are not wholly inside the windows, padding and channels included."""
    call = _Call(turns, duration)
    loud = channels < 2 or not separate
    missing = 0
    for finding in findings:
        (start, stop), _ = _padded(call, finding)
        start, stop = max(0.0, start), min(call.end, stop)
        needed = range(max(channels, 1)) if loud else channels_of(turns, finding, channels)
        missing += any(
            not any(
                w.start <= start and stop <= w.end and (not w.channels or channel in w.channels)
                for w in muted
            )
            for channel in needed
        )
    return missing


def unheard(
    stretches: Iterable[Span], words: Iterable[Word], whole: Iterable[Span] = ()
) -> tuple[Span, ...]:
    """Return the parts of active speech in which no word was recognised.

    Args:
        stretches: where somebody speaks.
        words: what was recognised.
        whole: stretches that untimed words account for, see `accounted`.
    """
    heard = sorted([*(_credit(word) for word in words if _timed(word)), *whole])
    gaps: list[Span] = []
    position = 0
    for start, end in sorted(stretches):
        at = start
        while position < len(heard) and heard[position][1] <= start:
            position += 1
        ahead = position
        while ahead < len(heard) and heard[ahead][0] < end:
            if heard[ahead][0] - at > UNHEARD_GAP:
                gaps.append((at, heard[ahead][0]))
            at = max(at, heard[ahead][1])
            ahead += 1
        if end - at > UNHEARD_GAP:
            gaps.append((at, end))
    return tuple(gaps)


def channels_of(turns: Sequence[Turn], finding: Finding, channels: int) -> tuple[int, ...]:
    """Return the channels a finding is muted on when the sides do not bleed into each other."""
    alone = finding.label not in BOTH_SIDES and 0 <= finding.turn < len(turns)
    if alone and 0 <= turns[finding.turn].channel < channels:
        return (turns[finding.turn].channel,)
    return tuple(range(max(channels, 1)))


def extent(turn: Turn) -> Span | None:
    """Return from where to where a turn's words are known to be; None where nothing tells it.

    A turn's own times count where not every word has one.
    """
    known = [place for word in turn.words if (place := _times(word)) is not None]
    if len(known) < len(turn.words) and (stated := _stated(turn)) is not None:
        known.append(stated)
    if not known:
        return None
    return min(a for a, _ in known), max(b for _, b in known)


def accounted(turn: Turn, stretches: Sequence[Span]) -> tuple[Span, ...]:
    """Return the stretch for which a turn's words account although none of them has a time.

    That is the turn's own, if it has words enough for the speech in it. A turn of which some words
    have times accounts only for those: what was not placed was not heard there for certain.
    """
    stated = _stated(turn)
    if stated is None or not turn.words or any(map(_timed, turn.words)):
        return ()
    speech = sum(overlap(stated, stretch) for stretch in stretches)
    return (stated,) if len(turn.words) >= SLOWEST_SPEECH * speech else ()


def overlap(one: Span, other: Span) -> float:
    """Return for how many seconds two stretches run together."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


# ---------------------------------------------------------------- placing one finding


class _Call:
    """The turns of a call with, for each, where it and its nearest timed neighbours stand."""

    def __init__(self, turns: Sequence[Turn], duration: float) -> None:
        self.turns = turns
        self.duration = duration
        self.end = duration if duration > 0 else END_OF_CALL
        self.own = [extent(turn) for turn in turns]
        self.before = _latest([None, *self.own[:-1]])
        self.after = _latest([None, *self.own[:0:-1]])[::-1]


def _latest(spans: Iterable[Span | None]) -> list[Span | None]:
    """Replace every None by the last span before it."""
    last, filled = None, []
    for span in spans:
        last = span or last
        filled.append(last)
    return filled


def _padded(call: _Call, finding: Finding) -> tuple[Span, str]:
    run = _run(call.turns, finding)
    if run is None:
        start, end = (min(at, call.end) for at in _around(call, finding))
        return (start - WIDE_PAD, end + WIDE_PAD), "span_without_time"
    words = call.turns[finding.turn].words[finding.first : finding.last]
    doubtful = any((w.confidence or 0.0) < LOW_CONFIDENCE or w.start == w.end for w in words)
    pad = WIDE_PAD if doubtful or finding.label in CARD_LABELS else PAD
    start, end = run
    # past the end of the audio: mute what is nearest
    start, end = min(start, call.end), min(end, call.end)
    return (start - pad, end + pad), "finding"


def _run(turns: Sequence[Turn], finding: Finding) -> Span | None:
    """From the first to the last word of a finding; None where any of it cannot be trusted."""
    if not 0 <= finding.turn < len(turns):
        return None
    words = turns[finding.turn].words
    if not 0 <= finding.first < finding.last <= len(words):
        return None
    places = [_times(word) for word in words[finding.first : finding.last]]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return None
    start, end = min(a for a, _ in known), max(b for _, b in known)
    own = _times(Word("", finding.start, finding.end))
    return (min(start, own[0]), max(end, own[1])) if own else (start, end)


def _around(call: _Call, finding: Finding) -> Span:
    """Where a finding must be although its words do not say: its turn, or the turns around it."""
    if not 0 <= finding.turn < len(call.turns):
        return 0.0, call.end
    turn, own = call.turns[finding.turn], call.own[finding.turn]
    before, after = call.before[finding.turn], call.after[finding.turn]
    if own and (_stated(turn) or (turn.words and _timed(turn.words[0]))):
        start = own[0]
    elif before:
        start = min(before[1], own[0]) if own and before[1] <= own[0] else before[0]
    else:
        start = 0.0
    if own and (_stated(turn) or (turn.words and _timed(turn.words[-1]))):
        end = own[1]
    elif after:
        end = max(after[0], own[1]) if own and after[0] >= own[1] else after[1]
    else:
        end = call.end
    if own:
        start, end = min(start, own[0]), max(end, own[1])
    stated = _times(Word("", finding.start, finding.end))
    if stated:
        start, end = min(start, stated[0]), max(end, stated[1])
    # Turns that are not in time order leave nothing to go by.
    return (start, end) if start < end else (0.0, call.end)


def _between_pieces(
    turns: Sequence[Turn], findings: Sequence[Finding]
) -> Iterator[tuple[Finding, Span]]:
    groups: dict[int, list[tuple[Span, Finding]]] = {}
    for finding in findings:
        if finding.group and finding.label in NUMBERS and (run := _run(turns, finding)):
            groups.setdefault(finding.group, []).append((run, finding))
    for pieces in groups.values():
        pieces.sort(key=lambda piece: piece[0])
        reached = pieces[0][0][1]
        for (start, end), finding in pieces[1:]:
            if 0 < start - reached <= PIECE_GAP:
                yield finding, (reached, start)
            reached = max(reached, end)


def _times(word: Word) -> Span | None:
    start, end = word.start, word.end
    if start is None or end is None or not (math.isfinite(start) and math.isfinite(end)):
        return None
    return (start, end) if 0 <= start <= end < END_OF_CALL else None


def _timed(word: Word) -> bool:
    return _times(word) is not None


def _stated(turn: Turn) -> Span | None:
    """The times that a turn has of its own; None where they are none to trust."""
    span = _times(Word("", turn.start, turn.end))
    return span if span and span[0] < span[1] else None


def _credit(word: Word) -> Span:
    start, end = _times(word) or (0.0, 0.0)
    return start - HEARD_AROUND, min(end, start + LONGEST_WORD) + HEARD_AROUND


_WEIGHT = ("finding", "bleed", "open_question", "unheard_speech", "span_without_time")


def _weightier(one: str, other: str) -> str:
    """Of two reasons for one window, the one that a reader must know about."""
    rank = {reason: place for place, reason in enumerate(_WEIGHT)}
    return max(one, other, key=lambda reason: rank.get(reason, len(_WEIGHT)))
