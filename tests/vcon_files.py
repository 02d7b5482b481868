"""Keys, certificates and small vCon files of every kind; all persons in them are invented."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry, deserialize_json
from joserfc.registry import HeaderParameter

from voice_pipeline.vcon.content import content_hash, to_base64url
from voice_pipeline.vcon.signing import Credentials

DRAFT = Path(__file__).parents[2] / "shared" / "data" / "vcon"  # files of the IETF draft
needs_draft = pytest.mark.skipif(
    not DRAFT.is_dir(), reason="the draft's schema and examples are not beside the repository"
)
START, UUID = "2026-11-20T09:30:00Z", "01a2189a-7f20-8013-bc6b-e5b59e6a285f"
DAY = timedelta(days=1)


def schema_faults(document: Any) -> list[str]:
    """Return what the draft's own JSON schema says against a document."""
    import jsonschema

    schema = json.loads((DRAFT / "vcon_json_schema.json").read_text("utf-8"))
    checker = jsonschema.Draft7Validator(
        schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    return [f"{list(error.path)}: {error.message[:80]}" for error in checker.iter_errors(document)]


# ---------------------------------------------------------------- keys


@cache
def key(number: int = 0, bits: int = 2048) -> RSAPrivateKey:
    """Return a key that the whole test run shares."""
    assert number >= 0
    return generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: RSAPrivateKey

    def credentials(self, *above: Issued) -> Credentials:
        return Credentials(self.key, (self.certificate, *(one.certificate for one in above)))

    def write(self, folder: Path, name: str, *above: Issued) -> tuple[Path, Path]:
        """Write key and chain as PEM; return their paths."""
        secret, chain = folder / f"{name}.key", folder / f"{name}.pem"
        secret.write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        chain.write_bytes(
            b"".join(one.certificate.public_bytes(Encoding.PEM) for one in (self, *above))
        )
        return secret, chain


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    number: int = 0,
    bits: int = 2048,
    authority: bool = False,
    path_length: int | None = None,
    first: timedelta = -DAY,
    last: timedelta = DAY,
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> Issued:
    """Make a certificate: self-signed, or issued by another."""
    secret, now = key(number, bits), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + first)
        .not_valid_after(now + last)
        .add_extension(x509.BasicConstraints(authority, path_length), critical=True)
    )
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical)
    made = builder.sign((issuer.key if issuer else secret), hashes.SHA256())
    return Issued(made, secret)


@cache
def signer() -> Issued:
    """Return one self-signed signer for the whole test run."""
    return issue("calls.example.org")


def independent(signed: bytes, public: Any) -> bytes:
    """Return the payload of a signed vCon, as another JOSE library verifies it."""
    # it refuses header names that it does not know, and more than 128 kB, until it is told
    registry = JWSRegistry({"uuid": HeaderParameter("UUID of the vCon", "str")}, ["RS256"])
    registry.max_payload_length = len(signed)
    found = deserialize_json(json.loads(signed), RSAKey.import_key(public), registry=registry)
    assert found.payload is not None
    return found.payload


# ---------------------------------------------------------------- files


def sound(seconds: float = 1.0, channels: int = 1, number: int = 0) -> bytes:
    """Return a WAV of 8 kHz; another number is another recording."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((channels, 2, 8000, 0, "NONE", ""))
        frame = (1000 + number).to_bytes(2, "little", signed=True) * channels
        file.writeframes((frame + bytes(2 * channels)) * int(4000 * seconds))
    return made.getvalue()


def plain(**changes: Any) -> dict[str, Any]:
    """Return a vCon without content."""
    return {
        "vcon": "0.4.0",
        "uuid": UUID,
        "created_at": START,
        "parties": [
            {"name": "Dana Invented", "role": "agent", "dept": "north", "type": "person"},
            {"tel": "+15550100199", "name": "Robin Invented", "role": "customer",
             "uuid": "5f0c7f8e-58cb-4f22-8f05-3d8f3f0f7a11"},
        ],
        "dialog": [],
        **changes,
    }  # fmt: skip


def with_recording(data: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """Return a vCon with one recording inside; `changes` are of its dialog, None takes out."""
    dialog = {
        "type": "recording",
        "start": START,
        "duration": 1.0,
        "parties": [0, 1],
        "originator": 1,
        "interaction_id": "c-4711",
        "mediatype": "audio/x-wav",
        "encoding": "base64url",
        "body": to_base64url(data if data is not None else sound()),
        **changes,
    }
    kept = {name: value for name, value in dialog.items() if value is not None}
    return plain(extensions=["CC"], dialog=[kept])


def linked(url: str, data: bytes, **changes: Any) -> dict[str, Any]:
    """Return a vCon whose recording lies elsewhere."""
    given = {"url": url, "content_hash": content_hash(data), "body": None, "encoding": None}
    return with_recording(data, **{**given, **changes})


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def encrypted() -> dict[str, Any]:
    """Return the shape of an encrypted one; nobody has its key."""
    return {
        "protected": to_base64url(b'{"alg":"RSA-OAEP","enc":"A256CBC-HS512"}'),
        "unprotected": {"cty": "application/vcon", "uuid": UUID},
        "recipients": [{"header": {}, "encrypted_key": "AAAA"}],
        "iv": "AAAA", "ciphertext": "AAAA", "tag": "AAAA",
    }  # fmt: skip


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "parties alone": plain,
    "inline": with_recording,
    "linked": lambda: linked("https://calls.example.org/a.wav", sound()),
    "two channels": lambda: with_recording(sound(channels=2)),
    "text": lambda: plain(dialog=[{
        "type": "text", "start": START, "parties": 0, "mediatype": "text/plain",
        "encoding": "none", "body": "good day"}]),
    "incomplete": lambda: plain(dialog=[{
        "type": "incomplete", "start": START, "parties": [0, 1], "disposition": "no-answer"}]),
    "set": lambda: plain(dialog=[
        {"type": "recording-set", "start": START, "recordings": [1], "parties": [0, 1],
         "party_history": [{"party": 0, "time": START, "event": "keydown", "button": "5"}]},
        {**with_recording()["dialog"][0], "recording_set": 0}]),
    "analysis": lambda: {**with_recording(), "analysis": [{
        "type": "transcript", "vendor": "invented", "dialog": 0, "encoding": "json",
        "mediatype": "application/json", "body": {"text": "good day"}}]},
    "attachment": lambda: {**with_recording(), "attachments": [{
        "start": START, "party": 0, "dialog": 0, "mediatype": "text/plain",
        "encoding": "none", "body": "a page"}]},
    "redacted": lambda: {**with_recording(body=None, encoding=None),
                         "redacted": {"uuid": UUID, "type": "PII"}},
    "amended": lambda: {**with_recording(), "amended": {"uuid": UUID}},
}  # fmt: skip
