"""Write down what redaction did to one call: its events, in order, for the signed log.

Decides which facts of a call become evidence. Refuses every word of it: an event names kinds,
places, rules and hashes, and nothing here is given the text.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redaction.log import Signer, milliseconds, write_log
from voice_pipeline.domain import Recording, Redaction, Verification


def attest(
    recording: Recording,
    redaction: Redaction,
    verification: Verification,
    *,
    signer: Signer,
    time: str,
    released: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the call's signed log, as `redaction_log.jsonl` holds it.

    Args:
        recording: the call.
        redaction: what was found and muted.
        verification: whether that may be trusted.
        signer: signs the head.
        time: ISO 8601 UTC; the same call at the same time gives the same bytes.
        released: (target, SHA-256 of the payload) for everything that left.
    """
    sink = io.BytesIO()
    events = events_for(recording, redaction, verification, time=time, released=released)
    write_log(sink, events, signer, time=time)
    return sink.getvalue()


def events_for(
    recording: Recording,
    redaction: Redaction,
    verification: Verification,
    *,
    time: str,
    released: Iterable[tuple[str, str]] = (),
    hashes: Mapping[int, str] | None = None,
    actions: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return the events of one call.

    Args:
        recording: the call.
        redaction: what was found and muted.
        verification: whether that may be trusted.
        time: ISO 8601 UTC.
        released: (target, SHA-256 of the payload) for everything that left.
        hashes: keyed hashes by index of the finding, from `redaction.log.value_hmac`.
        actions: label -> what the policy does with it; `placeholder` where not named.
    """
    keyed, done = hashes or {}, actions or {}
    events: list[dict[str, Any]] = [
        {
            "event": "call_started",
            "source_sha256": recording.sha256,
            "duration_ms": milliseconds(recording.duration),
            "channels": recording.channels,
        },
        {
            "event": "policy_applied",
            "policy": redaction.policy,
            "policy_sha256": redaction.policy_sha256,
            "profile": redaction.profile,
        },
    ]
    events += [
        {
            "event": "redacted",
            "action": done.get(finding.label, "placeholder"),
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
            "group": finding.group,
            "value_hmac": keyed.get(index),
        }
        for index, finding in enumerate(redaction.findings)
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
    events += [
        {"event": "released_to", "target": target, "payload_sha256": payload}
        for target, payload in (released if verification.passed else ())
    ]
    if verification.passed and verification.destroy_recording:
        events.append(
            {"event": "erased", "what": "recording", "reason_code": "sensitive_authentication_data"}
        )
    facts = {"time": time, "call": recording.id, "actor": "voice-pipeline", "mode": "auto"}
    return [facts | event for event in events]
