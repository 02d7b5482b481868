"""What a redaction log may hold: events, fields, and how a record is written down.

Refuses unknown events and fields, so that no value, snippet or free text can slip in beside them,
and any hash of what has so few forms that a hash gives it away.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from redaction.hashes import NEVER_HASHED

SCHEMA = 1
FIRST = "0" * 64  # prev_hash of the first record
HEAD_PURPOSE = b"redaction-log-head/1\n"  # signed before the head, so it can stand for nothing else

# Every event has these ...
COMMON = frozenset({"event", "time", "call", "tenant", "actor", "mode"})
# ... and its own: name -> (needed, allowed). docs/log.md is written from these tables.
EVENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(needed.split()), frozenset(allowed.split()))
    for name, needed, allowed in (
        ("call_started", "call source_sha256", "duration_ms channels transcriber diarizer"),
        ("policy_applied", "call policy policy_sha256 profile",
         "policy_version threshold detectors"),
        ("redacted", "call action", "label turn first last start_ms end_ms channels detector rule"
         " score threshold reason group digits value_hmac key_id"),
        ("suppressed", "call label turn rule", "first last start_ms end_ms score reason detector"),
        ("verification", "call result", "reasons warnings checks transcript_sha256 audio_sha256"),
        ("released_to", "call target payload_sha256", "kind target_sha256"),
        ("review", "call decision", "reviewer reason_code payload_sha256"),
        ("override", "call decision reviewer reason_code", "payload_sha256"),
        ("key_rotated", "key_id", "previous_key_id"),
        ("erased", "call what", "reason_code key_id"),
    )
}  # fmt: skip

# When each event is written.
MEANINGS: Mapping[str, str] = {
    "call_started": "a recording was decoded",
    "policy_applied": "which policy was applied to it, and by what",
    "redacted": "personal data was taken out of the text, or a stretch of audio was muted",
    "suppressed": "something was recognised and left to stand, because the policy says so",
    "verification": "the redaction was checked; `hold` keeps the whole call back",
    "released_to": "a payload left for a target, after a `pass`",
    "review": "a person decided about the call",
    "override": "a person decided against what was proposed",
    "key_rotated": "the signing key changed",
    "erased": "something was destroyed",
    "head": "the last line: how many records, their root, and the signature",
}

# What each field holds.
FIELDS: Mapping[str, str] = {
    "schema": "version of this format",
    "seq": "place in the log, from 0",
    "prev_hash": "leaf hash of the record before; 64 zeros for the first",
    "event": "which kind of event",
    "time": "ISO 8601, UTC",
    "call": "id of the call; says nothing about who called",
    "tenant": "whose call it is; `default` where there is one organisation",
    "actor": "who did it: the program, or a reviewer's id",
    "mode": "`auto`, or `manual` where a person did it",
    "source_sha256": "SHA-256 of the recording's file",
    "duration_ms": "length of the recording, milliseconds",
    "channels": "how many it has; of a muted stretch, which are muted",
    "transcriber": "engine and model that heard the words",
    "diarizer": "what told the speakers apart",
    "policy": "id of the redaction policy",
    "policy_version": "its version",
    "policy_sha256": "SHA-256 of its canonical JSON; an export has that text",
    "profile": "precise, balanced or paranoid",
    "threshold": "score below which findings were not used",
    "detectors": "what looked for personal data, with versions",
    "action": "placeholder, last_four or mute",
    "label": "kind of data",
    "turn": "turn of the conversation, from 0",
    "first": "first word within the turn, from 0",
    "last": "word after the last one",
    "start_ms": "start in the recording, milliseconds; null: no time is known, its turn is muted",
    "end_ms": "end in the recording, milliseconds",
    "detector": "family of rules that found it",
    "rule": "rule inside that family",
    "score": "how sure, 0 to 1",
    "reason": "why, in words that never repeat the value",
    "group": "equal where pieces are one value; 0: stands alone",
    "digits": "how many digits the value has; never of card codes, PINs, passwords, answers",
    "value_hmac": "HMAC-SHA-256 of the value under the call's key, or null",
    "key_id": "name of that key",
    "result": "pass or hold",
    "reasons": "codes of why it was held",
    "warnings": "codes of what a reader should know",
    "checks": "what each check found: counts, never content",
    "transcript_sha256": "SHA-256 of the redacted transcript that was checked, as kept",
    "audio_sha256": "SHA-256 of the redacted audio that was checked",
    "target": "kind of target",
    "target_sha256": "SHA-256 of the target as the operator wrote it",
    "payload_sha256": "SHA-256 of the canonical JSON of what left",
    "kind": "what left: `note`",
    "decision": "what the person decided",
    "reviewer": "id of the person",
    "reason_code": "why, as a code",
    "previous_key_id": "name of the key before",
    "what": "what was destroyed",
    "count": "how many records stand before the head",
    "root": "Merkle root over their leaf hashes, hexadecimal",
    "public_key": "raw Ed25519 public key, hexadecimal",
    "signature": "Ed25519 signature, hexadecimal",
}

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)


def fingerprint(public_key: str) -> str:
    """Return the name that people compare: `sha256:` and the hash of the raw public key."""
    return "sha256:" + sha256(bytes.fromhex(public_key)).hexdigest()


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the one way to write a record: sorted keys, no spaces, ASCII, no NaN."""
    return _ENCODER.encode(value).encode("ascii")


def check_event(event: Mapping[str, Any]) -> None:
    """Refuse an event that says too much or too little.

    Raises:
        ValueError: naming the event and the field, never a value.
    """
    name = str(event.get("event"))
    if name not in EVENTS:
        raise ValueError(f"unknown event; there are: {', '.join(EVENTS)}")
    needed, allowed = EVENTS[name]
    if missing := (needed | {"time"}) - event.keys():
        raise ValueError(f"a '{name}' event lacks {', '.join(sorted(missing))}")
    if extra := event.keys() - needed - allowed - COMMON:
        raise ValueError(f"a '{name}' event must not hold {', '.join(sorted(extra))}")
    if event.get("digits") is not None and event.get("label") in NEVER_HASHED:
        raise ValueError(f"the length of a {event['label']} says too much")
    hashed = event.get("value_hmac") is not None
    if hashed and event.get("label") in NEVER_HASHED:
        raise ValueError(f"no hash of a {event['label']} may be kept")
    if hashed and event.get("action") == "last_four":
        raise ValueError("a value logged with its last four carries no hash: both can be joined")


def milliseconds(seconds: float | None) -> int | None:
    """Return whole milliseconds, None where there is no time: canonical JSON needs no fractions."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return round(seconds * 1000)
