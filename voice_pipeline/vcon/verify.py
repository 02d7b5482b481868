"""Is a vCon whole, and by whom: rules, hashes, signatures, in plain words.

Decides what is a fault and what was only not checked. Refuses encrypted files and unknown critical
extensions before it looks at anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from voice_pipeline.errors import BadInput
from voice_pipeline.vcon import chain, forms
from voice_pipeline.vcon.content import from_base64url, hash_fault, matches
from voice_pipeline.vcon.forms import Form, check_critical, encrypted
from voice_pipeline.vcon.rules import Fault, faults, is_https
from voice_pipeline.vcon.signing import Signature, check_signature

DEEPEST = 4  # signatures around signatures, as archives make them

# Returns the bytes of a referenced file, None where they are not at hand.
Fetch = Callable[[str], bytes | None]
# Returns the channels of an audio file; None where it cannot be told.
Channels = Callable[[bytes], int | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about a file."""

    form: str  # unsigned | signed
    document: Mapping[str, Any]  # the unsigned form inside
    faults: tuple[Fault, ...]
    signatures: tuple[Signature, ...] = ()  # the outermost first
    signer_checked: bool = False  # somebody who is trusted vouches for it
    unread: int = 0  # referenced files that were not at hand

    @property
    def ok(self) -> bool:
        return not self.faults


def opened(
    data: bytes, *, at: datetime | None = None, given: Sequence[x509.Certificate] = ()
) -> Verdict:
    """Open a vCon, signed or not, and check its signatures; its rules are not looked at.

    Raises:
        BadInput: as `forms.read`; encrypted (`vcon_encrypted`), or with unknown critical extensions
            (`vcon_critical`).
    """
    at, form = at or datetime.now(UTC), forms.read(data)
    kind, found, signatures = form.kind, list[Fault](), list[Signature]()
    while form.kind == "signed":
        if len(signatures) >= DEEPEST:
            raise BadInput("the vCon is signed too often over", code="vcon_damaged")
        checked = [*_signatures(form, at, given)]
        signatures += [signature for _, signature in checked]
        found += [Fault(where, what) for where, one in checked for what in one.faults]
        beside = sorted(set(forms.CONTENT) & form.document.keys())
        if beside:
            found.append(Fault(beside[0], "stands unsigned beside the payload"))
        form = _inner(form)
    if form.kind == "encrypted":
        raise encrypted()
    check_critical(form.document)
    uuid = form.document.get("uuid")
    if any(one.uuid is not None and one.uuid != uuid for one in signatures):
        found.append(Fault("uuid", "is not the one that stands beside the signature"))
    return Verdict(kind, form.document, tuple(found), tuple(signatures))


def verify(
    data: bytes,
    *,
    certificates: Sequence[x509.Certificate] = (),
    authorities: Sequence[x509.Certificate] = (),
    fetch: Fetch = lambda _url: None,
    channels: Channels = lambda _sound: None,
    at: datetime | None = None,
) -> Verdict:
    """Check a vCon: its form, every rule of the draft, hashes, and signatures where it has some.

    Args:
        data: the file.
        certificates: of who must have signed; any of them.
        authorities: who must vouch for the signer; any of them.
        fetch: gives referenced files.
        channels: counts the channels of inline audio.
        at: the time for which certificates must be valid; default now.

    Raises:
        BadInput: as `opened`.
    """
    at = at or datetime.now(UTC)
    found = opened(data, at=at, given=certificates)
    more = [*found.faults, *faults(found.document)]
    unread = 0
    for place, part in _files(found.document):
        what, missing = _file_fault(part, fetch)
        unread += missing
        if what is not None:
            more.append(Fault(place, what))
    more += _channel_faults(found.document, channels)
    trusted = [*certificates, *authorities]
    if trusted and not found.signatures:
        more.append(Fault("", "is not signed"))
    for number, signature in enumerate(found.signatures):
        if trusted and not signature.faults:
            what = _trust_fault(signature, certificates, authorities, at)
            if what is not None:
                more.append(Fault(f"signatures[{number}]", what))
    checked = bool(trusted and found.signatures)
    return replace(found, faults=tuple(more), signer_checked=checked, unread=unread)


def _signatures(
    form: Form, at: datetime, given: Sequence[x509.Certificate]
) -> Iterator[tuple[str, Signature]]:
    payload, listed = form.document["payload"], form.document["signatures"]
    if not isinstance(payload, str) or not isinstance(listed, list) or not listed:
        raise BadInput(
            "the signed vCon has no payload, or no list of signatures; export it again",
            code="vcon_damaged",
        )
    for number, one in enumerate(listed):
        yield f"signatures[{number}]", check_signature(payload, one, at, given=given)


def _inner(form: Form) -> Form:
    try:
        data = from_base64url(form.document["payload"])
    except ValueError:
        raise BadInput(
            "the payload of the signed vCon is no base64url; export it again", code="vcon_damaged"
        ) from None
    return forms.read(data)


def _trust_fault(
    signature: Signature,
    certificates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    at: datetime,
) -> str | None:
    if certificates and signature.certificates[0] not in certificates:
        return "was made by another signer than the one that was named"
    return chain.trust_fault(signature.certificates, authorities, at) if authorities else None


def _files(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in ("dialog", "analysis", "attachments"):
        listed = document.get(name)
        for number, part in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(part, dict):
                yield f"{name}[{number}]", part
    for name in ("redacted", "amended"):
        if isinstance(part := document.get(name), dict):
            yield name, part


def _file_fault(part: Mapping[str, Any], fetch: Fetch) -> tuple[str | None, int]:
    """Return what is wrong with a file's hash, and whether (1) the file was not at hand."""
    token = part.get("content_hash")
    if token is None or hash_fault(token) is not None:
        return None, 0  # a rule, not a hash
    data = inline(part)
    if data is None and is_https(part.get("url")):
        data = fetch(str(part["url"]))
        if data is None:
            return None, 1
    if data is None or matches(token, data):
        return None, 0
    return "is not the file whose hash stands in the vCon (content_hash)", 0


def inline(part: Mapping[str, Any]) -> bytes | None:
    """Return the bytes of a file that is inline as base64url or text; None where it is not."""
    body = part.get("body")
    if not isinstance(body, str) or not body:
        return None
    if part.get("encoding") == "none":
        return body.encode()
    if part.get("encoding") != "base64url":
        return None
    try:
        return from_base64url(body, padded=True)
    except ValueError:
        return None


def _channel_faults(document: Mapping[str, Any], channels: Channels) -> Iterator[Fault]:
    """A recording of several channels says for each who is on it."""
    listed = document.get("dialog")
    for number, part in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(part, dict) or part.get("type") != "recording":
            continue
        sound = inline(part)
        count = None if sound is None else channels(sound)
        parties = part.get("parties")
        if count is not None and count > 1 and "parties" in part:
            said = len(parties) if isinstance(parties, list) else 1
            if said != count:
                yield Fault(
                    f"dialog[{number}].parties",
                    f"has {said} entries, and the recording {count} channels: one for each",
                )
