"""The redaction log: what was done, provable from the file alone, and never what stood there.

Decides how events are chained, headed and signed. Refuses to write an event that says too much;
`verify_file` reads a log back and says which record was tampered with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from redaction import merkle
from redaction.hashes import HashKey, call_key, value_hmac
from redaction.log_events import (
    FIRST,
    HEAD_PURPOSE,
    SCHEMA,
    canonical,
    check_event,
    fingerprint,
    milliseconds,
)
from redaction.log_verify import Fault, Verdict, verify_bytes, verify_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "Fault", "HashKey", "Head", "Signer", "Verdict", "call_key", "canonical", "check_event",
    "fingerprint", "milliseconds", "value_hmac", "verify_bytes", "verify_file", "write_log",
]  # fmt: skip


class Sink(Protocol):
    """Anything that takes bytes in order."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs heads with one Ed25519 key."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Signer:
        """Return the signer of a 32-byte secret seed, as made by `secrets.token_bytes(32)`.

        Raises:
            ValueError: the seed has another length.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_key(self) -> str:
        """The raw public key, hexadecimal."""
        return self.private.public_key().public_bytes_raw().hex()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_key)

    def sign(self, data: bytes) -> str:
        return self.private.sign(data).hex()


@dataclass(frozen=True, slots=True)
class Head:
    """What a signed head says about the records before it."""

    count: int
    root: str  # Merkle root, hexadecimal
    public_key: str
    fingerprint: str


def write_log(
    sink: Sink, events: Iterable[Mapping[str, Any]], signer: Signer, *, time: str
) -> Head:
    """Write events as chained records, and the signed head as the last line.

    Args:
        sink: takes the bytes; lines end with a newline.
        events: in order; see EVENTS for what each may hold.
        signer: signs the head.
        time: ISO 8601 UTC time of the head.

    Raises:
        ValueError: an event is unknown, lacks a field, or has one that it must not have.
    """
    previous = FIRST
    leaves: list[bytes] = []
    for seq, event in enumerate(events):
        check_event(event)
        line = canonical({**event, "schema": SCHEMA, "seq": seq, "prev_hash": previous})
        leaves.append(merkle.leaf(line))
        previous = leaves[-1].hex()
        sink.write(line + b"\n")
    head: dict[str, Any] = {
        "event": "head",
        "schema": SCHEMA,
        "count": len(leaves),
        "root": merkle.root(leaves).hex(),
        "prev_hash": previous,
        "public_key": signer.public_key,
        "time": time,
    }
    head["signature"] = signer.sign(HEAD_PURPOSE + canonical(head))
    sink.write(canonical(head) + b"\n")
    return Head(head["count"], head["root"], head["public_key"], signer.fingerprint)
