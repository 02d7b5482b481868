"""THE main path: one call, top to bottom.

Between stages travel `Ref`s, typed names of kept records. `run.step` runs a stage once, keeps its
result sealed, and on a second run returns the kept one: a call that was killed goes on where it
stopped. Everything below `verify` sees redacted types only; a type checker refuses the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voice_pipeline.domain import (
    CaseNote,
    Escalations,
    Heard,
    Received,
    Recording,
    RedactedAudio,
    RedactedTranscript,
    Redaction,
    Ref,
    Status,
    Transcript,
    Verification,
)
from voice_pipeline.ports import Run, Stage


@dataclass(frozen=True, slots=True)
class Stages:
    """The verbs, in the order in which a call meets them."""

    # decode once: facts about the audio, channel sanity
    ingest: Stage[Callable[[Received], Recording]]
    # speech to words, per channel, with doubt
    transcribe: Stage[Callable[[Recording], Heard]]
    # words to turns of agent and customer
    diarize: Stage[Callable[[Recording, Heard], Transcript]]
    # find personal data: one set of findings ...
    redact: Stage[Callable[[Transcript], Redaction]]
    # ... rendered twice: placeholders in text,
    replace: Stage[Callable[[Transcript, Redaction], RedactedTranscript]]
    # silence in audio
    mute: Stage[Callable[[Recording, Redaction], RedactedAudio]]
    # trust it, or hold the call
    verify: Stage[
        Callable[[Transcript, Redaction, RedactedTranscript, RedactedAudio], Verification]
    ]
    # the case note, every claim with its quote
    analyse: Stage[Callable[[Recording, RedactedTranscript], CaseNote]]
    # every rule, with its reasons
    escalate: Stage[Callable[[Recording, RedactedTranscript, CaseNote], Escalations]]
    # flags, route and what a person must approve
    review: Stage[Callable[[Recording, RedactedTranscript, CaseNote, Escalations], CaseNote]]
    # suggested articles, and the letter that a person may send
    draft: Stage[Callable[[RedactedTranscript, CaseNote], CaseNote]]
    # read all that leaves once more, or hold the call after all
    release: Stage[Callable[[Recording, RedactedTranscript, CaseNote, Verification], Verification]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of a call when the pipeline has finished: names of kept records."""

    status: Status
    recording: Ref[Recording]
    redaction: Ref[Redaction]
    verification: Ref[Verification]
    transcript: Ref[RedactedTranscript] | None = None
    audio: Ref[RedactedAudio] | None = None
    note: Ref[CaseNote] | None = None
    escalations: Ref[Escalations] | None = None


def understand(received: Ref[Received], run: Run, do: Stages) -> Outcome:
    """Take one recording from its bytes to a released note, or hold it for a person."""
    call = run.step(do.ingest, received)
    heard = run.step(do.transcribe, call)
    said = run.step(do.diarize, call, heard)

    found = run.step(do.redact, said)
    text = run.step(do.replace, said, found)
    audio = run.step(do.mute, call, found)
    verdict = run.step(do.verify, said, found, text, audio)

    trust = run.look(verdict)
    imported = run.look(call).transcript
    # raw text has one short life, and it ends here
    run.forget(heard, said, *([imported] if imported else []))
    if not trust.passed:
        return Outcome("held", call, found, verdict)
    if trust.destroy_recording:
        run.forget(run.look(call).audio)

    note = run.step(do.analyse, call, text)
    flags = run.step(do.escalate, call, text, note)
    judged = run.step(do.review, call, text, note, flags)
    final = run.step(do.draft, text, judged)
    fit = run.step(do.release, call, text, final, verdict)
    if not run.look(fit).passed:
        return Outcome("held", call, found, fit)
    # `done` puts it into the outbox, in the transaction that keeps this outcome
    return Outcome("done", call, found, fit, text, audio, final, flags)
