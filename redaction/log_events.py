"""What a redaction log may hold: events, fields, and how a record is written down.

Refuses unknown events and fields, so that no value, snippet or free text can slip in beside them,
and any hash of what has so few forms that a hash gives it away.
"""

from __future__ import annotations

import hmac
import json
import math
import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

SCHEMA = 1
FIRST = "0" * 64  # prev_hash of the first record
HEAD_PURPOSE = b"redaction-log-head/1\n"  # signed before the head, so it can stand for nothing else

# Derived forms of these are as bad as they are: a thousand card codes are tried in a moment.
NEVER_HASHED = frozenset({"CARD_CVV", "PIN", "PASSWORD", "SECURITY_ANSWER"})
SHORTEST_KEY = 16  # bytes; PCI DSS 4.0.1 3.5.1.1 and its guidance: at least 128 bits

# Every event has these ...
_COMMON = frozenset({"event", "time", "call", "tenant", "actor", "mode"})
# ... and its own: name -> (needed, allowed).
EVENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(needed.split()), frozenset(allowed.split()))
    for name, needed, allowed in (
        ("call_started", "call source_sha256", "duration_ms channels transcriber diarizer"),
        ("policy_applied", "call policy policy_sha256 profile", "detectors"),
        ("redacted", "call action", "label turn first last start_ms end_ms channels detector rule"
         " score threshold reason group value_hmac key_id"),
        ("suppressed", "call label turn rule", "first last start_ms end_ms score reason detector"),
        ("verification", "call result", "reasons warnings checks transcript_sha256 audio_sha256"),
        ("released_to", "call target payload_sha256", "kind"),
        ("review", "call decision", "reviewer reason_code payload_sha256"),
        ("override", "call decision reviewer reason_code", "payload_sha256"),
        ("key_rotated", "key_id", "previous_key_id"),
        ("erased", "call what", "reason_code key_id"),
    )
}  # fmt: skip

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
    if extra := event.keys() - needed - allowed - _COMMON:
        raise ValueError(f"a '{name}' event must not hold {', '.join(sorted(extra))}")
    hashed = event.get("value_hmac") is not None
    if hashed and event.get("label") in NEVER_HASHED:
        raise ValueError(f"no hash of a {event['label']} may be kept")
    if hashed and event.get("action") == "last_four":
        raise ValueError("a value logged with its last four carries no hash: both can be joined")


# ---------------------------------------------------------------- keyed hashes


def call_key(key: bytes, call: str) -> bytes:
    """Derive a call's own key; destroying what it derives from makes its hashes meaningless.

    Raises:
        ValueError: the key is shorter than 128 bits.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the key is shorter than {SHORTEST_KEY} bytes")
    return HKDF(SHA256(), 32, salt=None, info=b"redaction-log-call/1\n" + call.encode()).derive(key)


def value_hmac(key: bytes, label: str, value: str, *, action: str = "placeholder") -> str | None:
    """Return a keyed hash by which equal values can be told, or None where none may exist.

    A value with digits is compared by its letters and digits alone, any other by its words, both
    in one case: a number reads the same with and without spaces. Spoken digits must be written as
    digits first.

    Raises:
        ValueError: the key is shorter than 128 bits.
    """
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the key is shorter than {SHORTEST_KEY} bytes")
    if label in NEVER_HASHED or action == "last_four":
        return None
    text = unicodedata.normalize("NFKC", value).casefold()
    if any(char.isdigit() for char in text):
        text = "".join(char for char in text if char.isalnum())
    else:
        text = " ".join(text.split())
    return hmac.new(key, f"{label}\0{text}".encode(), sha256).hexdigest()


def milliseconds(seconds: float | None) -> int | None:
    """Return whole milliseconds, None where there is no time: canonical JSON needs no fractions."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return round(seconds * 1000)
