"""Which form a vCon file has: unsigned, signed (JWS) or encrypted (JWE).

Decides by the names at its top, as the draft says. Refuses what is no vCon, the serializations of
JOSE that the draft does not allow, and JSON that two readers could read in two ways.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO, Literal

from voice_pipeline.errors import BadInput

LARGEST = 512 << 20  # bytes of a file, and of what a compressed one unfolds to
GZIP = b"\x1f\x8b"
SUFFIXES = (".vcon", ".vcon.json", ".vcon.gz")
CONTENT = ("parties", "dialog", "analysis", "attachments")
EXTENSIONS = frozenset({"CC", "wtf_transcription"})  # whose parameters are understood here
COMPACT = re.compile(rb'\s*"?(e[yw][A-Za-z0-9_-]+)((?:\.[A-Za-z0-9_-]*){2,4})"?\s*')
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Form:
    """A vCon file as it was read."""

    kind: Literal["unsigned", "signed", "encrypted"]
    document: Mapping[str, Any]


def looks_like(file: BinaryIO, name: str) -> bool:
    """Say whether a file claims to be a vCon, by its name or by beginning as a JSON object.

    Args:
        file: seekable; it stands at its beginning afterwards.
    """
    file.seek(0)
    start = file.read(64).lstrip()
    file.seek(0)
    return PurePath(name).name.lower().endswith(SUFFIXES) or start.startswith(b"{")


def read(data: bytes) -> Form:
    """Tell the form of a vCon.

    Raises:
        BadInput: it is none (`not_a_vcon`), cut or ambiguous (`vcon_damaged`), too large
            (`too_large`), or JOSE in a form that vCon does not use (`vcon_serialization`).
    """
    document = parse(unfolded(data))
    names = document.keys()
    if {"payload", "signatures"} <= names:
        return Form("signed", document)
    if {"ciphertext", "recipients"} <= names:
        return Form("encrypted", document)
    if {"payload", "signature"} <= names or {"ciphertext", "encrypted_key"} <= names:
        raise _serialization("flattened")
    if not names & {*CONTENT} and not {"uuid", "created_at"} <= names:
        raise _none()
    return Form("unsigned", document)


def parse(data: bytes) -> Mapping[str, Any]:
    """Return a JSON object that every reader reads alike.

    Raises:
        BadInput: as `read`.
    """
    if COMPACT.fullmatch(data):
        raise _serialization("compact")
    try:
        document = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
        if SURROGATE.search(data):
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        if not data.lstrip().startswith((b"{", b"\xef\xbb\xbf{")):
            raise _none() from None
        raise BadInput(
            "the vCon is not whole JSON in UTF-8, or names something twice; export it again",
            code="vcon_damaged",
        ) from None
    if not isinstance(document, dict):
        raise _none()
    return document


def unfolded(data: bytes) -> bytes:
    """Return data, decompressed where it is gzip.

    Raises:
        BadInput: it is larger than LARGEST (`too_large`), or cut (`vcon_damaged`).
    """
    if data.startswith(GZIP):
        reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            data = reader.decompress(data, LARGEST + 1)
        except zlib.error:
            data = b""
        if not reader.eof and len(data) <= LARGEST:
            raise BadInput("the vCon's compression is damaged; export it again",
                           code="vcon_damaged")  # fmt: skip
    if len(data) > LARGEST:
        raise BadInput(f"the vCon is larger than {LARGEST:,} bytes", code="too_large")
    return data


def check_critical(document: Mapping[str, Any]) -> None:
    """Refuse a vCon that must not be read without knowing extensions that are not known here.

    Raises:
        BadInput: so it is (code `vcon_critical`).
    """
    critical = document.get("critical", [])
    if not isinstance(critical, list):
        raise BadInput("`critical` of the vCon is no list; nothing of it is used",
                       code="vcon_critical")  # fmt: skip
    unknown = [name for name in critical if not (isinstance(name, str) and name in EXTENSIONS)]
    if unknown:
        shown = ", ".join(
            name if isinstance(name, str) and re.fullmatch(r"[\w.-]{1,40}", name, re.ASCII) else "?"
            for name in unknown[:5]
        )
        raise BadInput(
            f"the vCon may be used only by who knows its critical extensions ({shown}); "
            "nothing of it is used",
            code="vcon_critical",
        )


def encrypted() -> BadInput:
    return BadInput(
        "the vCon is encrypted (JWE); decrypt it where its key is, and hand in the signed or "
        "unsigned form",
        code="vcon_encrypted",
    )


def _none() -> BadInput:
    return BadInput(
        "not a vCon: a JSON object with parties, dialog, analysis or attachments, or a signed one",
        code="not_a_vcon",
    )


def _serialization(which: str) -> BadInput:
    return BadInput(
        f"{which} JOSE serialization; a vCon is signed or encrypted in the general JSON form "
        "(RFC 7515 section 7.2.1: payload and signatures): have it written so",
        code="vcon_serialization",
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("twice")
    return found


def _no_constant(_name: str) -> Any:
    raise ValueError("no JSON number")
