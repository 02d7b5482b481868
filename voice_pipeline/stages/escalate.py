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
    return _compiled(_Compiling(pack)).evaluate(gather(transcript, note, metadata, pack))


class _Compiling:
    """A pack as a cache key: packs with the same files are the same."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def __hash__(self) -> int:
        return hash(self.pack.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Compiling) and other.pack.sha256 == self.pack.sha256


@lru_cache(maxsize=4)
def _compiled(key: _Compiling) -> Ruleset:
    pack = key.pack
    return Ruleset(pack.rules, types(pack), pack.sha256)
