"""Finishes the note: flags, route, urgency, and why a person must approve.

A flag can only raise urgency and priority. Waiting for approval is no fault of the call: it is
done, with `review.required`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
from voice_pipeline.policy.rules import SEVERITIES, compile_when
from voice_pipeline.ports import Analyst
from voice_pipeline.stages.escalate import flags_of

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
    route = _route(note, flags.flags, metadata, pack)
    return replace(
        note,
        urgency=_higher(note.urgency, *(pack.routing.priority[f.severity] for f in flags.flags)),
        escalations=flags.flags,
        route=route,
        review=_review(transcript, note, flags.flags, metadata, pack),
    )


def _higher(*priorities: Priority) -> Priority:
    return max(priorities, key=PRIORITIES.index)


def _route(
    note: CaseNote, flags: tuple[Escalation, ...], metadata: Mapping[str, str], pack: Pack
) -> Route:
    moving = sorted((flag for flag in flags if flag.action.get("queue")), key=_order(pack))
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


def _order(pack: Pack):  # type: ignore[no-untyped-def]
    precedence = pack.routing.precedence

    def key(flag: Escalation) -> tuple[int, int]:
        rank = precedence.index(flag.category) if flag.category in precedence else len(precedence)
        return -SEVERITIES.index(flag.severity), rank

    return key


def _review(
    transcript: RedactedTranscript,
    note: CaseNote,
    flags: tuple[Escalation, ...],
    metadata: Mapping[str, str],
    pack: Pack,
) -> Review:
    facts = gather(transcript, note, metadata, pack)
    facts["flags"] = Fact("flags", tuple(dict.fromkeys(flag.category for flag in flags)))
    known = types(pack) | {name: type_ for name, (type_, _) in AFTER_RULES.items()}
    reasons = tuple(
        rule.reason
        for rule in pack.routing.review
        if compile_when(rule.when, known).evaluate(facts)["fired"]
    )
    return Review(bool(reasons) or any(flag.severity in MUST_BE_SEEN for flag in flags), reasons)
