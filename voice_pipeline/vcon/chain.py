"""Who signed: a chain of certificates, read, dated and followed to somebody who is trusted.

A small part of RFC 5280, on purpose: links, dates, who may issue. Refuses what it does not
understand (a critical extension of an issuer), and to trust a chain that nobody vouches for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from voice_pipeline.errors import BadInput

LONGEST = 10  # certificates
UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.SubjectAlternativeName,
              x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier)  # fmt: skip


def load_certificates(path: Path) -> list[x509.Certificate]:
    """Read the certificates of a PEM file, in order.

    Raises:
        BadInput: it cannot be read, or holds none (code `certificate`).
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror or type(error).__name__})",
            code="certificate",
        ) from error
    except ValueError:
        raise BadInput(f"{path}: holds no certificate in PEM", code="certificate") from None


def from_header(listed: object) -> list[x509.Certificate]:
    """Read an `x5c`: base64 of DER, whoever signed first.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    if not isinstance(listed, list) or not 0 < len(listed) <= LONGEST:
        raise ValueError(f"x5c is no list of 1 to {LONGEST} certificates")
    found = []
    for number, text in enumerate(listed):
        try:
            if not isinstance(text, str):
                raise ValueError
            found.append(x509.load_der_x509_certificate(base64.b64decode(text, validate=True)))
        except (ValueError, binascii.Error):
            raise ValueError(f"certificate {number} of x5c is none (base64 of DER)") from None
    return found


def to_header(chain: Sequence[x509.Certificate]) -> list[str]:
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode("ascii") for one in chain]


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the name under which people compare certificates."""
    return f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"


def chain_faults(chain: Sequence[x509.Certificate], at: datetime) -> Iterator[str]:
    """Say what is wrong with a chain in itself: its dates, and who issued whom."""
    for number, one in enumerate(chain):
        if at < one.not_valid_before_utc:
            day = f"{one.not_valid_before_utc:%Y-%m-%d}"
            yield f"certificate {number} of the chain is not valid before {day}"
        if at > one.not_valid_after_utc:
            day = f"{one.not_valid_after_utc:%Y-%m-%d}"
            yield f"certificate {number} of the chain has expired on {day}"
    for number, (one, issuer) in enumerate(pairwise(chain)):
        if not _issued(one, issuer):
            yield f"certificate {number} of the chain was not issued by the next one"


def trust_fault(
    chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], at: datetime
) -> str | None:
    """Say why no trusted certificate vouches for the first of a chain; None: one does.

    Args:
        chain: without faults of its own.
        trusted: those of authorities, or of the signer itself.
        at: the time for which one must be valid to count.
    """
    trusted = [one for one in trusted if one.not_valid_before_utc <= at <= one.not_valid_after_utc]
    path: list[x509.Certificate] = []
    for one in chain:
        if one in trusted:
            return _issuers_fault([*path, one])
        path.append(one)
        for anchor in trusted:
            if _issued(one, anchor):
                return _issuers_fault([*path, anchor])
    return "none of the certificates that are trusted vouches for the signer"


def leaf_fault(certificate: x509.Certificate) -> str | None:
    """Say why a certificate's key may not sign; None: it may."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    except ValueError:
        return "the signer's certificate has an extension that cannot be read"
    if usage.digital_signature or usage.content_commitment:
        return None
    return "the signer's certificate is not one for signatures (keyUsage)"


def _issuers_fault(path: Sequence[x509.Certificate]) -> str | None:
    for below, issuer in enumerate(path[1:]):
        try:
            extensions = list(issuer.extensions)
        except ValueError:
            return f"certificate {below + 1} of the chain has an extension that cannot be read"
        known = {type(one.value): one.value for one in extensions}
        if any(one.critical and not isinstance(one.value, UNDERSTOOD) for one in extensions):
            return f"certificate {below + 1} of the chain limits its use in a way not known here"
        basic, usage = known.get(x509.BasicConstraints), known.get(x509.KeyUsage)
        if not (isinstance(basic, x509.BasicConstraints) and basic.ca):
            return f"certificate {below + 1} of the chain is no authority's, and issued another"
        if basic.path_length is not None and basic.path_length < below:
            return f"certificate {below + 1} of the chain may not issue one this far below it"
        if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
            return f"certificate {below + 1} of the chain may not issue certificates (keyUsage)"
    return None


def _issued(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
