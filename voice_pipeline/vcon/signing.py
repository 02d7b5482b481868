"""JWS in the general JSON form, RS256, with the certificates in the unprotected header.

Our own few lines over `cryptography`: the JOSE library of the default install (PyJWT) writes and
reads the compact form alone. Signs nothing with a key that does not fit its certificate; believes
no algorithm that is not on a short list, and no header that asks for more than is understood.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.vcon import chain
from voice_pipeline.vcon.content import from_base64url, to_base64url

SMALLEST = 2048  # bits of an RSA key
ALGORITHMS: Mapping[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
}
HOW = (
    "make a key and a certificate for your own tests with\n"
    "  openssl req -x509 -newkey rsa:3072 -nodes -days 365 -keyout vcon.key -out vcon.pem "
    '-subj "/CN=calls.example.org"\n'
    "and sign with --sign --key vcon.key --cert vcon.pem; for others, have an authority that they "
    "trust issue the certificate"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a vCon is signed with."""

    key: RSAPrivateKey
    certificates: tuple[x509.Certificate, ...]  # the signer's, then who issued it, and so on


def load_credentials(key: Path | None, certificates: Path | None) -> Credentials:
    """Read a private key and the certificates that go with it, both PEM.

    Raises:
        Misconfigured: one is missing or cannot be used, or they do not belong together
            (code `signing_key`).
    """
    if key is None or certificates is None:
        raise Misconfigured(f"to sign, name a key and its certificate; {HOW}", code="signing_key")
    try:
        secret = load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise _unfit(f"{key}: cannot be read ({error.strerror or type(error).__name__})") from error
    except TypeError:
        raise _unfit(f"{key}: is locked with a password; give a key without one, in a file that "
                     "only its owner can read") from None  # fmt: skip
    except (ValueError, UnsupportedAlgorithm):
        raise _unfit(f"{key}: no private key in PEM; {HOW}") from None
    if not isinstance(secret, RSAPrivateKey) or secret.key_size < SMALLEST:
        raise _unfit(f"{key}: not an RSA key of {SMALLEST} bits or more, which RS256 needs; {HOW}")
    try:
        found = tuple(chain.load_certificates(certificates))
    except BadInput as error:
        raise _unfit(f"{error.message}; {HOW}") from None
    if found[0].public_key() != secret.public_key():
        raise _unfit(f"{certificates}: its first certificate is not that of the key {key}")
    for fault in chain.chain_faults(found, datetime.now(UTC)):
        raise _unfit(f"{certificates}: {fault}")
    return Credentials(secret, found)


def sign(payload: bytes, uuid: str, credentials: Credentials) -> bytes:
    """Return a signed vCon.

    Args:
        payload: the unsigned form, as it is to be signed.
        uuid: of the vCon, told outside for who does not open it.
    """
    protected = to_base64url(b'{"alg":"RS256"}')
    body = to_base64url(payload)
    signature = credentials.key.sign(
        f"{protected}.{body}".encode("ascii"), padding.PKCS1v15(), ALGORITHMS["RS256"]
    )
    document = {
        "payload": body,
        "signatures": [
            {
                "protected": protected,
                "header": {"x5c": chain.to_header(credentials.certificates), "uuid": uuid},
                "signature": to_base64url(signature),
            }
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a file, and what it is worth."""

    faults: tuple[str, ...]
    algorithm: str | None = None
    certificates: tuple[x509.Certificate, ...] = ()  # the signer's first
    uuid: str | None = None  # as told outside the payload

    @property
    def signer(self) -> str | None:
        """Fingerprint of the signer's certificate."""
        return chain.fingerprint(self.certificates[0]) if self.certificates else None


def check_signature(
    payload: str,
    found: Any,
    at: datetime,
    *,
    given: Sequence[x509.Certificate] = (),
) -> Signature:
    """Check one member of `signatures`: form, algorithm, certificates and the signature itself.

    Args:
        payload: as it stands in the file.
        found: the member.
        at: the time for which certificates must be valid.
        given: the signer's certificates, for a signature that only says where they are (x5u).
    """
    try:
        protected, header, signature = _parts(found)
        algorithm = _algorithm(protected, header)
        certificates = _certificates(protected, header, given)
    except ValueError as error:
        return Signature((str(error),))
    faults = [*chain.chain_faults(certificates, at)]
    if (fault := chain.leaf_fault(certificates[0])) is not None:
        faults.append(fault)
    key = certificates[0].public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST:
        faults.append(f"the signer's key is not an RSA key of {SMALLEST} bits or more")
    else:
        signed = f"{found['protected']}.{payload}"
        try:
            key.verify(signature, signed.encode("ascii"), padding.PKCS1v15(), ALGORITHMS[algorithm])
        except (InvalidSignature, UnicodeEncodeError):
            faults.append("the signature is not that of this payload: one of them was changed")
    uuid = header.get("uuid")
    return Signature(
        tuple(faults), algorithm, tuple(certificates), uuid if isinstance(uuid, str) else None
    )


def _parts(found: Any) -> tuple[Mapping[str, Any], Mapping[str, Any], bytes]:
    if not isinstance(found, dict):
        raise ValueError("is no object")
    protected, header = found.get("protected"), found.get("header")
    if not isinstance(protected, str) or not isinstance(header, dict):
        raise ValueError("has no protected part, or no header beside it")
    try:
        opened = json.loads(from_base64url(protected))
        signature = from_base64url(found.get("signature") or "?")
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("its protected part or its signature cannot be read") from None
    if not isinstance(opened, dict):
        raise ValueError("its protected part is no object")
    for names in (opened, header):
        if "crit" in names:
            raise ValueError("asks for header extensions (crit), and none is known here")
        if names.get("b64", True) is not True:
            raise ValueError("its payload is not base64url (b64)")
    return opened, header, signature


def _algorithm(protected: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    said = [names["alg"] for names in (protected, header) if "alg" in names]
    if not said or any(one != said[0] for one in said):
        raise ValueError("names no algorithm, or two")
    if "alg" not in protected:
        raise ValueError("its algorithm is not protected: whoever changes it is not found")
    if said[0] not in (*ALGORITHMS,):
        raise ValueError(f"its algorithm is none of {', '.join(ALGORITHMS)}")
    return str(said[0])


def _certificates(
    protected: Mapping[str, Any],
    header: Mapping[str, Any],
    given: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    listed = [names["x5c"] for names in (protected, header) if "x5c" in names]
    if any(one != listed[0] for one in listed):
        raise ValueError("names two chains of certificates")
    if listed:
        return chain.from_header(listed[0])
    if not any("x5u" in names for names in (protected, header)):
        raise ValueError("has neither x5c nor x5u: nobody can tell who signed")
    if not given:
        raise ValueError(
            "its certificate lies elsewhere (x5u) and is not fetched; name it with --cert"
        )
    return list(given)


def _unfit(why: str) -> Misconfigured:
    return Misconfigured(why, code="signing_key")
