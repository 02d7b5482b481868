"""The analyst that needs no model and no network: a form filled with quotes.

It writes no prose. Every statement is a verbatim quote with its turn and time, and passes the same
checks as any other analyst's. It refuses to sum up a call with too little speech, with a code.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, SkipValidation

from voice_pipeline import __version__
from voice_pipeline.analysts._ending import outcome
from voice_pipeline.analysts._intent import Intent, intents
from voice_pipeline.analysts._measures import measures
from voice_pipeline.analysts._promises import commitments as commitments_of
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.claims import verify
from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    Claim,
    Commitment,
    RedactedTranscript,
    RequestType,
)
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Embedder
from voice_pipeline.spoken.conversation import Conversation, is_back_channel
from voice_pipeline.spoken.dates import call_day

SUMMARY = 3  # statements at most: longer summaries go unread (research of vendors' forums)
UNCLEAR = CallOutcome("unclear", ())
NO_INTENT = Intent("other", 0.0, 0.0, "human", None)
FEWEST_WORDS = 8  # both sides together; below this there is nothing to sum up


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
        if code := _too_little(call):
            return self._note(transcript, call, f"no_summary:{code}", NO_INTENT)
        hostile = reader.hostile()
        openings = reader.openings(hostile)
        intent = intents(self._pack, self._embedder).of_call(call, openings)
        reason = reader.reason(openings)
        actions = reader.actions(hostile)
        commitments = commitments_of(reader, hostile)
        told = {quote.turn for claim in (reason,) if claim for quote in claim.evidence}
        promised = {quote.turn for claim in commitments for quote in claim.evidence}
        facts = reader.facts(hostile, frozenset(told | promised))
        ending = outcome(reader, hostile, actions, reader.told(hostile))
        note = self._note(
            transcript,
            call,
            "done",
            intent,
            reason=reason,
            facts=facts,
            actions=actions,
            commitments=commitments,
            ending=ending,
            missing=reader.missing(self._pack.kind(intent.label)),
        )
        return verify(note, transcript)

    def _note(
        self,
        transcript: RedactedTranscript,
        call: Conversation,
        status: str,
        intent: Intent,
        *,
        reason: Claim | None = None,
        facts: tuple[Claim, ...] = (),
        actions: tuple[Claim, ...] = (),
        commitments: tuple[Commitment, ...] = (),
        ending: CallOutcome = UNCLEAR,
        missing: tuple[str, ...] = (),
    ) -> CaseNote:
        kind = self._pack.kind(intent.label)
        return CaseNote(
            call=transcript.call,
            status=status,
            request_type=RequestType(intent.label, round(intent.confidence, 3), intent.decision),
            urgency=kind.urgency if kind and intent.decision == "auto" else "normal",
            reason=reason,
            summary=_summary(reason, actions, commitments, ending),
            facts=facts,
            actions=actions,
            commitments=commitments,
            outcome=ending,
            missing_information=missing,
            unverified=(),
            measures=measures(transcript, call),
            provenance={
                "analyst": self.made_by,
                "method": "extractive, offline",
                "pack": self._pack.id,
                "pack_version": self._pack.version,
                "pack_sha256": self._pack.sha256,
                "similarity": round(intent.similarity, 3),
                "deciding_turn": intent.turn,
            },
        )


def _too_little(call: Conversation) -> str | None:
    """Return why nothing can be summed up, as a code."""
    words = sum(len(said) for said in call.tokens.values())
    if words == 0:
        return "no_speech"
    spoke = {
        call.side(turn)
        for turn in call.turns
        if call.tokens[turn.turn] and not is_back_channel(call.tokens[turn.turn])
    }
    one_sided = not {"agent", "customer"} <= spoke and "unknown" not in spoke
    return "insufficient_speech" if words < FEWEST_WORDS or one_sided else None


def _summary(
    reason: Claim | None,
    actions: tuple[Claim, ...],
    commitments: tuple[Commitment, ...],
    ending: CallOutcome,
) -> tuple[Claim, ...]:
    """Why they called, what was done, what comes next; else how it ended."""
    found = [reason] if reason else []
    found.extend(actions[-1:])
    next_step = [promise for promise in commitments if promise.due_text] or list(commitments)
    found.extend(Claim(promise.text, promise.evidence) for promise in next_step[-1:])
    if len(found) < SUMMARY and ending.evidence:
        quote = ending.evidence[0]
        found.append(Claim(f"End of the call: {quote.quote}", (quote,)))
    unique = {claim.evidence[0].quote: claim for claim in found}
    return tuple(unique.values())[:SUMMARY]
