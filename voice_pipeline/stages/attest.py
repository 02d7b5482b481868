"""Write down what redaction did to one call: its events, in order, for the signed log.

Decides which facts of a call become evidence. Refuses every word of it: an event names kinds,
places, rules and hashes, and nothing here is given the text.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redaction.log import Signer, milliseconds, write_log
from redaction.records import Finding, Mark
from voice_pipeline.domain import Recording, Redaction, Verification

TENANT = "default"  # one organisation a data folder


@dataclass(frozen=True, slots=True)
class Released:
    """One payload that left."""

    target: str  # kind of target: its place may hold a password or a person's name
    target_sha256: str  # of the target as the operator wrote it
    payload_sha256: str
    time: str  # ISO 8601 UTC
    kind: str = "note"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided about the call."""

    event: str  # review | override
    decision: str  # approved rejected edited | released rerun discarded
    reviewer: str
    time: str  # ISO 8601 UTC


def attest(
    recording: Recording,
    redaction: Redaction,
    verification: Verification,
    *,
    signer: Signer,
    time: str,
    released: Sequence[Released] = (),
    decided: Sequence[Decided] = (),
    transcriber: str = "",
) -> bytes:
    """Return the call's signed log, as `redaction_log.jsonl` holds it.

    A later delivery only adds records behind those of an earlier log.

    Args:
        recording: the call.
        redaction: what was found and muted.
        verification: whether that may be trusted.
        signer: signs the head.
        time: ISO 8601 UTC; the same call at the same time gives the same bytes.
        released: what left, in order.
        decided: what people decided, in order.
        transcriber: engine and model that heard the words.
    """
    sink = io.BytesIO()
    events = events_for(
        recording,
        redaction,
        verification,
        time=time,
        released=released,
        decided=decided,
        transcriber=transcriber,
    )
    write_log(sink, events, signer, time=max(event["time"] for event in events))
    return sink.getvalue()


def events_for(
    recording: Recording,
    redaction: Redaction,
    verification: Verification,
    *,
    time: str,
    released: Iterable[Released] = (),
    decided: Iterable[Decided] = (),
    transcriber: str = "",
) -> list[dict[str, Any]]:
    """Return the events of one call; see `attest`."""
    events: list[dict[str, Any]] = [
        {
            "event": "call_started",
            "source_sha256": recording.sha256,
            "duration_ms": milliseconds(recording.duration),
            "channels": recording.channels,
            "transcriber": transcriber,
        },
        {
            "event": "policy_applied",
            "policy": redaction.policy,
            "policy_version": redaction.policy_version,
            "policy_sha256": redaction.policy_sha256,
            "profile": redaction.profile,
            "threshold": redaction.threshold,
            "detectors": list(redaction.detectors),
        },
    ]
    marks = redaction.marks or (Mark("placeholder"),) * len(redaction.findings)
    events += [
        {
            "event": "redacted",
            "action": mark.action,
            **_place(finding),
            "threshold": redaction.threshold,
            "group": finding.group,
            "digits": mark.digits,
            "value_hmac": mark.value_hmac,
            "key_id": redaction.key_id if mark.value_hmac else None,
        }
        for finding, mark in zip(redaction.findings, marks, strict=True)
    ]
    events += [
        {
            "event": "redacted",
            "action": "mute",
            "start_ms": milliseconds(window.start),
            "end_ms": milliseconds(window.end),
            "channels": list(window.channels) or list(range(recording.channels)),
            "reason": window.reason,
        }
        for window in redaction.windows
    ]
    events += [{"event": "suppressed", **_place(kept)} for kept in redaction.suppressed]
    events.append(
        {
            "event": "verification",
            "result": "pass" if verification.passed else "hold",
            "reasons": [reason.code for reason in verification.reasons],
            "warnings": sorted(set(redaction.warnings)),
            "checks": dict(verification.checks),
            "transcript_sha256": verification.transcript_sha256,
            "audio_sha256": verification.audio_sha256,
        }
    )
    events.append({"event": "erased", "what": "raw_text", "reason_code": "redaction_committed"})
    if verification.passed and verification.destroy_recording:
        events.append(
            {"event": "erased", "what": "recording", "reason_code": "sensitive_authentication_data"}
        )
    later: list[dict[str, Any]] = [
        {
            "event": "released_to",
            "time": left.time,
            "target": left.target,
            "target_sha256": left.target_sha256,
            "payload_sha256": left.payload_sha256,
            "kind": left.kind,
        }
        for left in (released if verification.passed else ())
    ]
    later += [
        {
            "event": one.event,
            "time": one.time,
            "mode": "manual",
            "decision": one.decision,
            "reviewer": one.reviewer,
            "reason_code": "person_decided",
        }
        for one in decided
    ]
    events += sorted(later, key=lambda event: str(event["time"]))
    facts = {
        "time": time,
        "call": recording.id,
        "tenant": TENANT,
        "actor": "voice-pipeline",
        "mode": "auto",
    }
    return [facts | event for event in events]


def _place(finding: Finding) -> dict[str, Any]:
    return {
        "label": finding.label,
        "turn": finding.turn,
        "first": finding.first,
        "last": finding.last,
        "start_ms": milliseconds(finding.start),
        "end_ms": milliseconds(finding.end),
        "detector": finding.detector,
        "rule": finding.rule,
        "score": round(finding.score, 3),
        "reason": finding.reason,
    }
