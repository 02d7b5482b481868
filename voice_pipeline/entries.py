"""What the register knows of a call that has ended: columns to list by, redacted text to search.

Reads released records only: of a held call nothing is searchable, and its row says why it is held.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from voice_pipeline.domain import (
    CaseNote,
    Recording,
    RedactedTranscript,
    Redaction,
    Ref,
    Verification,
)
from voice_pipeline.engine.durable import Entry
from voice_pipeline.pipeline import Outcome
from voice_pipeline.results import warnings_of

KIND = re.compile(r"[A-Z][A-Z_]{0,39}", re.ASCII)


def entry(outcome: Outcome, read: Callable[[Ref[Any]], Any]) -> Entry:
    """Return the entry of a call from the records that its outcome names."""
    recording: Recording = read(outcome.recording)
    values: dict[str, Any] = {"duration": recording.duration, "name": recording.name}
    for name in ("queue", "agent", "team", "customer_ref", "call_ref", "started_at", "phone_key"):
        if recording.metadata.get(name):
            values[name] = recording.metadata[name][:200]
    verdict: Verification = read(outcome.verification)
    redaction: Redaction = read(outcome.redaction)
    note: CaseNote | None = read(outcome.note) if outcome.note else None
    text: RedactedTranscript | None = read(outcome.transcript) if outcome.transcript else None
    told = warnings_of(recording, redaction, verdict, text, note)
    values["warnings"] = json.dumps([{"code": w.code, "detail": w.detail} for w in told])
    if note is None or text is None:
        reasons = verdict.reasons
        values |= {
            "code": reasons[0].code if reasons else "held",
            "detail": reasons[0].detail if reasons else None,
            "review": None,
        }
        return Entry(values, None, _redacted(redaction))
    flags = sorted({flag.category for flag in note.escalations})
    values |= {
        "code": None,
        "detail": None,
        "request_type": note.request_type.label,
        "urgency": note.urgency,
        "flags": f",{','.join(flags)}," if flags else None,
        "review": "required" if note.review and note.review.required else None,
    }
    counts = _redacted(redaction) | _claims(note)
    return Entry(values, "\n".join(turn.text for turn in text.turns), counts)


def _redacted(redaction: Redaction) -> dict[tuple[str, str], float]:
    """Count findings by kind; a kind of a policy's own that is no plain word is `OTHER`."""
    kinds = Counter(
        found.label if KIND.fullmatch(found.label) else "OTHER" for found in redaction.findings
    )
    return {("redactions", kind): float(number) for kind, number in kinds.items()}


def _claims(note: CaseNote) -> dict[tuple[str, str], float]:
    claims = (
        *note.summary, *note.facts, *note.actions, *note.commitments, *note.open_questions,
        *(claim for part in note.sections for claim in part.claims),
    )  # fmt: skip
    single = sum(claim is not None for claim in (note.reason, note.cancellation_reason))
    return {
        ("claims", "verified"): float(len(claims) + single),
        ("claims", "unverified"): float(len(note.unverified)),
    }
