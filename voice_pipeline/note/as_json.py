"""A case note as the `note.json` that integrations rely on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from redaction.log import canonical
from voice_pipeline.codec import plain
from voice_pipeline.domain import (
    CaseNote,
    Claim,
    Commitment,
    Escalation,
    Evidence,
    Mood,
    Unverified,
    Warning,
)
from voice_pipeline.next_step import first_due


def note_json(note: CaseNote) -> dict[str, Any]:
    """Return the note in the shape that CONTRACTS fixes; JSON values only."""
    return {
        "call_id": note.call,
        "status": note.status,
        "request_type": {
            "label": note.request_type.label,
            "confidence": note.request_type.confidence,
            "decision": note.request_type.decision,
        },
        "urgency": note.urgency,
        "reason": _claim(note.reason) if note.reason else None,
        "summary": [_claim(claim) for claim in note.summary],
        "next_step": _commitment(step) if (step := first_due(note.commitments)) else None,
        "facts": [_claim(claim) for claim in note.facts],
        "actions": [_claim(claim) for claim in note.actions],
        "commitments": [_commitment(promise) for promise in note.commitments],
        "outcome": {
            "value": note.outcome.value,
            "evidence": [_evidence(quote) for quote in note.outcome.evidence],
        },
        "missing_information": list(note.missing_information),
        "also": [
            {
                "label": other.label,
                "confidence": other.confidence,
                "evidence": [_evidence(quote) for quote in other.evidence],
            }
            for other in note.also
        ],
        "open_questions": [_claim(claim) for claim in note.open_questions],
        "cancellation_reason": (
            _claim(note.cancellation_reason) if note.cancellation_reason else None
        ),
        "sentiment": {"start": _mood(note.mood_start), "end": _mood(note.mood_end)},
        "sections": [
            {"id": part.id, "title": part.title, "claims": [_claim(c) for c in part.claims]}
            for part in note.sections
        ],
        "route": (
            {
                "queue": note.route.queue,
                "owner": note.route.owner,
                "priority": note.route.priority,
                "reasons": list(note.route.reasons),
            }
            if note.route
            else None
        ),
        "escalations": [_escalation(flag) for flag in note.escalations],
        "review": (
            {"required": note.review.required, "reasons": list(note.review.reasons)}
            if note.review
            else None
        ),
        "suggestions": [plain(found) for found in note.suggestions],
        "no_article": {"terms": list(note.no_article.terms)} if note.no_article else None,
        "draft": (
            {
                "text": note.draft.text,
                "sources": list(note.draft.sources),
                "status": note.draft.status,
            }
            if note.draft
            else None
        ),
        "unverified": [_claim(claim) | {"why": claim.why} for claim in note.unverified],
        "measures": dict(note.measures),
        "provenance": _plain(note.provenance),
    }


def payload_sha256(payload: Mapping[str, Any]) -> str:
    """Return the hash by which logs name a note that left: of its canonical JSON."""
    return hashlib.sha256(canonical(payload)).hexdigest()


def note_warnings(note: CaseNote) -> list[Warning]:
    """Return what a reader should know of how the note was made: that the model gave none."""
    fallback = note.provenance.get("fallback")
    return [Warning(fallback["code"], fallback["detail"])] if fallback else []


def _evidence(quote: Evidence) -> dict[str, Any]:
    return {"turn": quote.turn, "start": quote.start, "end": quote.end, "quote": quote.quote}


def _mood(mood: Mood | None) -> dict[str, Any] | None:
    if mood is None:
        return None
    return {"value": mood.value, "evidence": [_evidence(quote) for quote in mood.evidence]}


def _claim(claim: Claim | Commitment | Unverified) -> dict[str, Any]:
    return {"text": claim.text, "evidence": [_evidence(quote) for quote in claim.evidence]}


def _commitment(promise: Commitment) -> dict[str, Any]:
    return _claim(promise) | {
        "who": promise.who,
        "what": promise.what,
        "due": promise.due.isoformat() if promise.due else None,
        "due_text": promise.due_text,
    }


def _escalation(flag: Escalation) -> dict[str, Any]:
    return {
        "rule": flag.rule,
        "version": flag.version,
        "category": flag.category,
        "severity": flag.severity,
        "why": flag.why,
        "evidence": [_evidence(quote) for quote in flag.evidence],
        "inputs": _plain(flag.inputs),
        "action": _plain(flag.action),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
