"""Finishes the note: flags, route, urgency, and why a person must approve.

A flag can only raise urgency and priority. Waiting for approval is no fault of the call: it is
done, with `review.required`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from voice_pipeline.domain import (
    CaseNote,
    Escalation,
    Escalations,
    Recording,
    RedactedTranscript,
    Review,
    Route,
)
from voice_pipeline.policy.facts import AFTER_RULES, Fact, gather, types
from voice_pipeline.policy.pack import Pack
from voice_pipeline.policy.rules import SEVERITIES, Tree, compile_when
from voice_pipeline.ports import Analyst
from voice_pipeline.stages.escalate import flags_of
from voice_pipeline.stages.promises import without_new_promises

Priority = Literal["low", "normal", "high", "urgent"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high", "urgent")
MUST_BE_SEEN = ("high", "critical")  # severities of which one alone calls for a person


def review(
    recording: Recording,
    transcript: RedactedTranscript,
    note: CaseNote,
    flags: Escalations,
    *,
    pack: Pack,
) -> CaseNote:
    """Return the final note of a call."""
    return finished(transcript, note, flags, recording.metadata, pack)


def note_for(
    transcript: RedactedTranscript, metadata: Mapping[str, str], analyst: Analyst, pack: Pack
) -> CaseNote:
    """Return the final note of a redacted transcript of which no recording is known."""
    note = analyst.analyse(transcript, metadata)
    return finished(transcript, note, flags_of(transcript, note, metadata, pack), metadata, pack)


def finished(
    transcript: RedactedTranscript,
    note: CaseNote,
    flags: Escalations,
    metadata: Mapping[str, str],
    pack: Pack,
) -> CaseNote:
    """Join note and flags, and decide on route, urgency and review."""
    note = without_new_promises(note, pack)
    route = _route(note, flags.flags, metadata, pack)
    inputs = {"inputs": dict(flags.context)} if flags.context else {}
    return replace(
        note,
        provenance={**note.provenance, **inputs},
        urgency=_higher(note.urgency, *(pack.routing.priority[f.severity] for f in flags.flags)),
        escalations=flags.flags,
        route=route,
        review=_review(transcript, note, flags, metadata, pack),
    )


def _higher(*priorities: Priority) -> Priority:
    return max(priorities, key=PRIORITIES.index)


def _route(
    note: CaseNote, flags: tuple[Escalation, ...], metadata: Mapping[str, str], pack: Pack
) -> Route:
    moving = sorted(
        (flag for flag in flags if flag.action.get("queue")), key=lambda flag: _rank(flag, pack)
    )
    priority = _higher(note.urgency, *(pack.routing.priority[flag.severity] for flag in flags))
    if moving:
        queue = str(moving[0].action["queue"])
        reasons = [f"{flag.category}: {flag.why}" for flag in moving]
    elif note.request_type.decision == "auto" and (kind := pack.kind(note.request_type.label)):
        queue = kind.queue
        reasons = [f"request type {kind.label}"]
    elif metadata.get("queue") in {known.id for known in pack.routing.queues}:
        queue = metadata["queue"]
        reasons = ["the queue the call came in on; its request type is for a person to decide"]
    else:
        queue = pack.routing.fallback
        reasons = ["the request type is for a person to decide"]
    return Route(queue, pack.queue_owner(queue), priority, tuple(reasons))


def _rank(flag: Escalation, pack: Pack) -> tuple[int, int]:
    """Return the sort key of a flag: the most severe first, then by the pack's precedence."""
    order = pack.routing.precedence
    place = order.index(flag.category) if flag.category in order else len(order)
    return -SEVERITIES.index(flag.severity), place


def _review(
    transcript: RedactedTranscript,
    note: CaseNote,
    raised: Escalations,
    metadata: Mapping[str, str],
    pack: Pack,
) -> Review:
    flags = raised.flags
    facts = gather(transcript, note, metadata, pack, context=raised.context)
    facts["flags"] = Fact("flags", tuple(dict.fromkeys(flag.category for flag in flags)))
    reasons = tuple(reason for reason, tree in _reasons(pack) if tree.evaluate(facts)["fired"])
    return Review(bool(reasons) or any(flag.severity in MUST_BE_SEEN for flag in flags), reasons)


@lru_cache(maxsize=4)
def _reasons(pack: Pack) -> tuple[tuple[str, Tree], ...]:
    known = types(pack) | {name: type_ for name, (type_, _) in AFTER_RULES.items()}
    return tuple((rule.reason, compile_when(rule.when, known)) for rule in pack.routing.review)
