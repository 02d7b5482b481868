"""How a vCon carries files: base64url without padding, and SHA-512 of what lies elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
TOKEN = re.compile(r"([a-z0-9]+)-([A-Za-z0-9_-]+)", re.ASCII)
SHA512 = "sha512"
BLOCK = 256 << 10  # bytes read at once


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def base64url_pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield what `to_base64url` says of a whole file, a piece at a time."""
    left = b""
    while block := file.read(BLOCK):
        left += block
        whole = len(left) - len(left) % 3  # what ends with a character
        yield base64.urlsafe_b64encode(left[:whole])
        left = left[whole:]
    yield to_base64url(left).encode("ascii")


def digests(file: BinaryIO) -> tuple[str, str]:
    """Return a file's SHA-256 in hexadecimal, and its `content_hash`."""
    short, long = hashlib.sha256(), hashlib.sha512()
    while block := file.read(BLOCK):
        short.update(block)
        long.update(block)
    return short.hexdigest(), f"{SHA512}-{to_base64url(long.digest())}"


def from_base64url(text: str, *, padded: bool = False) -> bytes:
    """Return the bytes that a text stands for.

    Args:
        padded: take the `=` that some writers put behind it, too.

    Raises:
        ValueError: it is no base64url, or one that no encoder writes.
    """
    text = text.rstrip("=") if padded else text
    if not ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(data) != text:  # bits behind the end that mean nothing
        raise ValueError("not base64url")
    return data


def content_hash(data: bytes) -> str:
    """Return the token by which a vCon binds a file that lies elsewhere."""
    return f"{SHA512}-{to_base64url(hashlib.sha512(data).digest())}"


def hash_fault(value: Any) -> str | None:
    """Say what is wrong with a `content_hash`; None: nothing, and SHA-512 is among its tokens."""
    tokens = value if isinstance(value, list) else [value]
    names = set()
    for token in tokens:
        found = TOKEN.fullmatch(token) if isinstance(token, str) else None
        if found is None:
            return "is no hash: sha512, a hyphen, and the digest in base64url"
        names.add(found[1])
        if found[1] == SHA512 and not _is_digest(found[2]):
            return "is no SHA-512 digest in base64url"
    return None if SHA512 in names else "has no SHA-512 hash, the one that everybody must know"


def matches(value: Any, data: bytes) -> bool:
    """Say whether a sound `content_hash` is that of the data; other kinds do not count."""
    tokens = value if isinstance(value, list) else [value]
    ours = [token for token in tokens if str(token).startswith(f"{SHA512}-")]
    return bool(ours) and set(ours) == {content_hash(data)}


def _is_digest(text: str) -> bool:
    try:
        return len(from_base64url(text)) == hashlib.sha512().digest_size
    except ValueError:
        return False
