"""The analyst that needs no model and no network: a form filled with quotes.

It writes no prose. Every statement is a verbatim quote with its turn and time, and passes the same
checks as any other analyst's. It refuses to sum up a call with too little speech, with a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, SkipValidation

from voice_pipeline import __version__
from voice_pipeline.analysts._corrections import with_correction
from voice_pipeline.analysts._ending import outcome
from voice_pipeline.analysts._facts import facts as facts_of
from voice_pipeline.analysts._intent import Intent, intents
from voice_pipeline.analysts._measures import measures
from voice_pipeline.analysts._mood import moods
from voice_pipeline.analysts._promises import commitments as commitments_of
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.analysts._refusing import not_understood, too_little
from voice_pipeline.analysts._requests import leaving_reason, open_questions, others
from voice_pipeline.analysts._room import ROOM
from voice_pipeline.analysts._sections import sections
from voice_pipeline.analysts._summary import summary_of, urgency_of
from voice_pipeline.claims import verify
from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    Claim,
    Commitment,
    RedactedTranscript,
    RequestType,
    Unverified,
)
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Embedder
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.dates import call_day
from voice_pipeline.spoken.taken_back import taken_back

Said = TypeVar("Said", Claim, Commitment)

SURE_ENOUGH = 0.5  # confidence in the request type from which its missing information is asked for


class Options(BaseModel):
    """Settings of the offline analyst."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    # what turns texts into vectors; None: likeness is counted in words
    embedder: SkipValidation[Embedder] | None = None
    # the policy pack whose taxonomy is used; None: the one that comes with the product
    pack: Pack | None = None


def create(options: Options) -> OfflineAnalyst:
    return OfflineAnalyst(options.pack or load_pack(), options.embedder)


class OfflineAnalyst:
    """Fills the note with quotes from the call."""

    name = "offline"

    def __init__(self, pack: Pack, embedder: Embedder | None = None) -> None:
        self._pack = pack
        self._embedder = embedder

    @property
    def made_by(self) -> str:
        vectors = f", {self._embedder.made_by}" if self._embedder else ""
        return f"offline {__version__}{vectors}"

    def analyse(self, transcript: RedactedTranscript, metadata: Mapping[str, str]) -> CaseNote:
        """Return a verified note; route, flags and review are for the stages that follow."""
        call = Conversation(transcript)
        reader = Reader(call, self._pack, call_day(metadata.get("started_at")))
        empty = self._empty(transcript, call)
        if code := too_little(call) or not_understood(transcript, call):
            return replace(empty, status=f"no_summary:{code}")
        room = ROOM[self._pack.note.length]
        hostile = reader.hostile()
        openings = reader.openings(hostile)
        model = intents(self._pack, self._embedder)
        intent = model.of_call(call, openings)
        reason = reader.reason(openings)
        actions, undone = _standing(reader.actions(hostile), transcript)
        promised, withdrawn = _standing(commitments_of(reader, hostile), transcript)
        commitments = promised[: room.commitments]
        told = {quote.turn for claim in (reason,) if claim for quote in claim.evidence}
        told |= {quote.turn for claim in commitments for quote in claim.evidence}
        facts, corrections = facts_of(reader, hostile, frozenset(told), room.facts, room.filled)
        ending = outcome(reader, hostile, actions, reader.told(hostile))
        questions = open_questions(reader, hostile)
        start, end = moods(call, ending, hostile) if self._feels else (None, None)
        urgency, urgent = urgency_of(reader, intent, hostile)
        leaving = leaving_reason(reader, intent, hostile)
        note = replace(
            empty,
            request_type=RequestType(intent.label, round(intent.confidence, 3), intent.decision),
            urgency=urgency,
            reason=reason,
            summary=tuple(
                with_correction(claim, corrections)
                for claim in summary_of(reason, actions, commitments, ending)[: room.summary]
            ),
            facts=facts,
            actions=actions[: room.actions],
            commitments=commitments,
            outcome=ending,
            missing_information=self._missing(reader, intent),
            also=others(reader, model, intent, hostile),
            open_questions=questions,
            cancellation_reason=leaving,
            unverified=tuple(dict.fromkeys((*undone, *withdrawn))),
            mood_start=start,
            mood_end=end,
            sections=sections(
                reader, intent.label, _by_kind(facts, actions, commitments, questions), hostile
            ),
            provenance={
                **empty.provenance,
                "similarity": round(intent.similarity, 3),
                "deciding_turn": intent.turn,
                "urgency_turn": urgent,
            },
        )
        return verify(note, transcript)

    def _missing(self, reader: Reader, intent: Intent) -> tuple[str, ...]:
        """Ask for nothing on account of a type that is a guess."""
        sure = intent.decision == "auto" or intent.confidence >= SURE_ENOUGH
        return reader.missing(self._pack.kind(intent.label)) if sure else ()

    @property
    def _feels(self) -> bool:
        return self._pack.note.sentiment == "on"

    def _empty(self, transcript: RedactedTranscript, call: Conversation) -> CaseNote:
        return CaseNote(
            call=transcript.call,
            status="done",
            request_type=RequestType("other", 0.0, "human"),
            urgency="normal",
            reason=None,
            summary=(),
            facts=(),
            actions=(),
            commitments=(),
            outcome=CallOutcome("unclear", ()),
            missing_information=(),
            unverified=(),
            measures=measures(transcript, call),
            provenance={
                "analyst": self.made_by,
                "method": "extractive, offline",
                "language": transcript.language,
                "length": self._pack.note.length,
                "sentiment": self._pack.note.sentiment,
                "pack": self._pack.id,
                "pack_version": self._pack.version,
                "pack_sha256": self._pack.sha256,
                "similarity": 0.0,
                "deciding_turn": None,
                "urgency_turn": None,
            },
        )


def _standing(
    claims: Sequence[Said], transcript: RedactedTranscript
) -> tuple[tuple[Said, ...], list[Unverified]]:
    """Part what still stands from what its speaker took back."""
    back = [
        claim
        for claim in claims
        if any(taken_back(quote, transcript.turns) for quote in claim.evidence)
    ]
    return tuple(claim for claim in claims if claim not in back), [
        Unverified(claim.text, claim.evidence, "taken_back") for claim in back
    ]


def _by_kind(
    facts: Sequence[Claim],
    actions: Sequence[Claim],
    commitments: Sequence[Commitment],
    questions: Sequence[Claim],
) -> dict[str, Sequence[Claim | Commitment]]:
    """Return the claims of a note under the names that a pack's sections use."""
    return {
        "facts": facts,
        "amounts": [claim for claim in facts if claim.text.startswith("Amount:")],
        "dates": [claim for claim in facts if claim.text.startswith("When:")],
        "references": [claim for claim in facts if claim.text.startswith("Reference:")],
        "actions": actions,
        "commitments": commitments,
        "questions": questions,
    }
