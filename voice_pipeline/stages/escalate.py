"""Evaluates every rule of the policy pack over a call. Rules decide; a note can only add facts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from voice_pipeline.domain import CaseNote, Escalations, Recording, RedactedTranscript
from voice_pipeline.policy.facts import gather, types
from voice_pipeline.policy.pack import Pack
from voice_pipeline.policy.rules import Ruleset


def escalate(
    recording: Recording, transcript: RedactedTranscript, note: CaseNote, *, pack: Pack
) -> Escalations:
    """Return the flags of a call with the trace of every rule."""
    return flags_of(transcript, note, recording.metadata, pack)


def flags_of(
    transcript: RedactedTranscript, note: CaseNote, metadata: Mapping[str, str], pack: Pack
) -> Escalations:
    """Return the flags of a call of which no recording is known."""
    return _compiled(pack).evaluate(gather(transcript, note, metadata, pack))


@lru_cache(maxsize=4)
def _compiled(pack: Pack) -> Ruleset:
    return Ruleset(pack.rules, types(pack), pack.sha256)
