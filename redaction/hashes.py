"""Keyed hashes of values: by them equal values of one call can be told, and nothing else.

Decides where no hash may exist at all. Refuses short keys and anything of which a hash is as bad
as the value; a key belongs to one call, and destroying what it derives from ends its hashes.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass, field
from hashlib import sha256

# Derived forms of these are as bad as they are: a thousand card codes are tried in a moment.
NEVER_HASHED = frozenset({"CARD_CVV", "PIN", "PASSWORD", "SECURITY_ANSWER"})
SHORTEST_KEY = 16  # bytes; PCI DSS 4.0.1 3.5.1.1 and its guidance: at least 128 bits


@dataclass(frozen=True, slots=True)
class HashKey:
    """The key of one call's hashes, and the name by which a log may speak of it."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of_call(cls, key: bytes, call: str) -> HashKey:
        """Derive a call's key from a key that is destroyed with the call.

        Raises:
            ValueError: the key is shorter than 128 bits.
        """
        return cls(_derive(key, b"redaction-log-key-id/1\n", call, 8).hex(), call_key(key, call))


def call_key(key: bytes, call: str) -> bytes:
    """Derive a call's own key; destroying what it derives from makes its hashes meaningless.

    Raises:
        ValueError: the key is shorter than 128 bits.
    """
    return _derive(key, b"redaction-log-call/1\n", call, 32)


def value_hmac(key: bytes, label: str, value: str, *, action: str = "placeholder") -> str | None:
    """Return a keyed hash by which equal values can be told, or None where none may exist.

    A value with digits is compared by its letters and digits alone, any other by its words, both
    in one case: a number reads the same with and without spaces. Spoken digits must be written as
    digits first; `redaction.reading` does that.

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


def _derive(key: bytes, purpose: bytes, call: str, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the key is shorter than {SHORTEST_KEY} bytes")
    return HKDF(SHA256(), length, salt=None, info=purpose + call.encode()).derive(key)
