"""What the register knows of a call that has ended: columns to list by, redacted text to search.

Reads released records only: of a held call nothing is searchable, and its row says why it is held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voice_pipeline.domain import CaseNote, Recording, RedactedTranscript, Ref, Verification
from voice_pipeline.engine.durable import Entry
from voice_pipeline.pipeline import Outcome


def entry(outcome: Outcome, read: Callable[[Ref[Any]], Any]) -> Entry:
    """Return the entry of a call from the records that its outcome names."""
    recording: Recording = read(outcome.recording)
    values: dict[str, Any] = {"duration": recording.duration, "name": recording.name}
    for name in ("queue", "agent", "team", "customer_ref", "call_ref", "started_at"):
        if recording.metadata.get(name):
            values[name] = recording.metadata[name][:200]
    if outcome.note is None or outcome.transcript is None:
        verdict: Verification = read(outcome.verification)
        reasons = verdict.reasons
        values |= {
            "code": reasons[0].code if reasons else "held",
            "detail": reasons[0].detail if reasons else None,
            "review": None,
        }
        return Entry(values, None)
    note: CaseNote = read(outcome.note)
    text: RedactedTranscript = read(outcome.transcript)
    flags = sorted({flag.category for flag in note.escalations})
    values |= {
        "code": None,
        "detail": None,
        "request_type": note.request_type.label,
        "urgency": note.urgency,
        "flags": f",{','.join(flags)}," if flags else None,
        "review": "required" if note.review and note.review.required else None,
    }
    return Entry(values, "\n".join(turn.text for turn in text.turns))
