"""Evaluates every rule of the policy pack over a call. Rules decide; a note can only add.

A language model's concern whose quote was verified becomes a flag of its own where no rule of that
category fired. It moves no call and clears no flag: a person looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from voice_pipeline.domain import (
    CaseNote,
    Escalation,
    Escalations,
    Recording,
    RedactedTranscript,
)
from voice_pipeline.policy.facts import gather, types
from voice_pipeline.policy.pack import Pack
from voice_pipeline.policy.rules import Ruleset


def escalate(
    recording: Recording,
    transcript: RedactedTranscript,
    note: CaseNote,
    *,
    pack: Pack,
    consult: Callable[[Recording], Mapping[str, Any]] = lambda recording: {},
) -> Escalations:
    """Return the flags of a call with the trace of every rule.

    Args:
        consult: says what is known of the customer; asked once, and kept with the flags.
    """
    context = dict(consult(recording))
    found = flags_of(transcript, note, recording.metadata, pack, context)
    return replace(found, context=context)


def flags_of(
    transcript: RedactedTranscript,
    note: CaseNote,
    metadata: Mapping[str, str],
    pack: Pack,
    context: Mapping[str, Any] = MappingProxyType({}),
) -> Escalations:
    """Return the flags of a call of which no recording is known."""
    found = _compiled(pack).evaluate(gather(transcript, note, metadata, pack, context=context))
    fired = {flag.category for flag in found.flags}
    added = tuple(
        Escalation(
            rule="model_suggestion",
            version=1,
            category=concern.category,
            severity="low",
            why="A language model sees this in what was said, and no rule does; a person decides.",
            evidence=concern.evidence,
            inputs={"source": "language model"},
            action={"queue": None, "due": None, "notify": []},
        )
        for concern in note.concerns
        if concern.category not in fired
    )
    flags = (*found.flags, *added)
    if metadata.get("historical") == "true":
        flags = tuple(_of_old(flag) for flag in flags)
    return replace(found, flags=flags)


def _of_old(flag: Escalation) -> Escalation:
    """Return a flag of a recording from the past: its time ran out long ago, nobody is woken."""
    return replace(flag, action={**flag.action, "notify": [], "historical": True})


@lru_cache(maxsize=4)
def _compiled(pack: Pack) -> Ruleset:
    return Ruleset(pack.rules, types(pack), pack.sha256)
