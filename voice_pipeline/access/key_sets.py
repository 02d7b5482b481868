"""The public keys of an identity provider (JWKS, RFC 7517), from a file or a server.

Decides when they are read again: hourly, and for a key id that is not known, but at most once a
minute. Refuses redirects, plain http beyond this machine, symmetric keys, and short RSA keys.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from voice_pipeline.errors import Misconfigured, Retryable

FRESH = 3600.0  # seconds
STALE = 24 * 3600.0  # seconds that known keys are still used while the server does not answer
PAUSE = 60.0  # seconds between two readings for unknown key ids or after a failure
LARGEST = 1 << 20  # bytes
TIMEOUT = 5.0  # seconds for each answer of the server, and for the whole of it
# algorithm -> key type, and curve where there is one
FAMILIES: dict[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}


class KeySet:
    """Public keys by key id. Safe for several threads."""

    def __init__(self, place: str, now: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            place: a path, an https URL, or an http URL of this machine.
            now: seconds, never going back.

        Raises:
            Misconfigured: another kind of URL.
        """
        self._place, self._now = place, now
        self._is_url = "://" in place
        if self._is_url:
            parts = urlsplit(place)
            local = parts.hostname in ("127.0.0.1", "::1", "localhost")
            if parts.scheme != "https" and not (parts.scheme == "http" and local):
                raise Misconfigured("oidc.jwks: https, http of this machine, or a file")
        self._keys: dict[str, dict[str, Any]] = {}
        self._read_at: float | None = None  # with success
        self._tried_at: float | None = None
        self._lock = threading.Lock()

    def key(self, kid: str, algorithm: str) -> PyJWK | None:
        """Return the key for a token's header, or None where it has none that fits.

        Raises:
            Retryable: keys were never read, or too long ago, and cannot be read now (code
                `identity_provider`).
        """
        with self._lock:  # one reading at a time: who comes meanwhile finds its result
            age = None if self._read_at is None else self._now() - self._read_at
            if age is None or age > FRESH or kid not in self._keys:
                self._refresh(age)
            found = self._keys.get(kid)
        if found is None or not _fits(found, algorithm):
            return None
        try:
            return PyJWK(found, algorithm=algorithm)
        except PyJWTError:  # numbers that are no key
            return None

    def _refresh(self, age: float | None) -> None:
        if self._tried_at is None or self._now() - self._tried_at >= PAUSE:
            self._tried_at = self._now()
            try:
                self._keys = _read(self._fetch() if self._is_url else self._load())
            except (httpx2.HTTPError, OSError, ValueError):
                pass  # the keys that are known serve on, for a day
            else:
                self._read_at, age = self._now(), 0.0
        if age is None or age > STALE:
            raise Retryable(
                "the keys of the identity provider cannot be read; is oidc.jwks right?",
                code="identity_provider",
            )

    def _load(self) -> bytes:
        with Path(self._place).open("rb") as file:
            return file.read(LARGEST + 1)

    def _fetch(self) -> bytes:
        body, last = b"", time.monotonic() + TIMEOUT
        with (
            httpx2.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", self._place) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError("no key set")
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > LARGEST or time.monotonic() > last:
                    raise ValueError("too large, or too slow")
        return body


def _read(body: bytes) -> dict[str, dict[str, Any]]:
    """Return the signing keys by id.

    Raises:
        ValueError: not a key set. A key in it that is of no use is passed over.
    """
    if len(body) > LARGEST:
        raise ValueError("too large")
    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("no key set")
    keys: dict[str, dict[str, Any]] = {}
    for key in document["keys"]:
        if isinstance(key, dict) and isinstance(key.get("kid"), str) and _usable(key):
            keys.setdefault(key["kid"], key)
    return keys


def _usable(key: dict[str, Any]) -> bool:
    return key.get("use", "sig") == "sig" and "verify" in key.get("key_ops", ["verify"])


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    kind, curve = FAMILIES[algorithm]
    if key.get("kty") != kind or key.get("alg", algorithm) != algorithm:
        return False
    if kind == "RSA":  # base64 letters hold 6 bits: 2048 bits are 342 of them
        return len(str(key.get("n", "")).rstrip("=")) >= 341
    return key.get("crv") == curve
