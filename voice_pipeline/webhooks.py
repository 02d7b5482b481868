"""Signs what is sent to a webhook, and lets whoever receives it check that it came from us.

The form is that of Standard Webhooks 1.0: HMAC-SHA256 over id, time and bytes of the body. Refuses
short secrets, what is older or newer than the tolerance, and anything that is not signed.

    from voice_pipeline.webhooks import verify

    event = verify(request.headers, request.body, ["whsec_..."])
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from voice_pipeline.errors import BadInput, Misconfigured

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret
TOLERANCE = 300.0  # seconds that sender's and receiver's clocks may be apart, way included


def secret_bytes(secret: str) -> bytes:
    """Return the bytes of a secret `whsec_BASE64`.

    Raises:
        Misconfigured: it has another form or length (code `webhook_secret`).
    """
    try:
        if not secret.startswith(PREFIX):
            raise ValueError
        found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raise Misconfigured(
            "a webhook's secret is whsec_ and base64; `openssl rand -base64 32` prints the latter",
            code="webhook_secret",
        ) from None
    if not SHORTEST <= len(found) <= LONGEST:
        raise Misconfigured(
            f"a webhook's secret has {SHORTEST} to {LONGEST} bytes, this one has {len(found)}",
            code="webhook_secret",
        )
    return found


def signature(key: bytes, identifier: str, at: int, body: bytes) -> str:
    """Return the signature `v1,BASE64` of one attempt; `at` is in seconds since the epoch."""
    signed = f"{identifier}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> dict[str, Any]:
    """Return the event of a request that is really ours and not an old one sent again.

    Args:
        headers: of the request; upper and lower case are the same.
        body: the bytes as they came, before anybody parsed them.
        secrets: `whsec_...`; several while one replaces another.
        tolerance: seconds that the time of the attempt may be away from now.
        now: seconds since the epoch; None: this machine's clock.

    Returns:
        The envelope. Its `id` is the header `webhook-id`: the same event may come more than once,
        so keep the ids that were worked on.

    Raises:
        BadInput: it is not signed with one of the secrets, or its time is too far away (code
            `webhook_signature`). Answer 401.
        Misconfigured: a secret cannot be used (code `webhook_secret`).
    """
    keys = [secret_bytes(secret) for secret in secrets]
    given = {name.lower(): value for name, value in headers.items()}
    identifier, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not identifier or not (at.isascii() and at.isdigit() and len(at) < 16):
        raise _refused("it lacks webhook-id or webhook-timestamp")
    if abs((time.time() if now is None else now) - int(at)) > tolerance:
        raise _refused("it was sent too long ago, or the two clocks differ")
    wanted = [signature(key, identifier, int(at), body) for key in keys]
    shown = given.get("webhook-signature", "").split()
    # All are compared, each in constant time: nothing is to be learned from how long it takes.
    good = [hmac.compare_digest(a.encode(), b.encode()) for a in wanted for b in shown]
    if not any(good):
        raise _refused("no signature fits")
    try:
        event = json.loads(body)
    except ValueError:
        event = None
    if not isinstance(event, dict) or event.get("id") != identifier:
        raise _refused("its body is not the event that its headers name")
    return event


def _refused(why: str) -> BadInput:
    return BadInput(f"this request is not taken: {why}", code="webhook_signature")
